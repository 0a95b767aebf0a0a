//! Five bugs that are planted in host functions. Each strategy finds each of them, makes it short, and runs it again; with a host that is
//! fixed, every schedule passes.

use crate::support::{Lock, guests};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use wasm_jobs::explore::{self, Explorer, Failure, World};
use wasm_jobs::wasmtime::{Caller, InstancePre, Linker, WasmTyList};
use wasm_jobs::{Clock, EngineOptions, Error, Event, Instance, JobPool};

/// The two versions of a host.
#[derive(Clone, Copy, PartialEq)]
enum Host {
    Faulty,
    Fixed,
}

/// What is claimed of a bug.
struct Bug {
    /// How many orderings between steps it needs, as [`explore::pct`] counts them.
    depth: u32,
    /// The message begins or ends with this.
    message: &'static str,
    /// Do the steps declare all that they touch?
    declares: bool,
}

/// The most lines that a failure may have.
const LINES: usize = 20;
const REPLAYS: usize = 10_000;

impl Bug {
    /// Asserts that each strategy finds the bug with the faulty host, and that there is none with the fixed one.
    fn is_found<T: Fn(&World) -> Result<(), Error>>(&self, planted: impl Fn(Host) -> T) {
        let (faulty, fixed) = (planted(Host::Faulty), planted(Host::Fixed));
        let all = explore::dfs(10_000);
        let mut surely = vec![all.clone()];
        if self.declares {
            surely.push(all.reduce());
        }
        let by_chance = (0..5).flat_map(|seed| {
            [explore::pct(1_000, self.depth), explore::random(1_000)].map(|by| by.seed(seed))
        });
        for explorer in by_chance.chain(surely.iter().cloned()) {
            self.short(&explorer, &faulty);
        }
        if self.depth > 1 {
            // Fewer orderings are not enough.
            explore::pct(1_000, self.depth - 1).run(&faulty);
        }

        let failure = self.short(&surely[0], &faulty);
        for _ in 0..REPLAYS {
            assert_same_again(&failure, &faulty);
        }
        for explorer in surely {
            let report = explorer.run(&fixed);
            assert!(report.is_exhaustive, "{report:?}");
        }
    }

    /// The failure that a strategy finds, which is short.
    fn short(&self, by: &Explorer, faulty: impl Fn(&World) -> Result<(), Error>) -> Failure {
        let failure = by.check(&faulty).expect_err(self.message);
        let message = failure.message();
        let is_expected = message.starts_with(self.message) || message.ends_with(self.message);
        assert!(is_expected, "{failure}");
        assert!(failure.steps().len() <= LINES, "{failure}");
        assert_same_again(&failure, faulty);
        failure
    }
}

fn assert_same_again(failure: &Failure, faulty: impl Fn(&World) -> Result<(), Error>) {
    let again = explore::replay(failure.schedule()).check(faulty).unwrap_err();
    let is_same = again.message() == failure.message()
        && again.steps() == failure.steps()
        && again.schedule() == failure.schedule();
    assert!(is_same, "{failure}\n\nthen\n\n{again}");
}

fn engine_options() -> EngineOptions {
    EngineOptions::default().pooling(10)
}

/// The state of a guest: the world, what the host has, and what the guest has of its own.
#[derive(Clone)]
struct State<X> {
    world: World,
    shared: Arc<X>,
    own: Arc<AtomicI32>,
}

impl<X: Send + Sync + 'static> State<X> {
    fn new(world: &World, shared: X) -> Self {
        Self { world: world.clone(), shared: Arc::new(shared), own: Arc::default() }
    }

    /// A guest that shares with the others what they share.
    fn guest(&self, pre: &InstancePre<Self>) -> Result<Instance<Self>, Error> {
        let (world, shared) = (self.world.clone(), self.shared.clone());
        self.world.instance(pre, move || Self {
            world: world.clone(),
            shared: shared.clone(),
            own: Arc::default(),
        })
    }
}

/// Adds a host function that waits.
fn waits<X, P, F>(
    linker: &mut Linker<State<X>>,
    name: &str,
    wait: impl Fn(&State<X>, P) -> F + Send + Sync + 'static,
) where
    X: Send + Sync + 'static,
    P: WasmTyList + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let define =
        linker.func_wrap_async("host", name, move |caller: Caller<'_, State<X>>, params| {
            Box::new(wait(caller.data(), params))
        });
    define.unwrap();
}

