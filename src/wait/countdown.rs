//! [`Countdown`]: counts the latches that are not set yet. A [`Dependent`] has one, and is ready when it reaches zero: a job that runs after
//! others, or the handle of several jobs.
//!
//! A dependent that becomes ready may complete another latch, which makes another dependent ready, and so on: by recursion, a long chain
//! would overflow the stack. So each thread queues the dependents that become ready on it, and notifies one after another:
//! [`notify_ready_dependents`].

use crate::outcome::JobOutcome;
use crate::sync::{AtomicU64, const_thread_local};
use crate::unwind::ignore_panic;
use crate::wait::latch::{Latch, Waiter};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};

/// Something that waits for several latches.
pub(crate) trait Dependent: Send + Sync + 'static {
    fn countdown(&self) -> &Countdown;

    /// All the latches are set, and `worst` is the worst of their outcomes. It is called once: on the thread that set the last latch, or, if
    /// all were set by then, on the thread that [began to wait](wait_for_all).
    fn ready(self: Arc<Self>, worst: JobOutcome);

    /// Is there nothing left to do when the latches are set? If so, a latch that has many waiters may forget this one.
    fn is_over(&self) -> bool {
        false
    }
}

/// The number of latches that are not set, and the worst outcome of those that are.
pub(crate) struct Countdown(AtomicU64);

/// Two bits beside the count, for outcomes other than success.
const CANCELLED: u64 = 1 << 62;
const FAILED: u64 = 1 << 63;
const COUNT: u64 = CANCELLED - 1;

impl Countdown {
    /// A countdown for this many latches.
    pub(crate) fn new(latches: usize) -> Self {
        // One more, for `wait_for_all`, so that the countdown does not end before it has subscribed to all latches.
        Self(AtomicU64::new(latches as u64 + 1))
    }

    /// Counts down by `latches` that are set. At zero, returns the worst outcome of all.
    fn count(&self, latches: u64, worst: JobOutcome) -> Option<JobOutcome> {
        let bit = match worst {
            JobOutcome::Succeeded => 0,
            JobOutcome::Cancelled => CANCELLED,
            JobOutcome::Failed => FAILED,
        };
        if bit != 0 {
            // Relaxed: the counting below is a later write of the same word, and releases this.
            self.0.fetch_or(bit, Relaxed);
        }
        // Release: the thread that counts last must see what the others did before they counted. Acquire: this may be that thread.
        let before = self.0.fetch_sub(latches, AcqRel);
        match before {
            _ if before & COUNT != latches => None,
            _ if before & FAILED != 0 => Some(JobOutcome::Failed),
            _ if before & CANCELLED != 0 => Some(JobOutcome::Cancelled),
            _ => Some(JobOutcome::Succeeded),
        }
    }
}

/// Subscribes the dependent to all these latches, which are as many as its countdown was made for. It may be ready at once.
pub(crate) fn wait_for_all<'a, D: Dependent>(
    dependent: &Arc<D>,
    latches: impl Iterator<Item = &'a Latch>,
) {
    let (mut set, mut worst) = (1, JobOutcome::Succeeded);
    for latch in latches {
        if let Some(outcome) = latch.subscribe(dependent) {
            set += 1;
            worst = worst.max(outcome);
        }
    }
    if let Some(worst) = dependent.countdown().count(set, worst) {
        notify(dependent.clone(), worst);
    }
}

impl<D: Dependent> Waiter for D {
    fn notify(self: Arc<Self>, outcome: JobOutcome) {
        if let Some(worst) = self.countdown().count(1, outcome) {
            notify(self, worst);
        }
    }

    fn still_waits(&self) -> bool {
        !self.is_over()
    }
}

/// The dependents that have become ready on this thread and are not notified yet.
#[derive(Default)]
struct Ready {
    queue: VecDeque<(Arc<dyn Dependent>, JobOutcome)>,
    /// Does a caller further up this thread's stack empty the queue?
    is_draining: bool,
}

const_thread_local! {
    static READY: RefCell<Ready> = RefCell::new(Ready { queue: VecDeque::new(), is_draining: false });
}

/// Queues a dependent that is ready, and empties the queue unless a caller further up this thread's stack does so.
fn notify(dependent: Arc<dyn Dependent>, worst: JobOutcome) {
    let mut entry = Some((dependent, worst));
    let is_draining = READY.try_with(|ready| {
        let mut ready = ready.borrow_mut();
        ready.queue.extend(entry.take());
        ready.is_draining
    });
    match is_draining {
        Ok(true) => {}
        Ok(false) => {
            let _draining = Draining::start();
            notify_ready_dependents();
        }
        // This thread is ending, and its queue is gone.
        Err(_) => entry.into_iter().for_each(|(dependent, worst)| dependent.ready(worst)),
    }
}

/// Notifies the dependents that have become ready on this thread.
///
/// A thread does so before it blocks, because what it waits for may be one of these dependents: a pool without a queue runs a job, which may
/// block, on the thread that made it ready.
pub(crate) fn notify_ready_dependents() {
    while let Ok(Some((dependent, worst))) =
        READY.try_with(|ready| ready.borrow_mut().queue.pop_front())
    {
        // Foreign code: it may call a pool, and drop values of the user's.
        ignore_panic(|| dependent.ready(worst));
    }
}

/// Held while a thread empties its queue. What becomes ready meanwhile is only queued.
struct Draining;

impl Draining {
    fn start() -> Self {
        let _ = READY.try_with(|ready| ready.borrow_mut().is_draining = true);
        Self
    }
}

impl Drop for Draining {
    fn drop(&mut self) {
        let _ = READY.try_with(|ready| ready.borrow_mut().is_draining = false);
    }
}
