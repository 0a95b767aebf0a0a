//! Jobs that run after others: what such a job waits for are its [`Prerequisites`], which count down. This is the one path of calls and
//! closures; what a job does once they are complete, it says itself, as a [`Dependent`].

use crate::call::turn::Job;
use crate::outcome::JobOutcome;
use crate::pool::handle::JobHandle;
use crate::wait::countdown::{Countdown, Dependent, wait_for_all};
use std::sync::Arc;

/// What a job waits for before it is run.
pub(crate) struct Prerequisites {
    pub(crate) countdown: Countdown,
    /// Is the job refused if one of the others has not succeeded?
    if_ok: bool,
}

impl Prerequisites {
    /// The job does not wait.
    pub(crate) fn none() -> Self {
        Self::new(&[], false)
    }

    pub(crate) fn new(before: &[JobHandle], if_ok: bool) -> Self {
        Self { countdown: Countdown::new(before.len()), if_ok }
    }

    /// Is the job run, where this is the worst outcome of the others?
    pub(crate) fn allow(&self, worst: JobOutcome) -> bool {
        !self.if_ok || worst == JobOutcome::Succeeded
    }
}

/// Has a job wait for those before it. It may be ready at once.
pub(crate) fn wait_for(job: &Arc<impl Dependent>, before: &[JobHandle]) {
    wait_for_all(job, before.iter().map(JobHandle::latch));
}

/// What can be a job: the [`FutureRunner`](crate::FutureRunner) of a call, or a closure.
pub trait IntoJob: sealed::IntoJob {}

pub(crate) mod sealed {
    use super::{Job, JobHandle};

    pub trait IntoJob {
        /// Makes a job that waits for those before it, and then goes where `enqueue` leads; or is refused, `if_ok` and one of them has not
        /// succeeded.
        fn submit_after(
            self,
            before: &[JobHandle],
            if_ok: bool,
            enqueue: impl Fn(Job) + Send + Sync + 'static,
        ) -> JobHandle;
    }
}
