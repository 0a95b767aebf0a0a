//! Slices of a millisecond: how far a guest that never yields gets beyond its slice, and what slicing costs a guest that
//! computes.

use crate::guests;
use crate::rounds::{Finding, compare, p99_micros};
use std::thread;
use std::time::{Duration, Instant};
use wasm_jobs::{Instance, Slice, Step};

const SLICE: Duration = Duration::from_millis(1);
const STEPS: usize = 2_000;
const WORKERS: usize = 2;

/// The time beyond the slice that the longest step in a hundred takes, with all processors busy with such guests.
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
    let workers = runners.into_iter().map(|mut runner| {
        thread::spawn(move || {
            let step = |_| {
                let start = Instant::now();
                assert_eq!(runner.resume(), Step::Yielded);
                start.elapsed().saturating_sub(SLICE)
            };
            (0..STEPS).map(step).collect::<Vec<_>>()
        })
    });
    // All are started before one is waited for.
    let workers: Vec<_> = workers.collect();
    let beyond = workers.into_iter().map(|worker| worker.join().expect("no step panics"));
    Finding::Alone { unit: "us", ours: p99_micros(beyond.flatten().collect()) }
}

/// A guest that computes for some fifty slices, beside the same without slices.
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
