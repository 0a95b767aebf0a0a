//! [`AsyncComputeJobs`]: Bevy's `AsyncComputeTaskPool` as a pool of jobs.

use bevy_tasks::AsyncComputeTaskPool;
use wasm_jobs::{Job, JobPool};

/// Runs jobs on Bevy's [`AsyncComputeTaskPool`].
///
/// Scripts that [run there](crate::RunsIn::AsyncCompute) use this; it is for your own calls, too.
///
/// The pool has to exist when a job is submitted: Bevy's `TaskPoolPlugin` makes it.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsyncComputeJobs;

impl JobPool for AsyncComputeJobs {
    fn enqueue(&self, job: Job) {
        AsyncComputeTaskPool::get().spawn(async { job.run() }).detach();
    }
}
