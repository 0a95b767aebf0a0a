//! The time from `Future::cancel`, of a guest that loops for ever on another thread, until the owner has `Error::Cancelled`: the 99th
//! percentile of a round. Beside a flag that the store's `epoch_deadline_callback` reads, with `increment_epoch`, and a channel for the
//! trap. The two sides take turns call by call.

use super::compiled;
use super::{PAUSE, pool};
use crate::guests;
use crate::rounds::{Finding, Other, of_pairs, p99_micros};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};
use wasm_jobs::wasmtime::{Store, Trap, UpdateDeadline};
use wasm_jobs::{Error, Instance, InstanceOptions, JobPool};

const ROUNDS: usize = 9;
const CALLS: usize = 200;

pub(crate) fn at_epochs() -> Finding {
    of(Instance::new(&guests::ours(), ()).expect("the pool has room"))
}

/// Of a guest that looks at a flag, on an engine without epochs.
pub(crate) fn at_flags() -> Finding {
    of(compiled::at_flags(InstanceOptions::default()))
}

fn of(instance: Instance<()>) -> Finding {
    let (mut ours, mut theirs) = (ours(instance), theirs());
    let round = |_| {
        let (ours, theirs) = (0..CALLS).map(|_| (ours(), theirs())).unzip();
        (p99_micros(ours), p99_micros(theirs))
    };
    of_pairs("us", Other::Peer("epoch_callback"), &(0..ROUNDS).map(round).collect::<Vec<_>>())
}

fn ours(instance: Instance<()>) -> impl FnMut() -> Duration {
    let pool = pool(1);
    move || {
        let call = instance.call::<i64, i64>("counts", i64::MAX);
        let mut call = call.expect("the guest exports it");
        let _job = pool.submit(call.to_job().expect("the call is ours"));
        // The guest runs by the end of this.
        thread::sleep(PAUSE);
        let start = Instant::now();
        call.cancel();
        assert!(matches!(call.wait(), Err(Error::Cancelled)), "it has no other end");
        let latency = start.elapsed();
        instance.clear_poison().expect("the call has ended");
        latency
    }
}

fn theirs() -> impl FnMut() -> Duration {
    let pool = pool(1);
    let engine = guests::engine_of_their_own(1);
    let cancelled = Arc::new(AtomicBool::new(false));
    let mut store = Store::new(&engine, ());
    let flag = cancelled.clone();
    store.epoch_deadline_callback(move |_| {
        Ok(match flag.load(Ordering::Acquire) {
            true => UpdateDeadline::Interrupt,
            false => UpdateDeadline::Continue(1),
        })
    });
    let instance = guests::synchronous(&engine).instantiate(&mut store);
    let instance = instance.expect("the pool has room");
    let func = instance.get_typed_func::<i64, i64>(&mut store, "counts");
    let func = func.expect("the guest exports it");
    let (sender, ends) = channel();
    let mut kept = Some((store, func));
    move || {
        let (mut store, func) = kept.take().expect("each call puts them back");
        let sender = sender.clone();
        cancelled.store(false, Ordering::Relaxed);
        // Not by the worker: a cancelling that comes before would be missed.
        store.set_epoch_deadline(1);
        pool.spawn(move || {
            let end = func.call(&mut store, i64::MAX);
            sender.send((end, store, func)).expect("it is waited for");
        });
        thread::sleep(PAUSE);
        let start = Instant::now();
        cancelled.store(true, Ordering::Release);
        engine.increment_epoch();
        let (end, store, func) = ends.recv().expect("the call sends it");
        let end = end.expect_err("it has no other end");
        assert_eq!(end.downcast_ref(), Some(&Trap::Interrupt), "it has no other end");
        let latency = start.elapsed();
        kept = Some((store, func));
        latency
    }
}
