//! What comes after jobs: [`when_all_are_over`] does something once, when the last of some jobs is over. A handle of all
//! jobs is made with it, and a job that runs after others.

use crate::job::{JobHandle, Over};
use crate::pool::on_ample_stack;
use crate::sync::{AtomicU64, Mutex};
use std::sync::Arc;
use std::sync::atomic::Ordering::AcqRel;
use std::task::{Wake, Waker};

/// What is left of some jobs.
struct Countdown<F> {
    remaining: AtomicU64,
    /// Those of which is asked whether one has failed.
    asked: Vec<Arc<dyn Over>>,
    /// There until the last of them is over.
    then: Mutex<Option<F>>,
}

impl<F: FnOnce(bool)> Countdown<F> {
    fn count(&self) {
        // Release: whoever counts last must find what was done before each of the others. Acquire: that may be this one.
        if self.remaining.fetch_sub(1, AcqRel) == 1 {
            let then = self.then.lock().take();
            if let Some(then) = then {
                let has_failed = self.asked.iter().any(|job| (**job).as_ref().has_failed());
                // It may end a job, after which comes another one; or have it run, if its pool has no queue.
                on_ample_stack(|| then(has_failed));
            }
        }
    }
}

impl<F: FnOnce(bool) + Send + 'static> Wake for Countdown<F> {
    fn wake(self: Arc<Self>) {
        self.count();
    }
}

/// Calls `then` when all these jobs are over, and says whether one has failed. That is on the thread of the last one, or on this
/// one if they are over already.
pub(crate) fn when_all_are_over(handles: &[JobHandle], then: impl FnOnce(bool) + Send + 'static) {
    let asked = handles.iter().map(|handle| handle.of_what().clone()).collect();
    count_down(handles, asked, then);
}

/// The same for whom it is all the same whether one has failed.
pub(crate) fn when_all_are_over_anyhow(
    handles: &[JobHandle],
    then: impl FnOnce() + Send + 'static,
) {
    count_down(handles, Vec::new(), |_| then());
}

fn count_down(
    handles: &[JobHandle],
    asked: Vec<Arc<dyn Over>>,
    then: impl FnOnce(bool) + Send + 'static,
) {
    // One more, for this function, so that it is not over before all have been asked.
    let remaining = AtomicU64::new(handles.len() as u64 + 1);
    let countdown = Arc::new(Countdown { remaining, asked, then: Mutex::new(Some(then)) });
    let waker = Waker::from(countdown.clone());
    for handle in handles {
        // Not with the handle's own place: the handle goes, and the countdown goes on.
        if handle.latch().is_set_or_tell(&waker, &mut None) {
            countdown.count();
        }
    }
    countdown.count();
}
