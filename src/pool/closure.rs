//! [`ClosureJob`]: a closure as a job. It has one turn, and no result.

use crate::call::turn::{Job, Runnable};
use crate::outcome::JobOutcome;
use crate::pool::after::{IntoJob, Prerequisites, sealed, wait_for};
use crate::pool::handle::{Completion, JobHandle, Rest};
use crate::step::interrupt::in_step;
use crate::step::stack::StackScope;
use crate::sync::Mutex;
use crate::trace::{Ending, Traced};
use crate::unwind::drop_payload;
use crate::wait::block::Wanted;
use crate::wait::countdown::{Countdown, Dependent};
use crate::wait::latch::Latch;
use crate::wait::ready::{Ready, run_foreign};
use std::ptr;
use std::sync::Arc;

/// A closure, its prerequisites, and the latch of its handle. They share one allocation, because a program may have many such jobs.
struct ClosureJob<F, Q> {
    pending: Mutex<Pending<F, Q>>,
    prerequisites: Prerequisites,
    latch: Latch,
    traced: Traced,
}

struct Pending<F, Q> {
    /// `Some` until the closure is run or given up.
    work: Option<F>,
    /// Puts the job into the pool's queue. `Some` until it has done so, or the job is given up, so that a handle does not keep the pool alive.
    enqueue: Option<Q>,
}

/// Makes a job of a closure, and its handle. The caller puts the job into the queue of a pool.
pub(crate) fn into_job(work: impl FnOnce() + Send + 'static) -> (Job, JobHandle) {
    let job = ClosureJob::<_, fn(Job)>::new(work, Prerequisites::none(), None);
    (Job::new(job.clone()), JobHandle::new(job))
}

impl<F: FnOnce() + Send + 'static, Q: Send + 'static> ClosureJob<F, Q> {
    fn new(work: F, prerequisites: Prerequisites, enqueue: Option<Q>) -> Arc<Self> {
        let traced = Traced::closure(&work);
        traced.submitted();
        let pending = Mutex::new(Pending { work: Some(work), enqueue });
        Arc::new(Self { pending, prerequisites, latch: Latch::default(), traced })
    }

    /// Drops the closure, if it has not begun, and completes the job.
    fn give_up(&self, outcome: JobOutcome) {
        let (work, enqueue) = {
            let mut pending = self.pending.lock();
            (pending.work.take(), pending.enqueue.take())
        };
        run_foreign(|| drop(enqueue));
        if work.is_some() {
            run_foreign(|| drop(work));
            self.traced.ended(Ending::because(
                outcome,
                "a job that the closure depends on has not succeeded",
            ));
            self.latch.complete(outcome);
        }
    }
}

impl<F: FnOnce() + Send + 'static, Q: Send + 'static> Runnable for ClosureJob<F, Q> {
    #[cfg(any(
        feature = "explore",
        all(any(feature = "rayon", wasm_jobs_loom), any(feature = "wasm", wasm_jobs_loom))
    ))]
    fn is_call(&self) -> bool {
        false
    }

    fn turn(self: Arc<Self>) -> Option<Job> {
        let work = self.pending.lock().work.take();
        if let Some(work) = work {
            let _scope = StackScope::begin();
            let outcome = self.traced.step(|| in_step(work));
            let (outcome, payload) = match outcome {
                Ok(()) => (JobOutcome::Succeeded, Ok(())),
                panicked => (JobOutcome::Failed, panicked),
            };
            drop_payload(payload);
            self.traced.ended(Ending::of_closure(outcome));
            self.latch.complete(outcome);
        }
        None
    }

    fn give_back(&self) {
        self.give_up(JobOutcome::Cancelled);
    }

    fn refuse(self: Arc<Self>) {
        self.give_up(JobOutcome::Failed);
    }
}

impl<F, Q> Ready for ClosureJob<F, Q>
where
    F: FnOnce() + Send + 'static,
    Q: FnOnce(Job) + Send + 'static,
{
    fn ready(self: Arc<Self>, worst: JobOutcome) {
        if !self.prerequisites.allow(worst) {
            return self.refuse();
        }
        let enqueue = self.pending.lock().enqueue.take();
        if let Some(enqueue) = enqueue {
            enqueue(Job::new(self));
        }
    }
}

impl<F, Q> Dependent for ClosureJob<F, Q>
where
    F: FnOnce() + Send + 'static,
    Q: FnOnce(Job) + Send + 'static,
{
    fn countdown(&self) -> &Countdown {
        &self.prerequisites.countdown
    }

    fn is_over(&self) -> bool {
        self.latch.is_set()
    }
}

impl<F, Q> AsRef<Latch> for ClosureJob<F, Q> {
    fn as_ref(&self) -> &Latch {
        &self.latch
    }
}

impl<F: FnOnce() + Send + 'static, Q: Send + 'static> Completion for ClosureJob<F, Q> {
    fn cancel(&self) {
        self.give_up(JobOutcome::Cancelled);
    }

    fn rest(&self) -> Option<Rest> {
        // A closure that was submitted by itself has nothing to enqueue it, and counts nothing down.
        let is_deferred = || self.pending.lock().enqueue.is_some();
        if self.latch.is_settled() {
            Some(Rest::Over)
        } else if self.prerequisites.countdown.is_counting() && is_deferred() {
            Some(Rest::Deferred)
        } else {
            None
        }
    }

    fn wanted(&self) -> Wanted {
        Wanted::Job(ptr::from_ref(self).addr())
    }
}

impl<F: FnOnce() + Send + 'static> IntoJob for F {}

impl<F: FnOnce() + Send + 'static> sealed::IntoJob for F {
    fn submit_after(
        self,
        before: &[JobHandle],
        if_ok: bool,
        enqueue: impl Fn(Job) + Send + Sync + 'static,
    ) -> JobHandle {
        let job = ClosureJob::new(self, Prerequisites::new(before, if_ok), Some(enqueue));
        wait_for(&job, before);
        JobHandle::new(job)
    }
}
