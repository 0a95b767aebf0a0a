//! Calls that wait for long become data by themselves, and go on when they are woken.

use super::small_engine;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;
use wasm_jobs::wasmtime::{Engine, Linker};
use wasm_jobs::{
    CannotFreeze, EngineOptions, Error, Frozen, Future, Instance, InstanceOptions, ManualClock,
    PrepareOptions, PreparedPre, Step, Timeout, add_yield, engine, func_wrap_resumable, guest_kit,
    prepare_with, yield_now,
};

/// What `receive` gives, one after the other. Each is given once.
#[derive(Clone, Default)]
struct Mailbox(Arc<Mutex<(VecDeque<i32>, Option<Waker>)>>);

impl Mailbox {
    fn send(&self, message: i32) {
        let waker = {
            let (messages, waker) = &mut *self.0.lock().unwrap();
            messages.push_back(message);
            waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn receive(&self) -> impl std::future::Future<Output = i32> + Send + use<> {
        let mailbox = self.clone();
        std::future::poll_fn(move |context| {
            let (messages, waker) = &mut *mailbox.0.lock().unwrap();
            *waker = Some(context.waker().clone());
            messages.pop_front().map_or(Poll::Pending, Poll::Ready)
        })
    }

    fn left(&self) -> usize {
        self.0.lock().unwrap().0.len()
    }
}

/// The host's half of a guest.
#[derive(Clone, Default)]
struct Host {
    mailbox: Mailbox,
    seen: Vec<i32>,
}

/// `sum(n)` receives n messages, three functions deep, and tells the host of each sum. It keeps the sum in memory and in a global.
const SUM: &str = r#"(module
    (import "env" "receive" (func $receive (result i32)))
    (import "env" "tell" (func $tell (param i32)))
    (import "env" "yield" (func $yield))
    (import "env" "sleep" (func $sleep (param i64)))
    (import "env" "wait" (func $wait))
    (memory (export "memory") 1)
    (global $sum (export "sum_so_far") (mut i32) (i32.const 0))
    (func $deeper (param $depth i32) (result i32)
        (if (result i32) (local.get $depth)
            (then (call $deeper (i32.sub (local.get $depth) (i32.const 1))))
            (else (call $receive))))
    (func (export "sum") (param $n i32) (result i32)
        (loop $next
            (global.set $sum (i32.add (global.get $sum) (call $deeper (i32.const 2))))
            (i32.store (i32.const 8) (global.get $sum))
            (call $tell (i32.load (i32.const 8)))
            (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (global.get $sum))
    (func (export "nap") (param i64) (result i32)
        (call $sleep (local.get 0))
        (i32.const 7))
    (func (export "yields") (param $n i32) (result i32)
        (loop $next
            (call $yield)
            (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (i32.const 8))
    (func (export "wait") (result i32) (call $wait) (i32.const 9)))"#;

fn linker(engine: &Engine, clock: &ManualClock) -> Linker<Host> {
    let mut linker = Linker::<Host>::new(engine);
    guest_kit::add_to_linker(&mut linker, clock.clone()).unwrap();
    func_wrap_resumable(&mut linker, "env", "receive", |caller, ()| {
        caller.data().mailbox.receive()
    })
    .unwrap();
    linker
        .func_wrap("env", "tell", |mut caller: wasm_jobs::wasmtime::Caller<'_, Host>, sum: i32| {
            caller.data_mut().seen.push(sum);
        })
        .unwrap();
    linker.func_wrap_async("env", "wait", |_, ()| Box::new(yield_now())).unwrap();
    linker
}

fn pre(engine: &Engine, clock: &ManualClock) -> PreparedPre<Host> {
    let wasm = wat::parse_str(SUM).unwrap();
    let module = prepare_with(engine, wasm, &PrepareOptions::default().freezable(true)).unwrap();
    module.instantiate_pre(&linker(engine, clock)).unwrap()
}

fn at_once() -> InstanceOptions {
    InstanceOptions::default().park_after(Duration::ZERO)
}

fn instance(pre: &PreparedPre<Host>, host: &Host) -> Instance<Host> {
    let host = host.clone();
    Instance::with_options(pre, at_once(), move || host.clone()).unwrap()
}

/// Resumes a call until it waits.
fn until_it_waits<T: Send>(future: &mut Future<T>) {
    while future.resume().unwrap() == Step::Yielded {}
    assert!(!future.has_result());
}

#[test]
fn a_parked_call_gives_its_place_to_others_and_goes_on() {
    let engine = engine(&EngineOptions::default().pooling(1)).unwrap();
    let pre = pre(&engine, &ManualClock::new());
    let hosts: Vec<Host> = (0..20).map(|_| Host::default()).collect();
    let mut calls = Vec::new();
    for host in &hosts {
        let instance = instance(&pre, host);
        let mut call = instance.call::<i32, i32>("sum", 3).unwrap();
        assert_eq!(call.resume().unwrap(), Step::Waiting);
        assert!(!instance.is_poisoned(), "a call in progress does not count");
        assert!(matches!(instance.checkpoint(), Err(Error::CallInProgress)));
        calls.push((instance, call));
    }
    for message in [1, 10, 100] {
        for (number, (host, (_, call))) in (0..).zip(hosts.iter().zip(&mut calls)) {
            host.mailbox.send(message + number);
            if message < 100 {
                assert_eq!(call.resume().unwrap(), Step::Waiting);
            } else {
                assert_eq!(call.wait().unwrap(), 111 + 3 * number);
            }
            assert_eq!(host.mailbox.left(), 0, "each message was received");
            if message == 100 {
                // Its guest would keep the only place.
                let (instance, _) = &calls[number as usize];
                let store = instance.store().unwrap();
                assert_eq!(store.data().seen, [1 + number, 11 + 2 * number, 111 + 3 * number]);
                drop(store);
                break;
            }
        }
        if message == 100 {
            break;
        }
    }
}

#[test]
fn the_guest_and_the_host_are_as_they_were() {
    let (engine, clock) = (small_engine(), ManualClock::new());
    let (pre, host) = (pre(&engine, &clock), Host::default());
    let instance = instance(&pre, &host);
    let sum = instance.func::<i32, i32>("sum").unwrap();
    for round in 1..=3 {
        let mut call = sum.call(2).unwrap();
        until_it_waits(&mut call);
        host.mailbox.send(5);
        until_it_waits(&mut call);
        host.mailbox.send(6);
        assert_eq!(call.wait().unwrap(), 11 * round, "the global goes on from call to call");
        assert!(!instance.is_poisoned());
    }
    let mut store = instance.store().unwrap();
    assert_eq!(store.data().seen, [5, 11, 16, 22, 27, 33]);
    let memory = store.memory("memory").unwrap();
    assert_eq!(memory.data(&store)[8..12], 33_i32.to_le_bytes());
}

#[test]
fn a_call_that_yields_is_not_parked_and_a_call_that_waits_elsewhere_goes_on() {
    let engine = engine(&EngineOptions::default().pooling(1)).unwrap();
    let pre = pre(&engine, &ManualClock::new());
    let instance = instance(&pre, &Host::default());
    for (export, result) in [("yields", 8), ("wait", 9)] {
        let mut call = match export {
            "yields" => instance.call::<i32, i32>(export, 3).unwrap(),
            _ => instance.call::<(), i32>(export, ()).unwrap(),
        };
        assert_eq!(call.resume().unwrap(), Step::Yielded);
        let other = Instance::with_options(&pre, at_once(), Host::default);
        assert!(matches!(other, Err(Error::TooManyInstances { .. })), "it has its place");
        assert_eq!(call.wait().unwrap(), result);
    }
}

#[test]
fn a_woken_call_yields_while_the_pool_is_full() {
    let engine = engine(&EngineOptions::default().pooling(1)).unwrap();
    let (pre, host) = (pre(&engine, &ManualClock::new()), Host::default());
    let parked = instance(&pre, &host);
    let mut call = parked.call::<i32, i32>("sum", 1).unwrap();
    assert_eq!(call.resume().unwrap(), Step::Waiting);
    let other = instance(&pre, &Host::default());
    host.mailbox.send(3);
    for _ in 0..3 {
        assert_eq!(call.resume().unwrap(), Step::Yielded);
        assert_eq!(host.mailbox.left(), 0, "it has its message");
        // Its message would be lost.
        assert!(matches!(call.try_freeze(), Err(Error::CannotFreeze(CannotFreeze::Running))));
    }
    drop(other);
    assert_eq!(call.wait().unwrap(), 3);
}

#[test]
fn a_parked_call_that_is_cancelled_or_dropped_leaves_a_poisoned_instance() {
    let (engine, clock) = (small_engine(), ManualClock::new());
    let pre = pre(&engine, &clock);
    for cancels in [false, true] {
        let host = Host::default();
        let instance = instance(&pre, &host);
        let mut call = instance.call::<i32, i32>("sum", 2).unwrap();
        host.mailbox.send(4);
        until_it_waits(&mut call);
        if cancels {
            call.cancel();
            assert!(matches!(call.wait(), Err(Error::Cancelled)));
        }
        drop(call);
        assert!(instance.is_poisoned());
        assert!(matches!(instance.call::<i32, i32>("sum", 1), Err(Error::Poisoned)));
        assert!(matches!(instance.clear_poison(), Err(Error::Poisoned)), "there is no guest");
        assert_eq!(instance.store().unwrap().data().seen, [4], "the host's state is there");
        instance.reset().unwrap();
        host.mailbox.send(9);
        assert_eq!(instance.call::<i32, i32>("sum", 1).unwrap().wait().unwrap(), 9);
    }
}

#[test]
fn time_passes_for_a_parked_call() {
    let (engine, clock) = (small_engine(), ManualClock::new());
    let pre = pre(&engine, &clock);
    // Instantiating counts as a call, and has to be in time on a busy machine, too.
    let options = at_once().begun_timeout(Duration::from_millis(500));
    let instance = Instance::with_options(&pre, options, Host::default).unwrap();
    let mut call = instance.call::<i32, i32>("sum", 1).unwrap();
    let Err(Error::TimedOut(why)) = call.wait() else { panic!("nobody sends a message") };
    assert_eq!(why.limit, Timeout::Begun);
    assert!(why.begun && instance.is_poisoned());
    instance.reset().unwrap();
}

#[test]
fn a_parked_call_is_frozen_as_any_other() {
    let (engine, clock) = (small_engine(), ManualClock::new());
    let (pre, host) = (pre(&engine, &clock), Host::default());
    let parked = instance(&pre, &host);
    let mut call = parked.call::<i32, i32>("sum", 2).unwrap();
    host.mailbox.send(1);
    until_it_waits(&mut call);

    let here = call.checkpoint().unwrap();
    assert_eq!(here.frames().len(), 4);
    assert_eq!(here.pending().name(), "receive");
    let frozen: Frozen<i32> = call.freeze().unwrap();
    assert!(call.is_disposed() && parked.is_poisoned());
    let bytes = frozen.to_bytes();
    assert_eq!(bytes, here.to_bytes());

    for (number, options) in (0..).zip([at_once(), InstanceOptions::default()]) {
        let frozen = Frozen::<i32>::from_bytes(&pre, &bytes).unwrap();
        let mut call = frozen.thaw(&pre, options, host.clone()).unwrap();
        until_it_waits(&mut call);
        host.mailbox.send(20 + number);
        assert_eq!(call.wait().unwrap(), 21 + number);
    }
    let mut back = parked.thaw(&frozen).unwrap();
    host.mailbox.send(30);
    assert_eq!(back.wait().unwrap(), 31);
    assert!(!parked.is_poisoned());
}

#[test]
fn a_call_sleeps_for_as_long_as_it_wanted_to() {
    let (engine, clock) = (small_engine(), ManualClock::new());
    let pre = pre(&engine, &clock);
    let sleeper = instance(&pre, &Host::default());
    let mut call = sleeper.call::<i64, i32>("nap", 10_000).unwrap();
    until_it_waits(&mut call);
    clock.tick(Duration::from_nanos(4_000));
    until_it_waits(&mut call);
    let frozen = call.freeze().unwrap();
    assert_eq!(frozen.pending().waited(), Duration::from_nanos(4_000));
    assert_eq!(frozen.pending().params()[0].i64(), Some(10_000));
    // Time that passes while it is frozen does not count.
    clock.tick(Duration::from_secs(1));
    let mut call = sleeper.thaw(&frozen).unwrap();
    until_it_waits(&mut call);
    clock.tick(Duration::from_nanos(5_999));
    until_it_waits(&mut call);
    clock.tick(Duration::from_nanos(1));
    assert_eq!(call.wait().unwrap(), 7);
}

#[test]
fn a_call_is_parked_when_it_has_waited_for_long() {
    let engine = engine(&EngineOptions::default().pooling(1)).unwrap();
    let (pre, host) = (pre(&engine, &ManualClock::new()), Host::default());
    let options = InstanceOptions::default().park_after(Duration::from_millis(5));
    let of_call = host.clone();
    let parked = Instance::with_options(&pre, options, move || of_call.clone()).unwrap();
    let mut call = parked.call::<i32, i32>("sum", 1).unwrap();
    // On a busy machine, the time may have passed when the step ends. Then it has yielded.
    assert_ne!(call.resume().unwrap(), Step::Done);
    let other = || Instance::with_options(&pre, at_once(), Host::default);
    // It is woken for that, and steps once. How late that is does not matter.
    let other = loop {
        let _ = call.resume().unwrap();
        match other() {
            Ok(other) => break other,
            Err(Error::TooManyInstances { .. }) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    };
    drop(other);
    host.mailbox.send(12);
    assert_eq!(call.wait().unwrap(), 12);
}

#[test]
fn a_module_that_is_not_freezable_cannot_be_parked() {
    let engine = small_engine();
    let wasm = wat::parse_str("(module)").unwrap();
    let prepared = prepare_with(&engine, &wasm, &PrepareOptions::default()).unwrap();
    let pre = prepared.instantiate_pre(&Linker::<()>::new(&engine)).unwrap();
    let made = Instance::with_options(&pre, at_once(), || ());
    assert!(matches!(made, Err(Error::Unsupported { .. })));
}

/// With jobs on a pool whose workers wake each other's calls.
#[cfg(feature = "rayon")]
#[test]
fn parked_jobs_go_on_when_they_are_woken() {
    use std::sync::mpsc::{self, Sender};
    use wasm_jobs::JobPool;

    const CALLS: usize = 200;
    let workers = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let workers = Arc::new(workers);
    let engine = engine(&EngineOptions::default().pooling(4)).unwrap();
    let pre = pre(&engine, &ManualClock::new());
    let hosts: Vec<Host> = (0..CALLS).map(|_| Host::default()).collect();
    let mut calls = Vec::new();
    for host in &hosts {
        let instance = instance(&pre, host);
        let mut call = instance.call::<i32, i32>("sum", 5).unwrap();
        assert_eq!(call.resume().unwrap(), Step::Waiting);
        let handle = workers.submit(call.to_job().unwrap());
        calls.push((call, handle));
    }
    let (done, all_done): (Sender<()>, _) = mpsc::channel();
    for half in 0..2 {
        let (hosts, done) = (hosts.clone(), done.clone());
        std::thread::spawn(move || {
            for round in 0..5 {
                for (number, host) in (0..).zip(&hosts) {
                    if (round + number) % 2 == half {
                        host.mailbox.send(number);
                    }
                }
            }
            for host in &hosts {
                host.mailbox.send(0);
            }
            drop(done);
        });
    }
    drop(done);
    assert!(all_done.recv().is_err(), "both threads have sent all");
    for (number, (mut call, handle)) in (0..).zip(calls) {
        handle.wait();
        let sum = call.try_get_result().unwrap().unwrap();
        assert_eq!(sum % number.max(1), 0, "messages of {number}: {sum}");
        assert!(sum <= 5 * number && sum >= 3 * number, "call {number}: {sum}");
    }
}

#[test]
fn yields_of_the_host_can_be_checkpoints() {
    let engine = small_engine();
    let mut linker = linker(&engine, &ManualClock::new());
    linker.allow_shadowing(true);
    add_yield(&mut linker, "env", "yield").unwrap();
    let wasm = wat::parse_str(SUM).unwrap();
    let module = prepare_with(&engine, wasm, &PrepareOptions::default().freezable(true)).unwrap();
    let pre = module.instantiate_pre(&linker).unwrap();
    let instance = Instance::new(&pre, Host::default()).unwrap();
    let mut call = instance.call::<i32, i32>("yields", 3).unwrap();
    let mut checkpoints = Vec::new();
    for left in [3, 2, 1] {
        assert_eq!(call.resume().unwrap(), Step::Yielded);
        let here = call.checkpoint().unwrap();
        assert_eq!(here.frames()[0].to_string(), format!("function 8: local 0 = {left}"));
        checkpoints.push(here);
    }
    assert_eq!(call.wait().unwrap(), 8);
    for (here, yields) in checkpoints.iter().zip([3, 2, 1]).cycle().take(7) {
        let mut call = instance.thaw(here).unwrap();
        for _ in 0..yields {
            assert_eq!(call.resume().unwrap(), Step::Yielded);
        }
        assert_eq!(call.resume().unwrap(), Step::Done);
        assert_eq!(call.wait().unwrap(), 8);
    }
}
