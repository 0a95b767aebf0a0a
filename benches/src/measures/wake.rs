//! The time from `Event::set` until the guest runs again as a job on rayon, beside `Notify` and a task on tokio's multi-thread
//! runtime, with as many workers each: the median of a round. All threads are asleep before a wake. The two sides take turns
//! wake by wake, so that each finds the processor's caches as the other has left them.

use super::{PAUSE, poll_to_end, pool, runtime};
use crate::guests;
use crate::rounds::{Finding, Other, median, of_pairs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;
use tokio::sync::Notify;
use wasm_jobs::{Event, Instance, JobPool};

const ROUNDS: usize = 15;
const WAKES: usize = 100;

const ALL_WAKES: i32 = (ROUNDS * WAKES) as i32;

pub(crate) fn measure<const WORKERS: usize>() -> Finding {
    let pool = pool(WORKERS);
    let event = Event::new();
    let (awake, ours_awake) = channel();
    let pre = {
        let (waited_for, reset) = (event.clone(), event.clone());
        let awake = move || {
            awake.send(Instant::now()).expect("the measure goes on");
            reset.reset();
        };
        guests::waiting(move || waited_for.wait(), awake)
    };
    let instance = Instance::new(&pre, ()).expect("the pool has room");
    let mut call = instance.call::<i32, ()>("waits", ALL_WAKES).expect("the guest exports it");
    let job = pool.submit(call.to_job().expect("the call is ours"));

    let runtime = runtime(WORKERS);
    let notify = Arc::new(Notify::new());
    let (awake, theirs_awake) = channel();
    let pre = {
        let notify = notify.clone();
        let awake = move || awake.send(Instant::now()).expect("the measure goes on");
        guests::waiting(move || notify.clone().notified_owned(), awake)
    };
    let (mut store, func) = poll_to_end(guests::export::<i32, ()>(&pre, "waits"));
    let task = runtime.spawn(async move {
        store.set_epoch_deadline(1);
        func.call_async(&mut store, ALL_WAKES).await.expect("the guest returns");
    });

    let pairs: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let (ours, theirs): (Vec<_>, Vec<_>) = (0..WAKES)
                .map(|_| {
                    let ours = time(|| event.set(), &ours_awake);
                    (ours, time(|| notify.notify_one(), &theirs_awake))
                })
                .unzip();
            (median(ours.into_iter()), median(theirs.into_iter()))
        })
        .collect();

    job.wait();
    call.try_get_result().expect("the guest returns").expect("it is done");
    runtime.block_on(task).expect("the task does not panic");
    of_pairs("ns", Other::Peer("tokio"), &pairs)
}

/// The time from the wake until the guest is awake, in nanoseconds.
fn time(wake: impl FnOnce(), awake: &Receiver<Instant>) -> f64 {
    thread::sleep(PAUSE);
    let start = Instant::now();
    wake();
    let awake = awake.recv().expect("the guest tells each time");
    (awake - start).as_nanos() as f64
}
