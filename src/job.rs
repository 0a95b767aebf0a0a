//! [`JobHandle`]: what the rest of the world sees of a job. It says that the job is over, and never what came of it; the
//! result is for the [`Future`](crate::Future) alone. Behind it stands a latch that the job sets, once.

use crate::graph::when_all_are_over;
use crate::latch::{Latch, Wait};
use crate::pool::{Turn, help_or_sleep};
use crate::sync::Sleeper;
use std::collections::HashSet;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

/// Waits for a job that was [submitted](crate::JobPool::submit) to a pool, from any thread and any number of times.
///
/// Complete means that the job is over: its result, or its failure, is ready for the [`Future`](crate::Future) to take,
/// its instance is free, and what the guest wrote can be seen. Should the pool drop the job instead of running it, the
/// handle completes too, and the future has the right to resume again.
///
/// It is also a std future that gives `()`.
///
/// ```
/// use wasm_jobs::{Future, JobHandle, JobPool, RayonGlobal};
///
/// let mut squares: Vec<_> = (1..=3).map(|n| Future::new(async move { Ok(n * n) })).collect();
/// let jobs = squares.iter_mut().map(|square| Ok(RayonGlobal.submit(square.to_job()?)));
/// JobHandle::all(jobs.collect::<Result<Vec<_>, wasm_jobs::Error>>()?).wait();
/// assert!(squares.iter().all(|square| square.has_result()));
/// # Ok::<(), wasm_jobs::Error>(())
/// ```
pub struct JobHandle {
    wait: Wait,
    cancels: Cancels,
}

/// What there is to cancel.
#[derive(Clone)]
enum Cancels {
    Job(Weak<dyn Turn>, Arc<Latch>),
    All(All),
}

/// What handles of all of some jobs share. They may be of all of others, and so on, deeper than a stack is.
#[derive(Clone)]
struct All(Arc<Vec<Cancels>>);

impl All {
    /// Leaves it empty, if nobody else has it.
    fn take_own(&mut self) -> Vec<Cancels> {
        Arc::get_mut(&mut self.0).map(mem::take).unwrap_or_default()
    }
}

impl Drop for All {
    fn drop(&mut self) {
        let mut left = self.take_own();
        while let Some(cancels) = left.pop() {
            if let Cancels::All(mut all) = cancels {
                left.append(&mut all.take_own());
            }
        }
    }
}

impl Cancels {
    fn job(&self) -> Option<&Weak<dyn Turn>> {
        match self {
            Self::Job(job, _) => Some(job),
            Self::All(_) => None,
        }
    }

    fn cancel(&self) {
        let (mut left, mut seen) = (vec![self], HashSet::new());
        while let Some(cancels) = left.pop() {
            match cancels {
                Self::Job(job, latch) => {
                    if let Some(job) = job.upgrade() {
                        job.cancel(latch);
                    }
                }
                Self::All(All(all)) => {
                    if seen.insert(Arc::as_ptr(all)) {
                        left.extend(all.iter().rev());
                    }
                }
            }
        }
    }
}

impl JobHandle {
    /// The handle of a job, which sets the latch when it is over.
    pub(crate) fn of(job: Weak<dyn Turn>, latch: Arc<Latch>) -> Self {
        Self::new(latch.clone(), Cancels::Job(job, latch))
    }

    fn new(latch: Arc<Latch>, cancels: Cancels) -> Self {
        Self { wait: Wait::new(latch), cancels }
    }

    /// Is the job over?
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.wait.latch().is_set()
    }

    /// Blocks this thread, without using the CPU, until the job is over.
    ///
    /// A worker of a rayon pool does not block: it runs jobs of its pool meanwhile, best the one that it waits for, so that
    /// jobs may wait for each other in a pool of one thread too. Inside a call those have stacks of their own.
    /// The wait may be longer by a turn of such a job, and never ends if one of them waits for the job that waits here, which
    /// cannot go on below it. Workers of other pools block: if all do, the pool never goes on.
    ///
    /// Where it can, a job that has to wait for another one awaits its handle instead, or runs
    /// [after](crate::JobPool::submit_after) it.
    pub fn wait(&self) {
        let sleeper = Sleeper::new();
        let mut handle = self.clone();
        while !handle.is_complete_or_tell(sleeper.waker()) {
            help_or_sleep(&sleeper, self.cancels.job());
        }
    }

    /// A handle that is complete when all of these are. With none, it is complete at once.
    ///
    /// Make one and keep it: what it takes to be told of each job is kept until that job is over.
    #[must_use]
    pub fn all(handles: impl IntoIterator<Item = JobHandle>) -> JobHandle {
        let handles: Vec<_> = handles.into_iter().collect();
        let latch = Arc::new(Latch::default());
        when_all_are_over(&handles, {
            let latch = latch.clone();
            move |has_failed| latch.complete(has_failed)
        });
        // Not what is over: who keeps adding to one handle keeps no more than what is not.
        let unfinished = handles.iter().filter(|handle| !handle.is_complete());
        let cancels = unfinished.map(|handle| handle.cancels.clone()).collect();
        JobHandle::new(latch, Cancels::All(All(Arc::new(cancels))))
    }

    /// Ends the job, unless it is over: the result of its call is [`Error::Cancelled`](crate::Error::Cancelled).
    ///
    /// It does what [`Future::cancel`](crate::Future::cancel) does, on behalf of the owner, and from any thread. A job that is
    /// in no step ends at once, and what its call held is dropped on this thread; one that is in a step ends on the
    /// thread of that step. The handle of [all](Self::all) of some jobs cancels each of them.
    pub fn cancel(&self) {
        self.cancels.cancel();
    }

    pub(crate) fn latch(&self) -> &Arc<Latch> {
        self.wait.latch()
    }

    pub(crate) fn is_complete_or_tell(&mut self, waker: &Waker) -> bool {
        self.wait.is_over_or_tell(waker)
    }
}

impl Clone for JobHandle {
    fn clone(&self) -> Self {
        Self::new(self.wait.latch().clone(), self.cancels.clone())
    }
}

impl std::future::Future for JobHandle {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.wait).poll(context)
    }
}

impl fmt::Debug for JobHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobHandle").field("is_complete", &self.is_complete()).finish()
    }
}
