//! Slices of a millisecond: how far a guest that never yields gets beyond its slice, and what slicing costs a guest that
//! computes.

use super::compiled;
use super::poll_to_end;
use super::ticker::{TICK, Ticker};
use crate::guests;
use crate::rounds::{Finding, Other, beyond, compare, look_at_the_clock, of_pairs, p99_micros};
use std::sync::Barrier;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;
use wasm_jobs::{Instance, InstanceOptions, Slice, Step};

const SLICE: Duration = TICK;
/// The two sides take turns, this many steps at a time.
const ROUNDS: usize = 8;
const STEPS: usize = 125;
const WORKERS: usize = 2;

/// How far a guest counts when the cost is measured.
const COUNT: i64 = 50_000_000;

/// The time that the 99th percentile of the steps takes beyond the slice, while two threads run such guests. Beside steps that do
/// nothing but look at the clock, and are late only because the machine is.
pub(crate) fn overshoot() -> Finding {
    overshoot_beside("clock", at_epochs, || || look_at_the_clock(SLICE), || (), || ())
}

/// The same of guests that look at flags, on an engine without epochs.
pub(crate) fn overshoot_at_flags() -> Finding {
    let at_flags = || compiled::at_flags(InstanceOptions::default());
    overshoot_beside("clock", at_flags, || || look_at_the_clock(SLICE), || (), || ())
}

/// The same beside guests that yield at the next tick of a thread that ticks each millisecond. Its steps begin after a tick, and so they last
/// for one.
pub(crate) fn overshoot_beside_ticker() -> Finding {
    let engine = guests::engine_of_their_own(WORKERS as u32);
    let pre = guests::theirs_on(&engine);
    let ticker = Ticker::new(engine);
    let step = || {
        let (mut store, func) = poll_to_end(guests::export::<i64, i64>(&pre, "counts"));
        let mut call = Box::pin(async move { func.call_async(&mut store, i64::MAX).await });
        move || {
            let mut context = Context::from_waker(Waker::noop());
            assert!(call.as_mut().poll(&mut context).is_pending());
        }
    };
    overshoot_beside("ticker", at_epochs, step, || ticker.on(), || ticker.off())
}

fn at_epochs() -> Instance<()> {
    Instance::new(&guests::ours(), ()).expect("the pool has room")
}

/// `instance` makes a guest of ours for each thread. `their_step` makes a step of the peer for each thread; `before` and `after` are called around its turns.
fn overshoot_beside<S: FnMut() + Send>(
    peer: &'static str,
    instance: impl Fn() -> Instance<()>,
    their_step: impl Fn() -> S,
    before: impl Fn() + Sync,
    after: impl Fn() + Sync,
) -> Finding {
    let mut calls = Vec::new();
    for _ in 0..WORKERS {
        let instance = instance();
        instance.set_slice(Slice::Time(SLICE)).expect("the guest can be stopped");
        calls.push(instance.call::<i64, i64>("counts", i64::MAX).expect("the guest exports it"));
    }
    let mut sides = Vec::new();
    for call in &mut calls {
        sides.push((call.to_job().expect("the call is ours"), their_step()));
    }
    let together = Barrier::new(WORKERS);
    let turns = |mut runner: wasm_jobs::FutureRunner<i64>, mut their_step: S| {
        let mut rounds = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            together.wait();
            let step = |_| beyond(SLICE, || assert_eq!(runner.resume(), Step::Yielded));
            let ours: Vec<_> = (0..STEPS).map(step).collect();
            together.wait();
            before();
            let theirs: Vec<_> = (0..STEPS).map(|_| beyond(SLICE, &mut their_step)).collect();
            together.wait();
            after();
            rounds.push((ours, theirs));
        }
        rounds
    };
    let turns = &turns;
    let workers: Vec<_> = thread::scope(|scope| {
        let workers =
            sides.into_iter().map(|(ours, theirs)| scope.spawn(move || turns(ours, theirs)));
        // All are started before one is waited for.
        let workers: Vec<_> = workers.collect();
        workers.into_iter().map(|worker| worker.join().expect("no step panics")).collect()
    });
    let of_all = |round: usize| {
        let of = workers.iter().map(|rounds| rounds[round].clone());
        let (ours, theirs): (Vec<_>, Vec<_>) = of.unzip();
        (p99_micros(ours.concat()), p99_micros(theirs.concat()))
    };
    of_pairs("us", Other::Peer(peer), &(0..ROUNDS).map(of_all).collect::<Vec<_>>())
}

/// A guest that computes for many slices, beside the same guest without slices.
pub(crate) fn cost() -> Finding {
    let (ours, theirs) = (counts(Slice::Time(SLICE)), counts(Slice::Unbounded));
    compare(Other::Baseline("unsliced"), 15, 1, ours, theirs)
}

/// The same beside a guest that yields at the ticks of a thread that ticks each millisecond.
pub(crate) fn cost_beside_ticker() -> Finding {
    let engine = guests::engine_of_their_own(1);
    let pre = guests::theirs_on(&engine);
    let ticker = Ticker::new(engine);
    let (mut store, func) = poll_to_end(guests::export::<i64, i64>(&pre, "counts"));
    let theirs = || {
        ticker.on();
        store.set_epoch_deadline(1);
        let count = poll_to_end(func.call_async(&mut store, COUNT));
        assert_eq!(count.expect("the guest returns"), COUNT);
        ticker.off();
    };
    compare(Other::Peer("ticker"), 15, 1, counts(Slice::Time(SLICE)), theirs)
}

fn counts(slice: Slice) -> impl FnMut() {
    let instance = Instance::new(&guests::ours(), ()).expect("the pool has room");
    instance.set_slice(slice).expect("the engine has epochs");
    move || {
        let call = instance.call::<i64, i64>("counts", COUNT);
        let mut call = call.expect("the guest exports it");
        assert_eq!(call.wait().expect("the guest returns"), COUNT);
    }
}
