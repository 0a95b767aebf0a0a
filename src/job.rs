//! [`JobHandle`]: what the rest of the world sees of a job. It says that the job is over, and never what came of it; the
//! result is for the [`Future`](crate::Future) alone. Behind it stands a latch that the job sets, once.

use crate::latch::{Latch, Wait};
use crate::pool::{Turn, one_deeper};
use crate::sync::{Mutex, block_on};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

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
    All(Arc<All>),
}

/// Of jobs that may be such handles themselves, as many inside each other as a program makes of the last one again and again.
/// So nothing here calls itself.
struct All(Vec<Cancels>);

impl Cancels {
    fn cancel(&self) {
        let mut rest = vec![self];
        while let Some(next) = rest.pop() {
            match next {
                Self::Job(job, latch) => {
                    if let Some(job) = job.upgrade() {
                        job.cancel(latch);
                    }
                }
                Self::All(all) => rest.extend(&all.0),
            }
        }
    }
}

impl Drop for All {
    fn drop(&mut self) {
        while let Some(next) = self.0.pop() {
            if let Cancels::All(all) = next
                && let Some(mut all) = Arc::into_inner(all)
            {
                self.0.append(&mut all.0);
            }
        }
    }
}

/// Sets its latch at the last of a number of wakes.
struct Countdown {
    remaining: Mutex<usize>,
    latch: Arc<Latch>,
}

impl Countdown {
    fn count(&self) {
        let remaining = {
            let mut remaining = self.remaining.lock();
            *remaining -= 1;
            *remaining
        };
        if remaining == 0 {
            one_deeper(|| self.latch.set());
        }
    }
}

impl Wake for Countdown {
    fn wake(self: Arc<Self>) {
        self.count();
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
    /// Do not call it on a worker of a pool whose other workers may all be doing the same: a pool that only waits for
    /// itself never goes on. A job that has to wait for another one awaits its handle instead.
    pub fn wait(&self) {
        block_on(self.clone());
    }

    /// A handle that is complete when all of these are. With none, it is complete at once.
    ///
    /// Make one and keep it: what it takes to be told of each job is kept until that job is over.
    #[must_use]
    pub fn all(handles: impl IntoIterator<Item = JobHandle>) -> JobHandle {
        let latch = Arc::new(Latch::default());
        // What is over already is left out, or a handle that is made of the last one again and again would keep all of them.
        let handles: Vec<_> = handles.into_iter().filter(|handle| !handle.is_complete()).collect();
        // One more, for this function, so that it is not complete before all have been asked.
        let countdown =
            Arc::new(Countdown { remaining: Mutex::new(handles.len() + 1), latch: latch.clone() });
        let waker = Waker::from(countdown.clone());
        let cancels = handles.iter().map(|handle| handle.cancels.clone()).collect();
        for handle in handles {
            // Not with the handle's own ticket: the handle goes, and the countdown goes on.
            if handle.wait.latch().is_set_or_tell(&waker, &mut None) {
                countdown.count();
            }
        }
        countdown.count();
        JobHandle::new(latch, Cancels::All(Arc::new(All(cancels))))
    }

    /// Ends the job, unless it is over: the result of its call is [`Error::Cancelled`](crate::Error::Cancelled).
    ///
    /// It does what [`Future::cancel`](crate::Future::cancel) does, on behalf of the owner, and from any thread. A job that is
    /// in no step ends at once, and what its call held is dropped on this thread; one that is in a step ends on the
    /// thread of that step. The handle of [all](Self::all) of some jobs cancels each of them.
    pub fn cancel(&self) {
        self.cancels.cancel();
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
