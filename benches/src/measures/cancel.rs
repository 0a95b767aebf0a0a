//! The time from `Future::cancel`, of a guest that loops for ever on another thread, until the owner has `Error::Cancelled`:
//! the 99th percentile.

use crate::guests;
use crate::rounds::{Finding, p99_micros};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use wasm_jobs::{Error, Instance, JobPool};

const CALLS: usize = 1_000;

pub(crate) fn measure() -> Finding {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let pool = Arc::new(pool.expect("a thread can be started"));
    let instance = Instance::new(&guests::ours(), ()).expect("the pool has room");
    let latencies = (0..CALLS)
        .map(|_| {
            let call = instance.call::<i64, i64>("counts", i64::MAX);
            let mut call = call.expect("the guest exports it");
            let _job = pool.submit(call.to_job().expect("the call is ours"));
            // The guest runs by the end of this.
            thread::sleep(Duration::from_micros(500));
            let start = Instant::now();
            call.cancel();
            assert!(matches!(call.wait(), Err(Error::Cancelled)), "it has no other end");
            let latency = start.elapsed();
            instance.clear_poison().expect("the call has ended");
            latency
        })
        .collect();
    Finding::Alone { unit: "us", ours: p99_micros(latencies) }
}
