//! [`run_within`]: many calls on their owner's thread, within one budget of time. Calls come in; a [`FrameReport`] goes out.

use crate::call::future::{Future, Status};
use crate::call::step::Step;
use crate::step::interrupt::with_deadline;
use crate::wait::alarm;
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::mem;
use std::time::Duration;

/// What [`run_within`] has done: the number of calls in each state at the end, and the time it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameReport {
    /// Calls that have a result to take.
    pub done: usize,
    /// Calls that wait for something.
    pub waiting: usize,
    /// Calls that were stepped and can go on.
    pub yielded: usize,
    /// Calls that can go on and were not stepped, because the budget was used up. The next frame begins with them.
    pub unreached: usize,
    /// Calls that a runner or a job has.
    pub in_job: usize,
    /// Calls whose result was taken.
    pub disposed: usize,
    /// The time that the frame took.
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

/// The least time that a step gets. To stop a guest takes about as long (measure `slice_overshoot`), so a shorter step is not worth
/// its cost.
const LEAST: Duration = Duration::from_micros(100);

/// When a step has to end, if `sharers` calls share the time until `ends`.
pub(crate) fn step_end(now: Duration, ends: Duration, sharers: usize) -> Duration {
    let sharers = u32::try_from(sharers).unwrap_or(u32::MAX);
    let share = (ends.saturating_sub(now) / sharers.max(1)).max(LEAST);
    now.saturating_add(share).min(ends)
}

/// How many lists of calls a thread remembers the next call of.
const LISTS: usize = 8;

thread_local! {
    /// The call that each of the last lists of this thread goes on with, by its [id](Future::id), the least recent list first. An
    /// id may have become that of another call; then a frame begins with that one.
    static NEXT: Cell<[usize; LISTS]> = const { Cell::new([0; LISTS]) };
}

/// Remembers that the list whose frame began with the call `begun` goes on with the call `next`.
fn remember(begun: usize, next: usize) {
    let mut lists = NEXT.get();
    let list = lists.iter().position(|&id| id == begun).unwrap_or(0);
    lists[list..].rotate_left(1);
    lists[LISTS - 1] = next;
    NEXT.set(lists);
}

/// Advances calls until each is done or waits, or until the budget is used up.
///
/// Each step goes to the call that has had the least time in this frame, and among equals, to the one whose last step is longest ago.
/// Calls without a step in this frame come in the order of the list. A frame begins where the last one ended: the calls that were not
/// reached come first in the next frame, if it is given the same calls in the same order. Each thread remembers this for the last eight
/// lists that it has run.
///
/// A step may take an equal share of the time that is left, and at least 100 µs. After that, a guest yields, whatever its slice is, if its
/// engine has epoch interruption, which is the default, or if it looks at a flag. So a call that never yields takes nothing from the others, and a frame
/// exceeds its budget only by the time that it takes to stop a guest: about 0.1 ms in the measure `frame_overshoot` of `benches`.
/// Work that is not a guest, and host functions, run on to their own next await.
///
/// Calls that a runner or a job has, and calls whose result was taken, are skipped. A script that yields in order to go on in the next
/// frame is better served by one [`Future::resume`] a frame: here, a call that yields may get several steps in one frame.
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
pub fn run_within<'a, T: Send + 'static, O: 'a>(
    futures: impl IntoIterator<Item = &'a mut Future<T, O>>,
    budget: Duration,
) -> FrameReport {
    let start = alarm::now();
    let ends = start.saturating_add(budget);
    let mut frame = FrameReport::default();
    let mut now = start;

    let mut calls: Vec<_> = futures.into_iter().collect();
    let count = calls.len();
    let place = |id: &usize| calls.iter().position(|call| call.id() == *id);
    let begun = NEXT.get().into_iter().filter(|&id| id != 0).find_map(|id| Some((id, place(&id)?)));
    let (begun, first) = begun.unwrap_or_default();

    // The calls that can go on, by the time that each has had, and then by their turn. The first turns are those of the list,
    // beginning with `first`; each step gives its call another turn after all others.
    let mut ready = BinaryHeap::new();
    for turn in 0..count {
        let index = (first + turn) % count;
        match calls[index].status() {
            Status::Ready => ready.push(Reverse((Duration::ZERO, turn, index))),
            status => frame.count(status),
        }
    }
    let mut turns = count;
    while now < ends
        && let Some(Reverse((had, _, index))) = ready.pop()
    {
        let call = &mut calls[index];
        let step = with_deadline(step_end(now, ends, ready.len() + 1), || call.resume());
        let began = mem::replace(&mut now, alarm::now());
        match step {
            Ok(Step::Yielded) => {
                ready.push(Reverse((had + (now - began), turns, index)));
                turns += 1;
            }
            Ok(Step::Waiting) => frame.waiting += 1,
            Ok(Step::Done) => frame.done += 1,
            Err(_) => unreachable!("a call that is ready is its owner's"),
        }
    }
    if let Some(Reverse((_, _, index))) = ready.peek() {
        remember(begun, calls[*index].id());
    }
    for Reverse((_, turn, _)) in ready {
        if turn < count {
            frame.unreached += 1;
        } else {
            frame.yielded += 1;
        }
    }
    frame.elapsed = now.saturating_sub(start);
    frame
}
