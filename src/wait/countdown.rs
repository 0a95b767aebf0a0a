//! [`Countdown`]: told by several latches, and ready after the last of them. What has a countdown is a [`Dependent`]: a job that runs after
//! others, or the handle of several jobs.
//!
//! That a dependent is ready may complete another latch, of which yet another dependent is told, and so on, in chains that are longer than
//! a stack is deep. So a thread notes what is ready, and sees to one after another: [`settle_debts`].

use crate::outcome::JobOutcome;
use crate::sync::{AtomicU64, const_thread_local};
use crate::unwind::ignore_panic;
use crate::wait::latch::{Latch, Waiter};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};

/// What waits for several latches.
pub(crate) trait Dependent: Send + Sync + 'static {
    fn countdown(&self) -> &Countdown;

    /// All the latches are set, with this outcome of the worst of them. It is called once, on the thread that set the last one, or on the
    /// one that [began to wait](wait_for_all) if they were set by then.
    fn ready(self: Arc<Self>, worst: JobOutcome);

    /// Is there no more use in waiting? Then a latch that has many waiters may forget this one.
    fn is_over(&self) -> bool {
        false
    }
}

/// How many latches are not set, and the worst outcome of the others.
pub(crate) struct Countdown(AtomicU64);

/// Two bits beside the count, for outcomes other than success.
const CANCELLED: u64 = 1 << 62;
const FAILED: u64 = 1 << 63;
const COUNT: u64 = CANCELLED - 1;

impl Countdown {
    /// For so many latches.
    pub(crate) fn new(latches: usize) -> Self {
        // One more, for the thread that asks them all, so that the countdown does not end before that.
        Self(AtomicU64::new(latches as u64 + 1))
    }

    /// Counts some latches that are set. If the last one is among them, returns the worst outcome of all.
    fn count(&self, latches: u64, worst: JobOutcome) -> Option<JobOutcome> {
        let bit = match worst {
            JobOutcome::Succeeded => 0,
            JobOutcome::Cancelled => CANCELLED,
            JobOutcome::Failed => FAILED,
        };
        if bit != 0 {
            // Relaxed: it is before the counting, in the same word.
            self.0.fetch_or(bit, Relaxed);
        }
        // Release: the thread that counts last must find what was done before each of the others. Acquire: this may be that thread.
        let before = self.0.fetch_sub(latches, AcqRel);
        match before {
            _ if before & COUNT != latches => None,
            _ if before & FAILED != 0 => Some(JobOutcome::Failed),
            _ if before & CANCELLED != 0 => Some(JobOutcome::Cancelled),
            _ => Some(JobOutcome::Succeeded),
        }
    }
}

/// Has the dependent wait for all these latches. It may be ready at once. There have to be as many as its countdown was made for.
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
        ready(dependent.clone(), worst);
    }
}

impl<D: Dependent> Waiter for D {
    fn notify(self: Arc<Self>, outcome: JobOutcome) {
        if let Some(worst) = self.countdown().count(1, outcome) {
            ready(self, worst);
        }
    }

    fn still_waits(&self) -> bool {
        !self.is_over()
    }
}

/// Dependents that are ready, and of which this thread has not told them yet.
#[derive(Default)]
struct Debts {
    ready: VecDeque<(Arc<dyn Dependent>, JobOutcome)>,
    is_settling: bool,
}

const_thread_local! {
    static DEBTS: RefCell<Debts> = RefCell::new(Debts { ready: VecDeque::new(), is_settling: false });
}

fn ready(dependent: Arc<dyn Dependent>, worst: JobOutcome) {
    let mut debt = Some((dependent, worst));
    let noted = DEBTS.try_with(|debts| {
        let mut debts = debts.borrow_mut();
        debts.ready.extend(debt.take());
        debts.is_settling
    });
    match noted {
        Ok(true) => {}
        Ok(false) => {
            let _settling = Settling::start();
            settle_debts();
        }
        // This thread ends, and notes nothing any more.
        Err(_) => debt.into_iter().for_each(|(dependent, worst)| dependent.ready(worst)),
    }
}

/// Tells all dependents that are ready and that this thread still has to tell.
///
/// A thread does so before it blocks: a pool without a queue may run a job on it that waits for one of these dependents.
pub(crate) fn settle_debts() {
    while let Ok(Some((dependent, worst))) =
        DEBTS.try_with(|debts| debts.borrow_mut().ready.pop_front())
    {
        // It may run a job, if its pool has no queue, and drop what is the user's.
        ignore_panic(|| dependent.ready(worst));
    }
}

/// While a thread settles its debts, what becomes ready is noted.
struct Settling;

impl Settling {
    fn start() -> Self {
        let _ = DEBTS.try_with(|debts| debts.borrow_mut().is_settling = true);
        Self
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        let _ = DEBTS.try_with(|debts| debts.borrow_mut().is_settling = false);
    }
}
