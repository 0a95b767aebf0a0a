//! Parked calls: how much memory 100,000 of them take, and how long it takes until the guest of one that was woken runs. A guest sleeps by the kit's function, a function deep, with
//! 64 KiB of memory, of which it has written a few bytes.
//!
//! `parked_100k` is the resident memory of a process with all that it takes: the engine, the compiled modules, and the calls. `parked_wake` is from the tick of the clock to the end of a
//! call that then returns, and `parked_again` to the end of the step of one that is parked once more. Both are medians of calls that are woken one by one, among 10,000 that sleep on.

use super::compiled::freezable;
use super::parked::{in_child, resident};
use crate::rounds::{Finding, of_values};
use std::time::{Duration, Instant};
use wasm_jobs::wasmtime::Linker;
use wasm_jobs::{
    EngineOptions, Future, Instance, InstanceOptions, ManualClock, PreparedPre, Step, engine,
    guest_kit,
};

/// `naps(first, n)` sleeps for so many nanoseconds, and then n times for a million each.
const GUEST: &str = r#"
    (module
      (import "env" "sleep" (func $sleep (param i64)))
      (memory (export "memory") 1)
      (func $nap (param $nanoseconds i64) (result i64)
        (call $sleep (local.get $nanoseconds))
        (i64.add (local.get $nanoseconds) (i64.const 1)))
      (func (export "naps") (param $first i64) (param $n i32) (result i64) (local $slept i64)
        (i64.store (i32.const 64) (local.get $first))
        (local.set $slept (call $nap (local.get $first)))
        (if (i32.eqz (local.get $n)) (then (return (local.get $slept))))
        loop $again
          (local.set $slept (i64.add (local.get $slept) (call $nap (i64.const 1000000))))
          (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))
        end
        (local.get $slept)))
"#;

const CALLS: i64 = 100_000;
const OTHERS: i64 = 10_000;
const WAKES: i64 = 2_000;
const ROUNDS: usize = 5;

struct Sleepers {
    clock: ManualClock,
    pre: PreparedPre<()>,
}

impl Sleepers {
    fn new() -> Self {
        let engine = engine(&EngineOptions::default().pooling(4).epoch_interruption(false));
        let engine = engine.expect("a pool of four fits");
        let clock = ManualClock::new();
        let mut linker = Linker::new(&engine);
        guest_kit::add_to_linker(&mut linker, clock.clone()).expect("the linker is new");
        let wasm = wat::parse_str(GUEST).expect("the guest is well-formed");
        let pre = freezable(&engine, &wasm).instantiate_pre(&linker);
        Self { clock, pre: pre.expect("the guest imports what is linked") }
    }

    /// A call that is parked for so long, and sleeps `more` times after that.
    fn call(&self, nanoseconds: i64, more: i32) -> Future<i64> {
        let options = InstanceOptions::default().park_after(Duration::ZERO);
        let instance = Instance::with_options(&self.pre, options, || ());
        let instance = instance.expect("the pool has room, because all others are parked");
        let call = instance.call::<(i64, i32), i64>("naps", (nanoseconds, more));
        let mut call = call.expect("the guest exports it");
        assert_eq!(call.resume().expect("the call is ours"), Step::Waiting);
        call
    }
}

/// Bytes in all, in processes of their own.
pub(crate) fn memory() -> Finding {
    of_values("MB", (0..ROUNDS).map(|_| in_child("parked_100k") / 1e6))
}

/// What such a process does.
pub(super) fn print_memory() {
    let sleepers = Sleepers::new();
    let hour = 3_600_000_000_000;
    let calls: Vec<_> = (0..CALLS).map(|_| sleepers.call(hour, 0)).collect();
    println!("{}", resident());
    drop(calls);
}

pub(crate) fn wake() -> Finding {
    woken(0, Step::Done)
}

pub(crate) fn wake_and_park() -> Finding {
    woken(1_000, Step::Waiting)
}

fn woken(more: i32, end: Step) -> Finding {
    let sleepers = Sleepers::new();
    let hour = 3_600_000_000_000;
    let others: Vec<_> = (0..OTHERS).map(|_| sleepers.call(hour, 0)).collect();
    let round = || {
        // One wakes at each tick.
        let calls: Vec<_> = (1..=WAKES).map(|number| sleepers.call(number, more)).collect();
        let woken = calls.into_iter().map(|mut call| {
            let start = Instant::now();
            sleepers.clock.tick(Duration::from_nanos(1));
            assert_eq!(call.resume().expect("the call is ours"), end);
            (start.elapsed(), call)
        });
        let (mut times, calls): (Vec<_>, Vec<_>) = woken.unzip();
        times.sort_unstable();
        drop(calls);
        times[times.len() / 2].as_nanos() as f64 / 1e3
    };
    let finding = of_values("us", (0..ROUNDS * 3).map(|_| round()));
    drop(others);
    finding
}
