//! What comes after jobs: a [`Dependent`] is told of each of them when it is over, and goes on after the last. A handle of all
//! jobs is one, and so is a closure that runs after others; for a call it is [`Later`].

use crate::pool::handle::JobHandle;
use crate::pool::{Job, JobPool, on_ample_stack};
use crate::sync::{AtomicU64, Mutex};
use crate::unwind::ignore_panic;
use crate::wait::latch::HasFailed;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};

/// What waits for jobs.
pub(crate) trait Dependent: Send + Sync + 'static {
    fn countdown(&self) -> &Countdown;

    /// All of them are over, of which one may have failed. It is called once, on the thread of the last of them, or on the one that
    /// [began to wait](wait_for) if they were over by then.
    fn go_on(self: Arc<Self>, has_failed: HasFailed);
}

/// How many jobs are not over, and whether one of the others has failed.
pub(crate) struct Countdown(AtomicU64);

/// A bit beside the count.
const FAILED: u64 = 1 << 63;

impl Countdown {
    pub(crate) fn new(jobs: &[JobHandle]) -> Self {
        // One more, for whoever asks them all, so that it is not over before that.
        Self(AtomicU64::new(jobs.len() as u64 + 1))
    }

    /// If the last of them is among these: whether any has failed.
    fn are_over(&self, jobs: u64, has_failed: HasFailed) -> Option<HasFailed> {
        if has_failed {
            // No ordering of its own: it is before the counting.
            self.0.fetch_or(FAILED, Relaxed);
        }
        // Release: whoever counts last must find what was done before each of the others. Acquire: that may be this one.
        let before = self.0.fetch_sub(jobs, AcqRel);
        (before & !FAILED == jobs).then_some(before & FAILED != 0)
    }
}

/// None if not all of these jobs are over.
pub(crate) fn all_are_over(jobs: &[JobHandle]) -> Option<HasFailed> {
    jobs.iter().try_fold(false, |has_failed, job| Some(job.latch().is_over()? || has_failed))
}

/// Has it go on when all these jobs are over, which may be at once.
pub(crate) fn wait_for<D: Dependent>(dependent: Arc<D>, jobs: &[JobHandle]) {
    let (mut over, mut has_failed) = (1, false);
    for job in jobs {
        if let Some(failed) = job.latch().is_over_or_tell(&dependent) {
            over += 1;
            has_failed |= failed;
        }
    }
    if let Some(has_failed) = dependent.countdown().are_over(over, has_failed) {
        dependent.go_on(has_failed);
    }
}

/// One of the jobs that it waits for is over.
pub(crate) fn tell(dependent: Arc<dyn Dependent>, has_failed: HasFailed) {
    let Some(has_failed) = dependent.countdown().are_over(1, has_failed) else { return };
    let mut dependent = Some(dependent);
    let mut go_on =
        || dependent.take().into_iter().for_each(|dependent| dependent.go_on(has_failed));
    // It may end a job, after which comes another one; or have it run, if its pool has no queue. It goes on in any case: nobody
    // else tells it.
    ignore_panic(|| on_ample_stack(&mut go_on));
    go_on();
}

/// What a job that runs after others waits for, and where it goes then.
pub(crate) struct After<P> {
    pub(crate) countdown: Countdown,
    /// There until then: who keeps the handle of the job does not keep the pool.
    pool: Mutex<Option<P>>,
    /// Is it not run if one has failed?
    if_ok: bool,
}

impl<P: JobPool> After<P> {
    pub(crate) fn new(pool: &P, jobs: &[JobHandle], if_ok: bool) -> Self {
        Self { countdown: Countdown::new(jobs), pool: Mutex::new(Some(pool.clone())), if_ok }
    }

    /// Once.
    pub(crate) fn release(&self, job: Job, has_failed: HasFailed) {
        let pool = self.pool.lock().take();
        if let Some(pool) = pool {
            release(job, &pool, has_failed && self.if_ok);
        }
    }
}

/// Has a job run, or refuses it.
pub(crate) fn release(job: Job, pool: &impl JobPool, is_refused: bool) {
    if is_refused {
        job.refuse();
    } else {
        pool.enqueue(job);
    }
}

/// A job that is made before it is released.
pub(crate) struct Later<P> {
    pub(crate) after: After<P>,
    /// There until then.
    pub(crate) job: Mutex<Option<Job>>,
}

impl<P: JobPool> Dependent for Later<P> {
    fn countdown(&self) -> &Countdown {
        &self.after.countdown
    }

    fn go_on(self: Arc<Self>, has_failed: HasFailed) {
        let job = self.job.lock().take();
        if let Some(job) = job {
            self.after.release(job, has_failed);
        }
    }
}
