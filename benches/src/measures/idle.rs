//! The CPU time of the process for each second that passes while 900 calls, jobs on rayon, wait for an event. Beside 900 tasks on tokio that
//! wait for a `Notify`. Only one side is there at a time. Both have two workers.

use super::{poll_to_end, pool, runtime};
use crate::guests;
use crate::rounds::{Finding, Other, of_pairs};
use rustix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use wasm_jobs::{Event, Instance, JobHandle, JobPool};

const CALLS: usize = 900;
const WORKERS: usize = 2;
const ROUNDS: usize = 5;
const PERIOD: Duration = Duration::from_millis(700);

pub(crate) fn measure() -> Finding {
    let pairs: Vec<_> = (0..ROUNDS).map(|_| (ours(), theirs())).collect();
    of_pairs("cpu_share", Other::Peer("tokio"), &pairs)
}

fn ours() -> f64 {
    let (pool, event) = (pool(WORKERS), Event::new());
    let waiting = Arc::new(AtomicUsize::new(0));
    let wait = {
        let (event, waiting) = (event.clone(), waiting.clone());
        move || {
            waiting.fetch_add(1, Ordering::Relaxed);
            event.wait()
        }
    };
    let pre = guests::waiting(wait, || {});
    let call = |_| {
        let instance = Instance::new(&pre, ()).expect("the pool has room");
        instance.call::<i32, ()>("waits", 1).expect("the guest exports it")
    };
    let mut calls: Vec<_> = (0..CALLS).map(call).collect();
    let jobs = calls.iter_mut().map(|call| pool.submit(call.to_job().expect("the call is ours")));
    let jobs: Vec<_> = jobs.collect();

    let used = used_while_all_wait(&waiting);

    assert!(jobs.iter().all(|job| !job.is_complete()), "a call has not gone on waiting");
    event.set();
    JobHandle::all(jobs).wait();
    for mut call in calls {
        call.try_get_result().expect("the guest returns").expect("it is done");
    }
    used
}

fn theirs() -> f64 {
    let (runtime, notify) = (runtime(WORKERS), Arc::new(Notify::new()));
    let waiting = Arc::new(AtomicUsize::new(0));
    let wait = {
        let (notify, waiting) = (notify.clone(), waiting.clone());
        move || {
            waiting.fetch_add(1, Ordering::Relaxed);
            notify.clone().notified_owned()
        }
    };
    let pre = guests::waiting(wait, || {});
    let task = |_| {
        let (mut store, func) = poll_to_end(guests::export::<i32, ()>(&pre, "waits"));
        runtime.spawn(async move { func.call_async(&mut store, 1).await })
    };
    let tasks: Vec<_> = (0..CALLS).map(task).collect();

    let used = used_while_all_wait(&waiting);

    assert!(tasks.iter().all(|task| !task.is_finished()), "a task has not gone on waiting");
    notify.notify_waiters();
    for task in tasks {
        let end = runtime.block_on(task).expect("the task does not panic");
        end.expect("the guest returns");
    }
    used
}

/// The CPU time for each second, once all calls wait.
fn used_while_all_wait(waiting: &AtomicUsize) -> f64 {
    while waiting.load(Ordering::Relaxed) < CALLS {
        thread::yield_now();
    }
    used()
}

/// The CPU time for each second while nothing happens.
pub(super) fn used() -> f64 {
    // By the end of this, the last call waits, and the workers have found nothing to do.
    thread::sleep(PERIOD / 5);
    let (start, used) = (Instant::now(), cpu_time());
    thread::sleep(PERIOD);
    (cpu_time() - used).as_secs_f64() / start.elapsed().as_secs_f64()
}

/// The CPU time of the process so far.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().expect("it is not negative")
}
