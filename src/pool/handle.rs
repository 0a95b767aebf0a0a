//! [`JobHandle`]: what everyone but the owner of a call sees of its job: whether it is over, and how it ended. Only the
//! [`Future`](crate::Future) gives the result. A handle refers to a [`Completion`], whose latch the job sets once.

use crate::outcome::JobOutcome;
use crate::wait::block::{Sleeper, Wanted, help_or_sleep};
use crate::wait::countdown::{Countdown, Dependent, wait_for_all};
use crate::wait::latch::{Latch, Wait};
use crate::wait::ready::Ready;
#[cfg(feature = "explore")]
use crate::wait::waits_for::{WaitsFor, note};
use std::collections::HashSet;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

/// Waits for a job that was [submitted](crate::JobPool::submit) to a pool, from any thread and any number of times.
///
/// When the handle is complete, the job is over: the [`Future`](crate::Future) gives its result or failure, its instance is free, and
/// what the guest wrote can be seen. If the pool drops the job instead of running it, the handle completes too, and the future has the
/// right to resume again. [`outcome`](Self::outcome) tells these apart.
///
/// A handle is also a std future that gives `()`. Dropping a handle does not cancel its job.
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

    /// The jobs that this stands for, if it is a handle of [all](JobHandle::all) or [any](JobHandle::any).
    fn parts(&self) -> &[Weak<dyn Completion>] {
        &[]
    }

    /// Called before this becomes a part of another handle. False if this is complete, though its own parts may not be over: they become parts of
    /// the other handle instead.
    fn is_to_be_part(&self) -> bool {
        true
    }

    /// Why the job is idle; `None` if it may be in a queue or in a turn.
    fn rest(&self) -> Option<Rest> {
        self.as_ref().is_settled().then_some(Rest::Over)
    }

    /// Has the job notify the observers of the latch when it begins to wait.
    fn watch(&self) {}

    /// What a worker that waits for this runs meanwhile.
    fn wanted(&self) -> Wanted {
        Wanted::Any
    }
}

/// Why a job is idle. The same value twice means that the job was idle in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// The job is over, and all who waited for it were notified.
    Over,
    /// The job waits for others, whose end puts it into its pool's queue.
    Deferred,
    /// The call waits, and was not woken.
    Waits(u64),
}

/// Completes after all of its parts. A part may be another `All`, nested so deeply that recursion would overflow the stack.
struct All {
    latch: Latch,
    countdown: Countdown,
    /// Weak, because a part's latch keeps this alive, as one of its waiters. A part that is not over is kept alive by what will end it.
    parts: Vec<Weak<dyn Completion>>,
}

/// The parts of the handle of several others: those that are not over, so that a handle to which jobs are added again and again does not grow.
pub(crate) fn parts_of(handles: &[JobHandle]) -> Vec<Weak<dyn Completion>> {
    let mut parts = Vec::new();
    for part in handles.iter().map(JobHandle::completion) {
        if !part.is_to_be_part() {
            let mut jobs = jobs_of(part.parts());
            jobs.retain(|job| !(**job).as_ref().is_set());
            parts.extend(jobs.iter().map(Arc::downgrade));
        } else if !(**part).as_ref().is_set() {
            parts.push(Arc::downgrade(part));
        }
    }
    parts
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
}

impl Ready for All {
    fn ready(self: Arc<Self>, worst: JobOutcome) {
        self.latch.complete(worst);
    }
}

impl Completion for All {
    fn cancel(&self) {
        cancel_parts(&self.parts);
    }

    fn parts(&self) -> &[Weak<dyn Completion>] {
        &self.parts
    }
}

/// Cancels the jobs that a handle of several stands for.
pub(crate) fn cancel_parts(parts: &[Weak<dyn Completion>]) {
    for job in jobs_of(parts) {
        job.cancel();
    }
}

/// The jobs that a handle of several stands for, each once. A job that no longer exists is over, and is left out.
pub(crate) fn jobs_of(parts: &[Weak<dyn Completion>]) -> Vec<Arc<dyn Completion>> {
    // `seen` has the addresses of parts. `kept` and `jobs` keep the parts alive, so that no address is used again.
    let (mut seen, mut kept, mut jobs) = (HashSet::new(), Vec::new(), Vec::new());
    let mut left: Vec<_> = parts.iter().rev().cloned().collect();
    while let Some(part) = left.pop() {
        let Some(part) = part.upgrade() else { continue };
        if seen.insert(Arc::as_ptr(&part).cast::<()>()) {
            match part.parts() {
                [] => jobs.push(part),
                parts => {
                    left.extend(parts.iter().rev().cloned());
                    kept.push(part);
                }
            }
        }
    }
    jobs
}

