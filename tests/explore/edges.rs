//! What is rare: guests that compute for long, destructors that wait, start functions, and what outlives a run.

use crate::support::{Counter, guests, guests_lose_update, linked, shared};
use std::sync::Mutex;
use wasm_jobs::explore::{self, World};
use wasm_jobs::{EngineOptions, Error, Future, InstanceOptions, JobHandle, JobPool, yield_now};

/// A guest that computes for so many rounds, of some units of fuel each, between its two calls of the host, and comes to the second one in a straight line.
fn computes(rounds: u32) -> String {
    format!(
        r#"(module
            (import "shop" "read" (func $read (result i32)))
            (import "shop" "write" (func $write (param i32)))
            (func $add (export "add") (local $value i32) (local $left i32)
                (local.set $value (call $read))
                (local.set $left (i32.const {rounds}))
                (loop $again
                    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                    (br_if $again (local.get $left)))
                (call $write (i32.add (local.get $value) (i32.const 1)))))"#
    )
}

#[test]
fn a_guest_that_computes_for_long_stops_before_each_call_of_the_host() {
    for rounds in [1, 142_500, 142_750, 166_400, 200_000] {
        let pre = linked(&computes(rounds), &EngineOptions::default().deterministic());
        let test = guests_lose_update(&pre, InstanceOptions::default());
        // Nearly as much as a step needs, as much, and more.
        for fuel in [1_000_000_000, 7 * u64::from(rounds) + 100] {
            let failure = explore::dfs(100).max_fuel(fuel).check(&test).unwrap_err();
            assert_eq!(failure.schedule(), "0x2.1", "{rounds} rounds, {failure}");
        }
        let most = 5 * u64::from(rounds);
        if rounds > 1 {
            let failure = explore::dfs(100).max_fuel(most).check(&test).unwrap_err();
            assert!(failure.message().starts_with("a step goes on for ever"), "{failure}");
        }
    }
}

#[test]
fn an_endless_call_that_is_no_job_is_a_failure() {
    let pre = guests::<()>(
        r#"(module (func (export "run") (loop $again (br $again))))"#,
        &EngineOptions::default().deterministic(),
        |_| (),
    );
    let waits = |world: &World| world.instance(&pre, || ())?.call::<(), ()>("run", ())?.wait();
    let in_a_closure = |world: &World| {
        let instance = world.instance(&pre, || ())?;
        world.pool().submit_fn(move || {
            let _ = instance.call::<(), ()>("run", ()).unwrap().wait();
        });
        world.run_all();
        Ok::<(), Error>(())
    };
    let explorer = explore::dfs(1).max_fuel(100_000);
    for failure in [explorer.check(waits).unwrap_err(), explorer.check(in_a_closure).unwrap_err()] {
        assert!(failure.message().starts_with("a step goes on for ever"), "{failure}");
    }
}

/// Waits for a job when it is dropped.
struct Joins(JobHandle);

impl Drop for Joins {
    fn drop(&mut self) {
        self.0.wait();
    }
}

#[test]
fn a_destructor_that_waits_when_a_run_is_left_gets_what_it_waits_for() {
    let redundant = explore::dfs(100).reduce().run(|world: &World| {
        let _joins = [(); 3].map(|()| Joins(world.pool().submit_fn(|| ())));
        world.run_all();
    });
    assert_eq!((redundant.schedules, redundant.is_exhaustive), (1, true));
    let too_long = explore::dfs(10).max_steps(50).check(|world: &World| {
        let mut call = crate::support::steps(100);
        let _joins = Joins(world.pool().submit(call.to_job().unwrap()));
        world.run_all();
    });
    assert!(too_long.unwrap_err().message().starts_with("there are more than 50 steps"));
}

#[test]
fn a_start_function_that_calls_the_host_is_no_deadlock() {
    let pre = guests::<()>(
        r#"(module (import "env" "f" (func $f)) (func $start call $f call $f call $f) (start $start))"#,
        &EngineOptions::default(),
        |linker| {
            linker.func_wrap("env", "f", || ()).unwrap();
        },
    );
    let report = explore::dfs(10).run(|world: &World| -> Result<(), Error> {
        for _ in 0..3 {
            world.instance(&pre, || ())?;
        }
        Ok(())
    });
    assert_eq!((report.schedules, report.steps), (1, 0));
}

