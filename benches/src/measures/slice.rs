//! Slices of a millisecond: how far a guest that never yields gets beyond its slice, and what slicing costs a guest that
//! computes.

use crate::guests;
use crate::rounds::{Finding, beside_the_clock, beyond, compare, look_at_the_clock};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;
use wasm_jobs::{Instance, Slice, Step};

const SLICE: Duration = Duration::from_millis(1);
/// The two sides take turns, this many steps at a time.
const BLOCKS: usize = 8;
const STEPS: usize = 250;
const WORKERS: usize = 2;

/// The time that the 99th percentile of the steps takes beyond the slice, while two threads run such guests. Beside steps that do
/// nothing but look at the clock, and are late only because the machine is.
pub(crate) fn overshoot() -> Finding {
    let pre = guests::ours();
    let mut calls = Vec::new();
    for _ in 0..WORKERS {
        let instance = Instance::new(&pre, ()).expect("the pool has room");
        instance.set_slice(Slice::Time(SLICE)).expect("the engine has epochs");
        calls.push(instance.call::<i64, i64>("counts", i64::MAX).expect("the guest exports it"));
    }
    let mut runners = Vec::new();
    for call in &mut calls {
        runners.push(call.to_job().expect("the call is ours"));
    }
    let together = Arc::new(Barrier::new(WORKERS));
    let workers = runners.into_iter().map(|mut runner| {
        let together = together.clone();
        thread::spawn(move || {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..BLOCKS {
                together.wait();
                let step = |_| beyond(SLICE, || assert_eq!(runner.resume(), Step::Yielded));
                ours.extend((0..STEPS).map(step));
                together.wait();
                theirs.extend((0..STEPS).map(|_| beyond(SLICE, || look_at_the_clock(SLICE))));
            }
            (ours, theirs)
        })
    });
    // All are started before one is waited for.
    let workers: Vec<_> = workers.collect();
    let steps = workers.into_iter().map(|worker| worker.join().expect("no step panics"));
    let (ours, theirs): (Vec<_>, Vec<_>) = steps.unzip();
    beside_the_clock(ours.concat(), theirs.concat())
}

/// A guest that computes for many slices, beside the same guest without slices.
pub(crate) fn cost() -> Finding {
    const COUNT: i64 = 50_000_000;
    let pre = guests::ours();
    let counts = |slice| {
        let instance = Instance::new(&pre, ()).expect("the pool has room");
        instance.set_slice(slice).expect("the engine has epochs");
        move || {
            let call = instance.call::<i64, i64>("counts", COUNT);
            let mut call = call.expect("the guest exports it");
            assert_eq!(call.wait().expect("the guest returns"), COUNT);
        }
    };
    compare("unsliced", 31, 1, counts(Slice::Time(SLICE)), counts(Slice::Unbounded))
}
