//! [`Prerequisites`]: the jobs that a job waits for, as a countdown. Calls and closures both wait through here; what each does afterwards,
//! it implements as a [`Dependent`].

use crate::call::turn::Job;
use crate::outcome::JobOutcome;
use crate::pool::handle::JobHandle;
use crate::wait::countdown::{Countdown, Dependent, wait_for_all};
use std::sync::Arc;

/// What a job waits for before it is run.
pub(crate) struct Prerequisites {
    pub(crate) countdown: Countdown,
    /// Is the job run only if all of the others have succeeded?
    if_ok: bool,
}

impl Prerequisites {
    /// The prerequisites of a job that does not wait.
    pub(crate) fn none() -> Self {
        Self::new(&[], false)
    }

    pub(crate) fn new(before: &[JobHandle], if_ok: bool) -> Self {
        Self { countdown: Countdown::new(before.len()), if_ok }
    }

    /// May the job run, if this is the worst outcome of the others?
    pub(crate) fn allow(&self, worst: JobOutcome) -> bool {
        !self.if_ok || worst == JobOutcome::Succeeded
    }
}

/// Makes a job wait for those in `before`. It may be ready at once.
pub(crate) fn wait_for(job: &Arc<impl Dependent>, before: &[JobHandle]) {
    wait_for_all(job, before.iter().map(JobHandle::latch));
}

/// What [`submit_after`](crate::JobPool::submit_after) accepts: the [`FutureRunner`](crate::FutureRunner) of a call, or an
/// `FnOnce() + Send + 'static`. It is sealed.
pub trait IntoJob: sealed::IntoJob {}

pub(crate) mod sealed {
    use super::{Job, JobHandle};

    pub trait IntoJob {
        /// Makes a job that waits for those in `before`, and that `enqueue` then puts into its pool's queue. With `if_ok`, it is refused instead
        /// if one of them has not succeeded.
        fn submit_after(
            self,
            before: &[JobHandle],
            if_ok: bool,
            enqueue: impl Fn(Job) + Send + Sync + 'static,
        ) -> JobHandle;
    }
}
