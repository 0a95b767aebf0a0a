//! [`JobHandle`]: what the rest of the world sees of a job. It tells that the job is over, and whether it succeeded; its result is for the
//! [`Future`](crate::Future) alone. Behind the handle stands a [`Completion`], whose latch the job sets, once.

use crate::outcome::JobOutcome;
use crate::wait::block::{Sleeper, Wanted, help_or_sleep};
use crate::wait::countdown::{Countdown, Dependent, wait_for_all};
use crate::wait::latch::{Latch, Wait};
use std::collections::HashSet;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

/// Waits for a job that was [submitted](crate::JobPool::submit) to a pool, from any thread and any number of times.
///
/// Complete means that the job is over: its result, or its failure, is ready for the [`Future`](crate::Future) to take,
/// its instance is free, and what the guest wrote can be seen. Should the pool drop the job instead of running it, the
/// handle completes too, and the future has the right to resume again. [`outcome`](Self::outcome) tells these apart.
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
    wait: Wait<dyn Completion>,
}

/// What a handle refers to. It completes once, through its latch, and can be cancelled.
pub(crate) trait Completion: AsRef<Latch> + Send + Sync {
    fn cancel(&self);

    /// The jobs of a handle of all.
    fn parts(&self) -> &[Weak<dyn Completion>] {
        &[]
    }

    /// Where the task of this job is, if it is one job.
    fn task_address(&self) -> Wanted {
        None
    }
}

/// All of some jobs. These may be all of others, and so on, deeper than a stack is.
struct All {
    latch: Latch,
    countdown: Countdown,
    /// Weak, because they lead here: this is among what waits for them. A job that is not over is kept by the one that is to end it.
    parts: Vec<Weak<dyn Completion>>,
}

impl AsRef<Latch> for All {
    fn as_ref(&self) -> &Latch {
        &self.latch
    }
}

impl Dependent for All {
    fn countdown(&self) -> &Countdown {
        &self.countdown
    }

    fn ready(self: Arc<Self>, worst: JobOutcome) {
        self.latch.complete(worst);
    }
}

impl Completion for All {
    fn cancel(&self) {
        // Each once, by its address; so each is kept until the end.
        let (mut seen, mut kept) = (HashSet::new(), Vec::new());
        let mut left: Vec<_> = self.parts.iter().rev().cloned().collect();
        while let Some(part) = left.pop() {
            let Some(part) = part.upgrade() else { continue };
            if seen.insert(Arc::as_ptr(&part).cast::<()>()) {
                match part.parts() {
                    [] => part.cancel(),
                    parts => left.extend(parts.iter().rev().cloned()),
                }
                kept.push(part);
            }
        }
    }

    fn parts(&self) -> &[Weak<dyn Completion>] {
        &self.parts
    }
}

impl JobHandle {
    pub(crate) fn new(completion: Arc<dyn Completion>) -> Self {
        Self { wait: Wait::new(completion) }
    }

    /// Is the job over?
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.latch().is_set()
    }

    /// What became of the job; `None` if it is not over.
    ///
    /// A call whose [`Future`](crate::Future) was dropped is [`Cancelled`](JobOutcome::Cancelled): nobody could have taken its result.
    ///
    /// ```
    /// use wasm_jobs::{Error, Future, JobOutcome, JobPool, RayonGlobal};
    ///
    /// let mut future = Future::new(async { Err::<(), _>(Error::other("no")) });
    /// let job = RayonGlobal.submit(future.to_job()?);
    /// job.wait();
    /// assert_eq!(job.outcome(), Some(JobOutcome::Failed));
    /// # Ok::<(), Error>(())
    /// ```
    #[must_use]
    pub fn outcome(&self) -> Option<JobOutcome> {
        self.latch().outcome()
    }

    /// Blocks this thread, without using the CPU, until the job is over.
    ///
    /// A worker of a rayon pool that has had jobs submitted to it does not block: it runs jobs of its own pool meanwhile, best the one
    /// that it waits for, so that jobs may wait for each other in a pool of one thread too. Helping can delay the return by one turn. If
    /// a job that is run while helping waits for the job that is blocked here, both wait for ever, because the outer one is
    /// further down this stack. Other work of the pool is not run meanwhile. Workers of other pools block: if all do, the pool never
    /// goes on.
    ///
    /// Where it can, a job that has to wait for another one awaits its handle instead, or runs
    /// [after](crate::JobPool::submit_after) it.
    pub fn wait(&self) {
        let sleeper = Sleeper::new();
        let mut handle = self.clone();
        while !handle.is_complete_or_wakes(sleeper.waker()) {
            help_or_sleep(&sleeper, self.task_address());
        }
    }

    /// A handle that is complete when all of these are. With none, it is complete at once. Its [outcome](Self::outcome) is the worst of
    /// theirs.
    ///
    /// Make one and keep it: what it takes to be told of each job is kept until that job is over.
    #[must_use]
    pub fn all(handles: impl IntoIterator<Item = JobHandle>) -> JobHandle {
        let handles: Vec<_> = handles.into_iter().collect();
        // Not those that are complete: a handle to which others are added again and again keeps only what is not over.
        let unfinished = handles.iter().filter(|handle| !handle.is_complete());
        let parts = unfinished.map(|handle| Arc::downgrade(handle.completion())).collect();
        let countdown = Countdown::new(handles.len());
        let all = Arc::new(All { latch: Latch::default(), countdown, parts });
        wait_for_all(&all, handles.iter().map(Self::latch));
        JobHandle::new(all)
    }

    /// Ends the job, unless it is over: the result of its call is [`Error::Cancelled`](crate::Error::Cancelled).
    ///
    /// It does what [`Future::cancel`](crate::Future::cancel) does, on behalf of the owner, and from any thread. A job that is
    /// in no step ends at once, and what its call held is dropped on this thread; one that is in a step ends on the
    /// thread of that step. The handle of [all](Self::all) of some jobs cancels each of them.
    pub fn cancel(&self) {
        self.completion().cancel();
    }

    fn completion(&self) -> &Arc<dyn Completion> {
        self.wait.on()
    }

    pub(crate) fn task_address(&self) -> Wanted {
        self.completion().task_address()
    }

    pub(crate) fn latch(&self) -> &Latch {
        (**self.completion()).as_ref()
    }

    /// Is the job over? Otherwise `waker` will be woken when it is.
    pub(crate) fn is_complete_or_wakes(&mut self, waker: &Waker) -> bool {
        self.wait.is_over_or_wakes(waker)
    }
}

impl Clone for JobHandle {
    fn clone(&self) -> Self {
        Self::new(self.completion().clone())
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
        f.debug_struct("JobHandle")
            .field("is_complete", &self.is_complete())
            .field("outcome", &self.outcome())
            .finish()
    }
}
