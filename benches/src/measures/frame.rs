//! Frames of 200 guests on a budget of 2 ms: how far the 99th percentile of the frames goes beyond it. A quarter of the guests never
//! yields; the others yield now and then.

use super::poll_to_end;
use super::ticker::Ticker;
use crate::guests;
use crate::rounds::{Finding, Other, beyond, look_at_the_clock, of_pairs, p99_micros};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};
use wasm_jobs::{Instance, run_within};

const GUESTS: usize = 200;
const ENDLESS: usize = GUESTS / 4;
/// The two sides take turns, this many frames at a time.
const ROUNDS: usize = 5;
const FRAMES: usize = 120;
const BUDGET: Duration = Duration::from_millis(2);

/// Beside frames that do nothing but look at the clock, and are late only because the machine is.
pub(crate) fn overshoot() -> Finding {
    overshoot_beside("clock", || look_at_the_clock(BUDGET), || (), || ())
}

/// Beside frames that poll such guests, one after the other, until the budget is over. The guests yield at the next tick of a thread that
/// ticks each millisecond. The next frame goes on where the last one has stopped.
pub(crate) fn overshoot_beside_ticker() -> Finding {
    let engine = guests::engine_of_their_own(GUESTS as u32);
    let pre = guests::theirs_on(&engine);
    let ticker = Ticker::new(engine);
    let call = |guest| {
        let (mut store, func) = poll_to_end(guests::export::<i64, i64>(&pre, export(guest)));
        Box::pin(async move { func.call_async(&mut store, i64::MAX).await })
    };
    let mut calls: Vec<_> = (0..GUESTS).map(call).collect();
    let mut next = 0;
    let frame = || {
        let mut context = Context::from_waker(Waker::noop());
        let start = Instant::now();
        for _ in 0..GUESTS {
            assert!(calls[next].as_mut().poll(&mut context).is_pending(), "none of them ends");
            next = (next + 1) % GUESTS;
            if start.elapsed() >= BUDGET {
                break;
            }
        }
    };
    overshoot_beside("ticker", frame, || ticker.on(), || ticker.off())
}

/// The export that a guest runs.
fn export(guest: usize) -> &'static str {
    if guest < ENDLESS { "counts" } else { "counts_and_yields" }
}

/// `before` and `after` are called around the turns of the peer.
fn overshoot_beside(
    peer: &'static str,
    mut theirs: impl FnMut(),
    before: impl Fn(),
    after: impl Fn(),
) -> Finding {
    let pre = guests::ours();
    let call = |guest| {
        let instance = Instance::new(&pre, ()).expect("the pool has room");
        instance.call::<i64, i64>(export(guest), i64::MAX).expect("the guest exports it")
    };
    let mut calls: Vec<_> = (0..GUESTS).map(call).collect();
    let mut ours = || {
        let frame = run_within(&mut calls, BUDGET);
        assert_eq!(frame.yielded + frame.unreached, GUESTS, "none of them ends");
    };
    let pairs: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let ours = (0..FRAMES).map(|_| beyond(BUDGET, &mut ours)).collect();
            before();
            let theirs = (0..FRAMES).map(|_| beyond(BUDGET, &mut theirs)).collect();
            after();
            (p99_micros(ours), p99_micros(theirs))
        })
        .collect();
    of_pairs("us", Other::Peer(peer), &pairs)
}
