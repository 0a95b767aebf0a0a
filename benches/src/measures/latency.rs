//! The time from the making of one empty call until its result is with the thread that made it, by way of a pool of two workers, all
//! of them asleep before: the median of a round. The store is made before, and comes back with the result.
//!
//! Beside `spawn` and `block_on` on tokio's multi-thread runtime, and beside `rayon::ThreadPool::spawn` and a channel. The two sides take
//! turns call by call, as in `wake`.

use super::{PAUSE, poll_to_end, pool, runtime};
use crate::guests;
use crate::rounds::{Finding, Other, median, of_pairs};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;
use wasm_jobs::wasmtime::{Store, TypedFunc};
use wasm_jobs::{Instance, JobPool};

const ROUNDS: usize = 15;
const CALLS: usize = 100;
const WORKERS: usize = 2;

pub(crate) fn beside_tokio() -> Finding {
    let runtime = runtime(WORKERS);
    let mut kept = Some(store_and_func());
    beside("tokio", || {
        let (mut store, func) = kept.take().expect("each call puts them back");
        let task = runtime.spawn(async move {
            store.set_epoch_deadline(1);
            func.call_async(&mut store, ()).await.expect("the guest returns");
            (store, func)
        });
        kept = Some(runtime.block_on(task).expect("the task does not panic"));
    })
}

pub(crate) fn beside_rayon() -> Finding {
    let pool = pool(WORKERS);
    let (sender, results) = channel();
    let mut kept = Some(store_and_func());
    beside("rayon", || {
        let (mut store, func) = kept.take().expect("each call puts them back");
        let sender = sender.clone();
        pool.spawn(move || {
            store.set_epoch_deadline(1);
            poll_to_end(func.call_async(&mut store, ())).expect("the guest returns");
            sender.send((store, func)).expect("it is waited for");
        });
        kept = Some(results.recv().expect("the call sends them"));
    })
}

fn store_and_func() -> (Store<()>, TypedFunc<(), ()>) {
    poll_to_end(guests::export(&guests::theirs(), "nothing"))
}

fn beside(peer: &'static str, mut theirs: impl FnMut()) -> Finding {
    let pool = pool(WORKERS);
    let instance = Instance::new(&guests::ours(), ()).expect("the pool has room");
    let nothing = instance.func::<(), ()>("nothing").expect("the guest exports it");
    let mut ours = || {
        let mut call = nothing.call(()).expect("the instance is free");
        pool.submit(call.to_job().expect("the call is ours"));
        call.wait().expect("the guest returns");
    };
    let pairs: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let (ours, theirs): (Vec<_>, Vec<_>) =
                (0..CALLS).map(|_| (time(&mut ours), time(&mut theirs))).unzip();
            (median(ours.into_iter()), median(theirs.into_iter()))
        })
        .collect();
    of_pairs("ns", Other::Peer(peer), &pairs)
}

/// The time of one call, in nanoseconds, when all threads are asleep.
fn time(call: &mut impl FnMut()) -> f64 {
    thread::sleep(PAUSE);
    let start = Instant::now();
    call();
    start.elapsed().as_nanos() as f64
}
