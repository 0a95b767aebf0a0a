//! [`Countdown`]: counts the latches that are not set yet. A [`Dependent`] has one, and is ready when it reaches zero: a job that runs after
//! others, or the handle of several jobs.

use crate::outcome::JobOutcome;
use crate::sync::AtomicU64;
use crate::wait::latch::{Latch, Waiter};
use crate::wait::ready::{Ready, notify};
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

/// Something that waits for several latches. It is [ready](Ready::ready) once all are set: on the thread that set the last one, or, if
/// all were set by then, on the thread that [began to wait](wait_for_all).
pub(crate) trait Dependent: Ready {
    fn countdown(&self) -> &Countdown;

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

    /// Are there latches that are not set?
    pub(crate) fn is_counting(&self) -> bool {
        // Acquire: pairs with the counting, which comes after what led to it.
        self.0.load(Acquire) & COUNT != 0
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
