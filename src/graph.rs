//! What comes after jobs: [`when_all_are_over`] does something once, when the last of some jobs is over. A handle of all
//! jobs is made with it, and a job that runs after others.

use crate::job::JobHandle;
use crate::latch::Latch;
use crate::pool::on_ample_stack;
use crate::sync::{AtomicU64, Mutex};
use std::sync::Arc;
use std::sync::atomic::Ordering::AcqRel;
use std::task::{Wake, Waker};

/// What is left of some jobs.
struct Countdown<F> {
    remaining: AtomicU64,
    latches: Vec<Arc<Latch>>,
    /// There until the last of them is over.
    then: Mutex<Option<F>>,
}

impl<F: FnOnce(bool)> Countdown<F> {
    fn count(&self) {
        // Release: whoever counts last must find what was done before each of the others. Acquire: that may be this one.
        if self.remaining.fetch_sub(1, AcqRel) == 1 {
            let then = self.then.lock().take();
            if let Some(then) = then {
                let has_failed = self.latches.iter().any(|latch| latch.has_failed());
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
pub(crate) fn when_all_are_over<'a>(
    handles: impl IntoIterator<Item = &'a JobHandle>,
    then: impl FnOnce(bool) + Send + 'static,
) {
    let latches: Vec<_> = handles.into_iter().map(|handle| handle.latch().clone()).collect();
    // One more, for this function, so that it is not over before all have been asked.
    let remaining = AtomicU64::new(latches.len() as u64 + 1);
    let countdown = Arc::new(Countdown { remaining, latches, then: Mutex::new(Some(then)) });
    let waker = Waker::from(countdown.clone());
    for latch in &countdown.latches {
        if latch.is_set_or_tell(&waker, &mut None) {
            countdown.count();
        }
    }
    countdown.count();
}
