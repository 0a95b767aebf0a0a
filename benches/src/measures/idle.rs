//! The CPU time of the process for each second that passes while 900 calls, jobs on rayon, wait for an event.

use crate::guests;
use crate::rounds::Finding;
use rustix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wasm_jobs::{Event, Instance, JobHandle, JobPool};

const CALLS: usize = 900;
const WORKERS: usize = 2;
const PERIOD: Duration = Duration::from_secs(3);

pub(crate) fn measure() -> Finding {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(WORKERS).build();
    let pool = Arc::new(pool.expect("threads can be started"));
    let event = Event::new();
    let waiting = Arc::new(AtomicUsize::new(0));
    let wait = {
        let (event, waiting) = (event.clone(), waiting.clone());
        move || {
            waiting.fetch_add(1, Ordering::Relaxed);
            event.wait()
        }
    };
    let pre = guests::waiting(wait, || {});
    let mut calls: Vec<_> = (0..CALLS)
        .map(|_| {
            let instance = Instance::new(&pre, ()).expect("the pool has room");
            instance.call::<i32, ()>("waits", 1).expect("the guest exports it")
        })
        .collect();
    let jobs: Vec<_> = calls
        .iter_mut()
        .map(|call| pool.submit(call.to_job().expect("the call is ours")))
        .collect();
    while waiting.load(Ordering::Relaxed) < CALLS {
        thread::yield_now();
    }
    // By the end of this, the last call waits, and the workers have found nothing to do.
    thread::sleep(PERIOD / 10);

    let (start, used) = (Instant::now(), cpu_time());
    thread::sleep(PERIOD);
    let (used, passed) = (cpu_time() - used, start.elapsed());

    assert!(jobs.iter().all(|job| !job.is_complete()), "a call has not gone on waiting");
    event.set();
    JobHandle::all(jobs).wait();
    for mut call in calls {
        call.try_get_result().expect("the guest returns").expect("it is done");
    }
    Finding::Alone { unit: "cpu_share", ours: used.as_secs_f64() / passed.as_secs_f64() }
}

/// The CPU time of the process so far.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().expect("it is not negative")
}