/// Calls an export of each guest, runs all of them to their ends, and takes the results.
fn run_each<S: Send + 'static>(
    world: &World,
    guests: &[(Instance<S>, &'static str)],
) -> Result<(), Error> {
    let mut calls = Vec::new();
    for (guest, export) in guests {
        let mut call = guest.call::<(), ()>(export, ())?;
        world.pool().submit(call.to_job()?);
        calls.push(call);
    }
    world.run_all();
    calls.iter_mut().try_for_each(|call| call.try_get_result().map(|_| ()))
}

/// Two guests read a number, add one, and write it. The fixed host refuses to write what was made of a number that has changed since.
fn lost_update(host: Host) -> impl Fn(&World) -> Result<(), Error> {
    type Number = State<AtomicI32>;
    let wat = r#"(module
        (import "host" "read" (func $read (result i32)))
        (import "host" "write" (func $write (param i32) (result i32)))
        (func (export "add")
            (loop $again
                (br_if $again (i32.eqz
                    (call $write (i32.add (call $read) (i32.const 1))))))))"#;
    let pre = guests(wat, &engine_options(), |linker: &mut Linker<Number>| {
        let read = |caller: Caller<'_, Number>| {
            let State { world, shared, own } = caller.data();
            world.touches("number");
            own.store(shared.load(Relaxed), Relaxed);
            own.load(Relaxed)
        };
        let write = move |caller: Caller<'_, Number>, value: i32| {
            let State { world, shared, own } = caller.data();
            world.touches("number");
            if host == Host::Fixed && shared.load(Relaxed) != own.load(Relaxed) {
                return 0;
            }
            shared.store(value, Relaxed);
            1
        };
        linker.func_wrap("host", "read", read).unwrap();
        linker.func_wrap("host", "write", write).unwrap();
    });
    move |world| {
        let state = State::new(world, AtomicI32::new(0));
        run_each(world, &[(state.guest(&pre)?, "add"), (state.guest(&pre)?, "add")])?;
        assert_eq!(state.shared.load(Relaxed), 2, "an update is lost");
        Ok(())
    }
}

#[test]
fn a_lost_update() {
    let bug = Bug { depth: 2, message: "tests/explore/planted.rs", declares: true };
    bug.is_found(lost_update);
}

/// Two guests take two locks, in opposite orders. The fixed host has one lock for both, which a guest has until it has given both back.
fn lock_order(host: Host) -> impl Fn(&World) -> Result<(), Error> {
    type Locks = State<[Lock; 2]>;
    let wat = r#"(module
        (import "host" "lock" (func $lock (param i32)))
        (import "host" "unlock" (func $unlock (param i32)))
        (func $both (param $first i32) (param $second i32)
            (call $lock (local.get $first))
            (call $lock (local.get $second))
            (call $unlock (local.get $second))
            (call $unlock (local.get $first)))
        (func (export "ab") (call $both (i32.const 0) (i32.const 1)))
        (func (export "ba") (call $both (i32.const 1) (i32.const 0))))"#;
    let pre = guests(wat, &engine_options(), |linker: &mut Linker<Locks>| {
        waits(linker, "lock", move |State { world, shared, own }, (lock,): (i32,)| {
            let (world, shared) = (world.clone(), shared.clone());
            let has = own.fetch_add(1, Relaxed);
            async move {
                let touches = || world.touches("locks");
                match host {
                    Host::Faulty => shared[lock as usize].lock(touches).await,
                    Host::Fixed if has == 0 => shared[0].lock(touches).await,
                    Host::Fixed => {}
                }
            }
        });
        let unlock = move |caller: Caller<'_, Locks>, lock: i32| {
            let State { world, shared, own } = caller.data();
            world.touches("locks");
            let left = own.fetch_sub(1, Relaxed) - 1;
            match host {
                Host::Faulty => shared[lock as usize].unlock(),
                Host::Fixed if left == 0 => shared[0].unlock(),
                Host::Fixed => {}
            }
        };
        linker.func_wrap("host", "unlock", unlock).unwrap();
    });
    move |world| {
        let state = State::new(world, Default::default());
        run_each(world, &[(state.guest(&pre)?, "ab"), (state.guest(&pre)?, "ba")])
    }
}

#[test]
fn locks_in_two_orders() {
    let bug = Bug { depth: 2, message: "deadlock: ", declares: true };
    bug.is_found(lock_order);
}

/// A guest waits until there are two letters, each of which another guest posts and rings for. The faulty host resets the bell after the look for
/// letters, and the fixed one before it.
fn missed_event(host: Host) -> impl Fn(&World) -> Result<(), Error> {
    type Mailbox = State<(AtomicI32, Event)>;
    let wat = r#"(module
        (import "host" "letters" (func $letters (result i32)))
        (import "host" "wait" (func $wait))
        (import "host" "post" (func $post))
        (func (export "receive")
            (loop $again
                (if (i32.lt_s (call $letters) (i32.const 2))
                    (then (call $wait) (br $again)))))
        (func (export "send") (call $post) (call $post)))"#;
    let pre = guests(wat, &engine_options(), |linker: &mut Linker<Mailbox>| {
        let letters = move |caller: Caller<'_, Mailbox>| {
            let State { world, shared, .. } = caller.data();
            world.touches("mailbox");
            if host == Host::Fixed {
                shared.1.reset();
            }
            shared.0.load(Relaxed)
        };
        waits(linker, "wait", move |State { world, shared, .. }, (): ()| {
            world.touches("mailbox");
            if host == Host::Faulty {
                shared.1.reset();
            }
            shared.1.wait()
        });
        let post = |caller: Caller<'_, Mailbox>| {
            let State { world, shared, .. } = caller.data();
            world.touches("mailbox");
            shared.0.fetch_add(1, Relaxed);
            shared.1.set();
        };
        linker.func_wrap("host", "letters", letters).unwrap();
        linker.func_wrap("host", "post", post).unwrap();
    });
    move |world| {
        let state = State::new(world, Default::default());
        run_each(world, &[(state.guest(&pre)?, "receive"), (state.guest(&pre)?, "send")])
    }
}

