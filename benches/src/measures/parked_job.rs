//! Resident memory for each of 900 calls that wait as jobs on two rayon workers, with the instance, the future and the handle: beside the
//! same call as a task on tokio's multi-thread runtime, with its store and its handle. Ours wait for an `Event`, and theirs for a
//! `Notify`. Each side is measured in processes of its own.

use super::parked::{in_child, resident};
use super::{poll_to_end, pool, runtime};
use crate::guests;
use crate::rounds::{Finding, Other, of_pairs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use tokio::sync::Notify;
use wasm_jobs::{Event, Instance, JobPool};

const CALLS: usize = 900;
/// These set up things for all calls, on both workers, and are not counted.
const FIRST_CALLS: usize = 50;
const WORKERS: usize = 2;

pub(crate) fn measure() -> Finding {
    let pair = |_| (in_child("parked_job_ours"), in_child("parked_job_theirs"));
    of_pairs("bytes", Other::Peer("tokio"), &(0..7).map(pair).collect::<Vec<_>>())
}

pub(super) fn ours() {
    let (pool, event) = (pool(WORKERS), Event::new());
    let waiting = Arc::new(AtomicUsize::new(0));
    let pre = {
        let waiting = waiting.clone();
        let wait = move || {
            waiting.fetch_add(1, Ordering::Relaxed);
            event.wait()
        };
        guests::waiting(wait, || {})
    };
    report(&waiting, || {
        let instance = Instance::new(&pre, ()).expect("the pool has room");
        let mut call = instance.call::<i32, ()>("waits", 1).expect("the guest exports it");
        let job = pool.submit(call.to_job().expect("the call is ours"));
        (instance, call, job)
    });
}

pub(super) fn theirs() {
    let (runtime, notify) = (runtime(WORKERS), Arc::new(Notify::new()));
    let waiting = Arc::new(AtomicUsize::new(0));
    let pre = {
        let waiting = waiting.clone();
        let wait = move || {
            waiting.fetch_add(1, Ordering::Relaxed);
            notify.clone().notified_owned()
        };
        guests::waiting(wait, || {})
    };
    report(&waiting, || {
        let (mut store, func) = poll_to_end(guests::export::<i32, ()>(&pre, "waits"));
        runtime.spawn(async move { func.call_async(&mut store, 1).await })
    });
}

/// Prints what each of the calls takes, in bytes, once all of them wait.
fn report<C>(waiting: &AtomicUsize, submit: impl Fn() -> C) {
    let all_wait = |calls| {
        while waiting.load(Ordering::Relaxed) < calls {
            thread::yield_now();
        }
        // The last of them has not stopped yet.
        thread::sleep(Duration::from_millis(20));
    };
    let first: Vec<_> = (0..FIRST_CALLS).map(|_| submit()).collect();
    all_wait(FIRST_CALLS);
    let mut calls = Vec::with_capacity(CALLS);
    let before = resident();
    calls.extend((0..CALLS).map(|_| submit()));
    all_wait(FIRST_CALLS + CALLS);
    let after = resident();
    println!("{}", (after - before) as f64 / CALLS as f64);
    drop((first, calls));
}
