//! [`JobHandle`]: what the rest of the world sees of a job. It says that the job is over, and never what came of it; the
//! result is for the [`Future`](crate::Future) alone. Behind it stands a latch that the job sets, once.

use crate::pool::after::{Countdown, Dependent, wait_for};
use crate::pool::{Turn, help_or_sleep};
use crate::sync::Sleeper;
use crate::wait::latch::{HasFailed, Latch, Wait};
use std::collections::HashSet;
use std::fmt;
use std::pin::Pin;
use std::ptr;
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
    wait: Wait<dyn Over>,
}

/// What handles are of: something that is over at some time, which its latch tells, and can be ended before.
pub(crate) trait Over: AsRef<Latch> + Send + Sync {
    fn cancel(&self);
    /// The jobs that this is all of, if it is.
    fn parts(&self) -> &[Weak<dyn Over>] {
        &[]
    }
    /// Are these turns of this very job?
    #[cfg_attr(not(feature = "rayon"), allow(dead_code, reason = "for workers that help"))]
    fn is_of(&self, turns: &Arc<dyn Turn>) -> bool {
        let _ = turns;
        false
    }
}

/// A call that was submitted. It may be lost to its owner, and then it is over.
pub(crate) struct Submitted {
    latch: Latch,
    call: Weak<dyn Turn>,
}

impl Submitted {
    pub(crate) fn new(call: Weak<dyn Turn>) -> Self {
        Self { latch: Latch::default(), call }
    }

    pub(crate) fn complete(&self, has_failed: HasFailed) {
        self.latch.complete(has_failed);
    }
}

impl AsRef<Latch> for Submitted {
    fn as_ref(&self) -> &Latch {
        &self.latch
    }
}

impl Over for Submitted {
    fn cancel(&self) {
        if let Some(call) = self.call.upgrade() {
            call.cancel(self);
        }
    }

    fn is_of(&self, turns: &Arc<dyn Turn>) -> bool {
        ptr::addr_eq(Arc::as_ptr(turns), self.call.as_ptr())
    }
}

/// All of some jobs. These may be all of others, and so on, deeper than a stack is.
struct All {
    latch: Latch,
    countdown: Countdown,
    /// Weak, for they lead here: this is among what waits for them. Who is not over is kept by whoever is to end it.
    parts: Vec<Weak<dyn Over>>,
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

    fn go_on(self: Arc<Self>, has_failed: HasFailed) {
        self.latch.complete(has_failed);
    }
}

impl Over for All {
    fn cancel(&self) {
        // Each once, by where it is; so none may go meanwhile.
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

    fn parts(&self) -> &[Weak<dyn Over>] {
        &self.parts
    }
}

impl JobHandle {
    pub(crate) fn new(of: Arc<dyn Over>) -> Self {
        Self { wait: Wait::new(of) }
    }

    /// Is the job over?
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.latch().is_set()
    }

    /// Blocks this thread, without using the CPU, until the job is over.
    ///
    /// A worker of a rayon pool that has had jobs submitted to it does not block: it runs jobs of its pool meanwhile, best the one
    /// that it waits for, so that jobs may wait for each other in a pool of one thread too. The wait may be longer by a turn of
    /// such a job, and never ends if one of them waits for the job that waits here, which cannot go on below it. Other work
    /// of the pool is not run meanwhile. Workers of other pools block: if all do, the pool never goes on.
    ///
    /// Where it can, a job that has to wait for another one awaits its handle instead, or runs
    /// [after](crate::JobPool::submit_after) it.
    pub fn wait(&self) {
        let sleeper = Sleeper::new();
        let mut handle = self.clone();
        while !handle.is_complete_or_tell(sleeper.waker()) {
            help_or_sleep(&sleeper, Some(&**self.of_what()));
        }
    }

    /// A handle that is complete when all of these are. With none, it is complete at once.
    ///
    /// Make one and keep it: what it takes to be told of each job is kept until that job is over.
    #[must_use]
    pub fn all(handles: impl IntoIterator<Item = JobHandle>) -> JobHandle {
        let handles: Vec<_> = handles.into_iter().collect();
        // Not what is over: who keeps adding to one handle keeps no more than what is not.
        let unfinished = handles.iter().filter(|handle| !handle.is_complete());
        let parts = unfinished.map(|handle| Arc::downgrade(handle.of_what())).collect();
        let countdown = Countdown::new(&handles);
        let all = Arc::new(All { latch: Latch::default(), countdown, parts });
        wait_for(all.clone(), &handles);
        JobHandle::new(all)
    }

    /// Ends the job, unless it is over: the result of its call is [`Error::Cancelled`](crate::Error::Cancelled).
    ///
    /// It does what [`Future::cancel`](crate::Future::cancel) does, on behalf of the owner, and from any thread. A job that is
    /// in no step ends at once, and what its call held is dropped on this thread; one that is in a step ends on the
    /// thread of that step. The handle of [all](Self::all) of some jobs cancels each of them.
    pub fn cancel(&self) {
        self.of_what().cancel();
    }

    pub(crate) fn of_what(&self) -> &Arc<dyn Over> {
        self.wait.of()
    }

    pub(crate) fn latch(&self) -> &Latch {
        (**self.of_what()).as_ref()
    }

    pub(crate) fn is_complete_or_tell(&mut self, waker: &Waker) -> bool {
        self.wait.is_over_or_tell(waker)
    }
}

impl Clone for JobHandle {
    fn clone(&self) -> Self {
        Self::new(self.of_what().clone())
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
