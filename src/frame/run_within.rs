//! [`run_within`]: many calls on their owner's thread, within one budget of time.

use crate::call::future::{Future, Status};
use crate::call::step::Step;
use crate::step::interrupt::with_deadline;
use crate::wait::alarm;
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::mem;
use std::time::Duration;

/// How far [`run_within`] came: so many of its calls, and the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameReport {
    /// Have a result to take.
    pub done: usize,
    /// Wait for something.
    pub waiting: usize,
    /// Went on, and could go on further.
    pub yielded: usize,
    /// Could go on, and did not come to it. They are first the next time.
    pub unreached: usize,
    /// Are with a runner or a job.
    pub in_job: usize,
    /// Have nothing to do: their result was taken.
    pub disposed: usize,
    /// What it took.
    pub elapsed: Duration,
}

impl FrameReport {
    fn count(&mut self, status: Status) {
        *match status {
            Status::Ready => &mut self.unreached,
            Status::Waiting => &mut self.waiting,
            Status::Done => &mut self.done,
            Status::InJob => &mut self.in_job,
            Status::Disposed => &mut self.disposed,
        } += 1;
    }
}

/// Less than this is no step worth its while: to stop a guest takes about as long.
const LEAST: Duration = Duration::from_micros(100);

/// When the step of one of so many who share a budget is to be over.
pub(crate) fn step_end(now: Duration, ends: Duration, sharers: usize) -> Duration {
    let sharers = u32::try_from(sharers).unwrap_or(u32::MAX);
    let share = (ends.saturating_sub(now) / sharers.max(1)).max(LEAST);
    now.saturating_add(share).min(ends)
}

thread_local! {
    /// The steps of calls that this has taken on this thread.
    static TURNS: Cell<u64> = const { Cell::new(0) };
}

/// Advances these calls until each is done or waits, or until the budget is used up.
///
/// The next step is always of the call that has had the least time of this budget; of those, the one whose last step in any of
/// these is longest ago. A step may take its share of what is left, and no less than 100 µs: then a guest whose engine has epoch
/// interruption, as by default, yields, whatever its slice is. So a call that never yields by itself takes nothing from the
/// others, and the end of the budget is exceeded only by the time that it takes to stop a guest, which is mostly less than
/// 100 µs. What is not a guest, and what is inside a host function, goes on to its own next stop.
///
/// A call that is with a job or has no result any more is passed over. A script that yields in order to go on in the next frame
/// is better served by one [`Future::resume`] a frame.
///
/// ```
/// use std::time::Duration;
/// use wasm_jobs::{Future, run_within, yield_now};
///
/// let mut futures: Vec<_> = (0..3)
///     .map(|n| {
///         Future::new(async move {
///             yield_now().await;
///             Ok(n)
///         })
///     })
///     .collect();
/// while run_within(&mut futures, Duration::from_millis(2)).done < futures.len() {}
/// assert_eq!(futures[2].try_get_result()?, Some(2));
/// # Ok::<(), wasm_jobs::Error>(())
/// ```
pub fn run_within<'a, T: Send + 'static>(
    futures: impl IntoIterator<Item = &'a mut Future<T>>,
    budget: Duration,
) -> FrameReport {
    let start = alarm::now();
    let ends = start.saturating_add(budget);
    let mut frame = FrameReport::default();
    let mut now = start;

    let turns_before = TURNS.get();
    let mut calls: Vec<_> = futures.into_iter().collect();
    // Those that can go on, by the time that each has had.
    let mut ready = BinaryHeap::new();
    for (index, call) in calls.iter_mut().enumerate() {
        match call.status() {
            Status::Ready => ready.push(Reverse((Duration::ZERO, call.turn, index))),
            status => frame.count(status),
        }
    }
    while now < ends
        && let Some(Reverse((had, _, index))) = ready.pop()
    {
        let call = &mut calls[index];
        call.turn = TURNS.get() + 1;
        TURNS.set(call.turn);
        let step = with_deadline(step_end(now, ends, ready.len() + 1), || call.resume());
        let began = mem::replace(&mut now, alarm::now());
        match step {
            Ok(Step::Yielded) => ready.push(Reverse((had + (now - began), call.turn, index))),
            Ok(Step::Waiting) => frame.waiting += 1,
            Ok(Step::Done) => frame.done += 1,
            Err(_) => unreachable!("a call that is ready is its owner's"),
        }
    }
    for Reverse((_, turn, _)) in ready {
        if turn > turns_before {
            frame.yielded += 1;
        } else {
            frame.unreached += 1;
        }
    }
    frame.elapsed = now.saturating_sub(start);
    frame
}
