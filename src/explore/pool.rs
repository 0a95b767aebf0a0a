//! [`WorldPool`]: the pool of a world. Each job gets a number, in the order in which jobs are submitted.

use crate::call::runner::FutureRunner;
use crate::call::turn::Job;
use crate::explore::run::Run;
use crate::pool::after::IntoJob;
use crate::pool::handle::JobHandle;
use crate::pool::{JobPool, call, closure};
use std::fmt;
use std::sync::Arc;

/// The pool of a [`World`](crate::explore::World), from [`World::pool`](crate::explore::World::pool).
///
/// Its jobs run on the thread of the test: while that waits for one of them, for a call or for a coroutine, and in
/// [`World::run_all`](crate::explore::World::run_all).
#[derive(Clone)]
pub struct WorldPool {
    pub(crate) run: Arc<Run>,
}

impl WorldPool {
    /// A new job, whose number `submit` gets with the way into the queue.
    fn new_job<Q>(&self, submit: impl FnOnce(Box<dyn Fn(Job) + Send + Sync>) -> Q) -> (usize, Q) {
        let number = self.run.new_job();
        let run = self.run.clone();
        (number, submit(Box::new(move |job| run.wake(number, job))))
    }

    pub(crate) fn submit_closure(
        &self,
        label: Option<String>,
        work: impl FnOnce() + Send + 'static,
    ) -> JobHandle {
        let (job, handle) = closure::into_job(work);
        let number = self.run.new_job();
        self.run.set_handle(number, &handle);
        if let Some(label) = label {
            self.run.set_label(number, label);
        }
        self.run.submit(number, job);
        handle
    }
}

impl JobPool for WorldPool {
    fn enqueue(&self, job: Job) {
        self.run.enqueue(job);
    }

    fn submit<T: Send + 'static>(&self, runner: FutureRunner<T>) -> JobHandle {
        let (number, (job, handle)) = self.new_job(|enqueue| call::into_job(runner, enqueue));
        self.run.set_handle(number, &handle);
        self.run.submit(number, job);
        handle
    }

    fn submit_fn(&self, work: impl FnOnce() + Send + 'static) -> JobHandle {
        self.submit_closure(None, work)
    }

    fn submit_after(&self, work: impl IntoJob, after: &[JobHandle]) -> JobHandle {
        let (number, handle) = self.new_job(|enqueue| work.submit_after(after, false, enqueue));
        self.run.set_handle(number, &handle);
        self.run.set_after(number, after);
        handle
    }

    fn submit_after_ok(&self, work: impl IntoJob, after: &[JobHandle]) -> JobHandle {
        let (number, handle) = self.new_job(|enqueue| work.submit_after(after, true, enqueue));
        self.run.set_handle(number, &handle);
        self.run.set_after(number, after);
        handle
    }
}

impl fmt::Debug for WorldPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorldPool").finish_non_exhaustive()
    }
}