#[test]
fn an_instance_outlives_its_world() {
    let pre =
        linked(r#"(module (func (export "run")))"#, &EngineOptions::default().deterministic());
    let kept = Mutex::new(None);
    explore::dfs(1).run(|world: &World| -> Result<(), Error> {
        *kept.lock().unwrap() = Some(world.instance(&pre, shared(world, &Counter::default()))?);
        Ok(())
    });
    let instance = kept.lock().unwrap().take().unwrap();
    instance.call::<(), ()>("run", ()).unwrap().wait().unwrap();
    assert!(World::current().is_none());
}

#[cfg(feature = "rayon")]
#[test]
fn a_thread_local_waits_when_its_thread_ends() {
    use crate::support::ok;
    use wasm_jobs::Event;

    struct Last(std::sync::mpsc::Sender<bool>);
    impl Drop for Last {
        fn drop(&mut self) {
            let wait = || {
                let mut call = Future::new(ok(yield_now()));
                wasm_jobs::RayonGlobal.submit(call.to_job().unwrap()).wait();
            };
            let _ = self.0.send(std::panic::catch_unwind(wait).is_ok());
        }
    }
    thread_local! { static LAST: std::cell::RefCell<Option<Last>> = const { std::cell::RefCell::new(None) }; }
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        LAST.set(Some(Last(sender)));
        // The library's own are made later, and so end before.
        let event = Event::new();
        event.set();
        Future::new(ok(event.wait())).wait().unwrap();
    });
    thread.join().unwrap();
    assert!(receiver.recv().unwrap());
}

#[test]
fn a_failure_has_its_own_reason_and_place() {
    let unnamed = explore::dfs(1).check(|world: &World| {
        let _ = std::panic::catch_unwind(|| panic!("harmless, and caught"));
        let mut call = Future::new(async {
            yield_now().await;
            Err::<(), _>(Error::other("the true reason"))
        });
        world.pool().submit(call.to_job().unwrap());
        world.run_all();
    });
    let message = "a call has failed, and nobody took its error: the true reason";
    assert_eq!(unnamed.unwrap_err().message(), message);

    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            let _ = std::panic::catch_unwind(|| panic!("harmless, in a destructor"));
        }
    }
    let unwinds = explore::dfs(1).check(|_: &World| {
        let _panics = Panics;
        assert_eq!(1, 2, "the true reason");
    });
    let unwinds = unwinds.unwrap_err();
    assert!(unwinds.message().contains("edges.rs:"), "{unwinds}");
    assert!(unwinds.message().contains("the true reason"), "{unwinds}");

    // A panic in a host function has its place, too.
    let pre = guests::<()>(
        r#"(module (import "env" "f" (func $f)) (func (export "run") (call $f)))"#,
        &EngineOptions::default(),
        |linker| {
            linker.func_wrap("env", "f", || -> () { panic!("no apples") }).unwrap();
        },
    );
    let in_host = explore::dfs(10).check(|world: &World| -> Result<(), Error> {
        let mut call = world.instance(&pre, || ())?.call::<(), ()>("run", ())?.named("ann");
        world.pool().submit(call.to_job()?);
        world.run_all();
        Ok(())
    });
    let in_host = in_host.unwrap_err();
    let start = "ann has failed, and nobody took its error: tests/explore/edges.rs:";
    assert!(in_host.message().starts_with(start), "{in_host}");
    assert!(in_host.message().ends_with(": no apples"), "{in_host}");
    assert!(in_host.backtraces()[0].starts_with("ann#0 has failed: tests/explore/edges.rs:"));
}

#[test]
fn a_schedule_of_another_test_is_a_failure() {
    let test = |world: &World| {
        let _ = [(); 2].map(|()| world.pool().submit_fn(|| ()));
        world.run_all();
    };
    explore::replay("1").run(test);
    let failure = explore::replay("2").check(test).unwrap_err();
    let message =
        "the schedule is not one of this test: its choice 1 is 2, and there are 2 possibilities";
    assert_eq!(failure.message(), message);
    let failure = explore::replay("1.1.1").check(test).unwrap_err();
    let message = "the schedule is not one of this test, which ends 2 choices before";
    assert_eq!(failure.message(), message);
}

#[test]
fn dfs_notices_at_once_that_other_jobs_can_go_on_than_before() {
    let runs = std::cell::Cell::new(0);
    let failure = explore::dfs(100).check(|world: &World| {
        runs.set(runs.get() + 1);
        // The first run is repeated at once, so the third one is the second schedule.
        let jobs = if runs.get() == 3 { 3 } else { 2 };
        (0..jobs).for_each(|_| drop(world.pool().submit_fn(|| ())));
        world.run_all();
    });
    let failure = failure.unwrap_err();
    assert!(failure.message().starts_with("the same schedule went another way"), "{failure}");
    assert_eq!(runs.get(), 3);
}