impl JobHandle {
    pub(crate) fn new(completion: Arc<dyn Completion>) -> Self {
        #[cfg(feature = "rayon")]
        crate::pool::rayon_workers::help_while_waiting();
        Self { wait: Wait::new(completion) }
    }

    /// Is the job over? This never blocks.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.latch().is_set()
    }

    /// How the job ended; `None` if it is not over.
    ///
    /// The outcome of a call whose [`Future`](crate::Future) was dropped is [`Cancelled`](JobOutcome::Cancelled), because nobody could
    /// have taken its result.
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
    /// A worker of a rayon pool that has had jobs submitted to it helps instead of blocking: it runs jobs of its own pool, preferably the
    /// one that it waits for, so jobs may wait for each other even in a pool of one thread. Helping can delay the return by one turn. The
    /// worker runs no other work of the pool meanwhile. Without the feature `wasm`, it helps only while its stack has room for another job.
    ///
    /// This waits for ever in two cases. While it helps, a worker may run a job that waits for the very job that called this, which is further
    /// down the same stack and cannot go on. Or all workers of a pool that is not rayon's block here, and none is left to run the jobs.
    ///
    /// So a job that depends on another one should await its handle instead, or run [after](crate::JobPool::submit_after) it.
    pub fn wait(&self) {
        let sleeper = Sleeper::new();
        let mut handle = self.clone();
        while !handle.is_complete_or_wakes(sleeper.waker()) {
            help_or_sleep(&sleeper, self.wanted());
        }
    }

    /// Makes a handle that is complete when all of `handles` are; at once, if there are none. Its [outcome](Self::outcome) is the worst of
    /// theirs.
    ///
    /// Make one and keep it, rather than a new one each frame: an unfinished job keeps an entry for each such handle, even a dropped one.
    #[must_use]
    pub fn all(handles: impl IntoIterator<Item = JobHandle>) -> JobHandle {
        let handles: Vec<_> = handles.into_iter().collect();
        let parts = parts_of(&handles);
        let countdown = Countdown::new(handles.len());
        let all = Arc::new(All { latch: Latch::default(), countdown, parts });
        wait_for_all(&all, handles.iter().map(Self::latch));
        JobHandle::new(all)
    }

    /// Ends the job, unless it is over: the result of its call is [`Error::Cancelled`](crate::Error::Cancelled).
    ///
    /// This does what [`Future::cancel`](crate::Future::cancel) does, from any thread. A job that is in no step ends at once, and what its
    /// call held is dropped on this thread. A job that is in a step ends at the end of that step, on the step's thread. A closure that has
    /// begun runs to its end. The handle of [all](Self::all) or [any](Self::any) of some jobs cancels each of them.
    pub fn cancel(&self) {
        self.completion().cancel();
    }

    pub(crate) fn completion(&self) -> &Arc<dyn Completion> {
        self.wait.on()
    }

    pub(crate) fn wanted(&self) -> Wanted {
        self.completion().wanted()
    }

    pub(crate) fn latch(&self) -> &Latch {
        (**self.completion()).as_ref()
    }

    /// Is the job over? If not, `waker` will be woken when it is.
    pub(crate) fn is_complete_or_wakes(&mut self, waker: &Waker) -> bool {
        let is_complete = self.wait.is_over_or_wakes(waker);
        #[cfg(feature = "explore")]
        if !is_complete {
            note(|| WaitsFor::Jobs(self.latches()));
        }
        is_complete
    }

    /// The addresses of the latches of the jobs that this stands for.
    #[cfg(feature = "explore")]
    pub(crate) fn latches(&self) -> Vec<usize> {
        match self.completion().parts() {
            [] => vec![self.latch().address()],
            parts => jobs_of(parts).iter().map(|job| (**job).as_ref().address()).collect(),
        }
    }
}

impl Clone for JobHandle {
    fn clone(&self) -> Self {
        Self { wait: Wait::new(self.completion().clone()) }
    }
}

impl std::future::Future for JobHandle {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.is_complete_or_wakes(context.waker()) { Poll::Ready(()) } else { Poll::Pending }
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
