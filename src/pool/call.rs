//! A call as a job of a pool. [`into_job`] makes two things of a [`FutureRunner`]: the job of its first turn, which goes into the pool's
//! queue, and the handle that waits for its end.

use crate::call::runner::FutureRunner;
use crate::call::task::Task;
use crate::call::turn::{Cancel, Job, Schedule};
use crate::outcome::JobOutcome;
use crate::pool::after::{IntoJob, Prerequisites, sealed, wait_for};
use crate::pool::handle::{Completion, JobHandle, Rest};
use crate::sync::Mutex;
use crate::wait::block::Wanted;
use crate::wait::countdown::{Countdown, Dependent};
use crate::wait::latch::Latch;
use crate::wait::ready::Ready;
use std::sync::{Arc, Weak};

/// A submitted call's way into the queue, `enqueue`, and its completion.
struct Submission<Q, D> {
    enqueue: Q,
    completion: Arc<CallCompletion<D>>,
}

impl<Q: Fn(Job) + Send + Sync, D: Deferral> Schedule for Submission<Q, D> {
    fn enqueue(&self, job: Job) {
        (self.enqueue)(job);
    }

    fn latch(&self) -> &Latch {
        &self.completion.latch
    }
}

/// What the handle of a call refers to. It keeps neither the call nor the pool alive.
struct CallCompletion<D = ()> {
    latch: Latch,
    call: Weak<dyn Cancel>,
    deferral: D,
}

/// Whether a call still waits for other jobs.
trait Deferral: Send + Sync + 'static {
    fn is_deferred(&self) -> bool;
}

/// The call does not wait for other jobs.
impl Deferral for () {
    fn is_deferred(&self) -> bool {
        false
    }
}

impl Deferral for Prerequisites {
    fn is_deferred(&self) -> bool {
        self.countdown.is_counting()
    }
}

impl<D> AsRef<Latch> for CallCompletion<D> {
    fn as_ref(&self) -> &Latch {
        &self.latch
    }
}

impl<D: Deferral> Completion for CallCompletion<D> {
    fn cancel(&self) {
        if let Some(call) = self.call.upgrade() {
            call.cancel(&self.latch);
        }
    }

    fn rest(&self) -> Option<Rest> {
        if self.latch.is_settled() {
            return Some(Rest::Over);
        }
        let call = self.call.upgrade()?;
        if self.deferral.is_deferred() {
            // A call that is being cancelled may wake others while it is dropped.
            (!call.is_ending()).then_some(Rest::Deferred)
        } else {
            call.idle(&self.latch).map(Rest::Waits)
        }
    }

    fn watch(&self) {
        if let Some(call) = self.call.upgrade() {
            call.watch(&self.latch);
        }
    }

    fn wanted(&self) -> Wanted {
        Wanted::Job(self.call.as_ptr().addr())
    }
}

/// Makes a call a job of the pool into which `enqueue` puts its turns. The caller puts the first one there.
pub(crate) fn into_job<T, Q>(runner: FutureRunner<T>, enqueue: Q) -> (Job, JobHandle)
where
    T: Send + 'static,
    Q: Fn(Job) + Send + Sync + 'static,
{
    let (job, completion) = split(runner, (), enqueue);
    (job, JobHandle::new(completion))
}

fn split<T, Q, D>(runner: FutureRunner<T>, deferral: D, enqueue: Q) -> (Job, Arc<CallCompletion<D>>)
where
    D: Deferral,
    T: Send + 'static,
    Q: Fn(Job) + Send + Sync + 'static,
{
    let task = runner.into_task();
    task.traced.submitted();
    let call: Weak<Task<T>> = Arc::downgrade(&task);
    let completion = Arc::new(CallCompletion { latch: Latch::default(), call, deferral });
    task.submit(Arc::new(Submission { enqueue, completion: completion.clone() }));
    (Job::new(task), completion)
}

/// A call that was submitted and waits for other jobs.
struct DeferredCall {
    /// `None` once the other jobs are complete.
    job: Mutex<Option<Job>>,
    completion: Arc<CallCompletion<Prerequisites>>,
}

impl DeferredCall {
    fn prerequisites(&self) -> &Prerequisites {
        &self.completion.deferral
    }
}

impl Ready for DeferredCall {
    fn ready(self: Arc<Self>, worst: JobOutcome) {
        let job = self.job.lock().take();
        if let Some(job) = job {
            if self.prerequisites().allow(worst) { job.enqueue_first() } else { job.refuse() }
        }
    }
}

impl Dependent for DeferredCall {
    fn countdown(&self) -> &Countdown {
        &self.prerequisites().countdown
    }

    fn is_over(&self) -> bool {
        self.completion.latch.is_set()
    }
}

impl<T: Send + 'static> IntoJob for FutureRunner<T> {}

impl<T: Send + 'static> sealed::IntoJob for FutureRunner<T> {
    fn submit_after(
        self,
        before: &[JobHandle],
        if_ok: bool,
        enqueue: impl Fn(Job) + Send + Sync + 'static,
    ) -> JobHandle {
        let (job, completion) = split(self, Prerequisites::new(before, if_ok), enqueue);
        let handle = JobHandle::new(completion.clone());
        let job = Mutex::new(Some(job));
        wait_for(&Arc::new(DeferredCall { job, completion }), before);
        handle
    }
}