#[test]
fn an_event_that_is_missed() {
    let bug = Bug { depth: 2, message: "deadlock: ", declares: true };
    bug.is_found(missed_event);
}

/// A guest reads a page that another one writes after two naps of half a second. The faulty host lets the reader sleep for a second, and the
/// fixed one until the page is there.
fn sleep_as_lock(host: Host) -> impl Fn(&World) -> Result<(), Error> {
    type Page = State<(AtomicUsize, Event)>;
    let wat = r#"(module
        (import "host" "nap" (func $nap))
        (import "host" "write" (func $write))
        (import "host" "wait" (func $wait))
        (import "host" "read" (func $read))
        (func (export "writer") (call $nap) (call $nap) (call $write))
        (func (export "reader") (call $wait) (call $read)))"#;
    let pre = guests(wat, &engine_options(), |linker: &mut Linker<Page>| {
        let nap =
            |State { world, .. }: &Page, (): ()| world.clock().sleep(Duration::from_millis(500));
        waits(linker, "nap", nap);
        waits(linker, "wait", move |State { world, shared, .. }, (): ()| match host {
            Host::Faulty => world.clock().sleep(Duration::from_secs(1)),
            Host::Fixed => {
                world.touches("page");
                Box::pin(shared.1.wait())
            }
        });
        let write = |caller: Caller<'_, Page>| {
            let State { world, shared, .. } = caller.data();
            world.touches("page");
            shared.0.store(1, Relaxed);
            shared.1.set();
        };
        let read = |caller: Caller<'_, Page>| {
            let State { world, shared, .. } = caller.data();
            world.touches("page");
            let is_written = shared.0.load(Relaxed) == 1;
            is_written
                .then_some(())
                .ok_or_else(|| wasm_jobs::wasmtime::format_err!("read too early"))
        };
        linker.func_wrap("host", "write", write).unwrap();
        linker.func_wrap("host", "read", read).unwrap();
    });
    move |world| {
        let state = State::new(world, Default::default());
        run_each(world, &[(state.guest(&pre)?, "writer"), (state.guest(&pre)?, "reader")])
    }
}

#[test]
fn a_sleep_that_is_used_as_a_lock() {
    let bug = Bug { depth: 1, message: "read too early", declares: true };
    bug.is_found(sleep_as_lock);
}

/// A guest takes money from one account, and brings it to another one by a second call. A job cancels it at any time. The fixed host moves the money in
/// the second call.
fn cancel_half_way(host: Host) -> impl Fn(&World) -> Result<(), Error> {
    type Accounts = State<Mutex<[i32; 2]>>;
    let wat = r#"(module
        (import "host" "withdraw" (func $withdraw (param i32)))
        (import "host" "deposit" (func $deposit (param i32)))
        (func (export "transfer")
            (call $withdraw (i32.const 5))
            (call $deposit (i32.const 5))))"#;
    let pre = guests(wat, &engine_options(), |linker: &mut Linker<Accounts>| {
        let withdraw = move |caller: Caller<'_, Accounts>, amount: i32| {
            caller.data().world.touches("accounts");
            if host == Host::Faulty {
                caller.data().shared.lock().unwrap()[0] -= amount;
            }
        };
        let deposit = move |caller: Caller<'_, Accounts>, amount: i32| {
            caller.data().world.touches("accounts");
            let mut accounts = caller.data().shared.lock().unwrap();
            if host == Host::Fixed {
                accounts[0] -= amount;
            }
            accounts[1] += amount;
        };
        linker.func_wrap("host", "withdraw", withdraw).unwrap();
        linker.func_wrap("host", "deposit", deposit).unwrap();
    });
    move |world| {
        let state = State::new(world, Mutex::new([10, 0]));
        let guest = state.guest(&pre)?;
        let mut call = guest.call::<(), ()>("transfer", ())?;
        let job = world.pool().submit(call.to_job()?);
        world.pool().submit_fn(move || job.cancel());
        world.run_all();
        assert!(matches!(call.try_get_result(), Ok(Some(())) | Err(Error::Cancelled)));
        assert_eq!(state.shared.lock().unwrap().iter().sum::<i32>(), 10, "money is lost");
        Ok(())
    }
}

#[test]
fn a_cancel_half_way() {
    let bug = Bug { depth: 2, message: "tests/explore/planted.rs", declares: true };
    bug.is_found(cancel_half_way);
}
