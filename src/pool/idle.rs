//! [`Idle`]: waits until jobs are idle, all at one moment. A job is idle when it is over, or waits and was not woken.
//!
//! Nothing counts the jobs that are not idle, so there is no number to wait for. Instead the observer goes through the jobs, and waits at each
//! one until that one is idle. At the end of this pass, each was idle, but each at its own time. If a second pass finds every job idle as it
//! was, by the same [`Rest`], then each was idle throughout, and so all were at the moment between the passes. Otherwise there is another pass.

use crate::pool::handle::{Completion, JobHandle, Rest, jobs_of};
use crate::wait::block::{Sleeper, help_or_sleep};
use crate::wait::latch::Wait;
use std::pin::Pin;
use std::slice;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// A wait for jobs to be idle.
struct Idle {
    jobs: Vec<Observed>,
    /// The job that this pass has come to.
    at: usize,
    /// Has this pass found each job as the last pass did?
    is_same: bool,
}

struct Observed {
    wait: Wait<dyn Completion>,
    /// What the last look has found.
    rest: Option<Rest>,
}

impl Observed {
    /// Is the job idle? If not, `waker` will be woken when it is.
    fn rest_or_wakes(&mut self, waker: &Waker) -> Option<Rest> {
        if let Some(rest) = self.wait.on().rest() {
            return Some(rest);
        }
        // First the waker, then the flag that has it woken, then another look: see `State::watch`.
        if self.wait.is_settled_or_wakes(waker) {
            return Some(Rest::Over);
        }
        self.wait.on().watch();
        self.wait.on().rest()
    }
}

impl Idle {
    fn new(handle: &JobHandle) -> Self {
        let observed = |job| Observed { wait: Wait::new(job), rest: None };
        let jobs = handle.jobs().into_iter().map(observed).collect();
        Self { jobs, at: 0, is_same: false }
    }

    /// Are all jobs idle? If not, `waker` will be woken when one of them is, and the caller asks again.
    fn is_idle_or_wakes(&mut self, waker: &Waker) -> bool {
        loop {
            while let Some(job) = self.jobs.get_mut(self.at) {
                let Some(rest) = job.rest_or_wakes(waker) else { return false };
                job.wait.forget();
                self.is_same &= job.rest == Some(rest);
                job.rest = Some(rest);
                self.at += 1;
            }
            if self.is_same || self.jobs.len() <= 1 {
                return true;
            }
            (self.at, self.is_same) = (0, true);
        }
    }
}

impl std::future::Future for Idle {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.is_idle_or_wakes(context.waker()) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl JobHandle {
    /// Is the job idle? It is when it is over, or when it waits, for an event, a time or another job, and nothing has woken it since. A job
    /// that stands in its pool's queue, or is in a step, is not idle; nor is a closure, unless it still waits for the jobs before it.
    ///
    /// For a handle of [all](Self::all) or [any](Self::any) of some jobs: are all of them idle at one moment? While one of them is in a step,
    /// they are not, even if all others wait: that step may wake one of these.
    ///
    /// A job that is over is idle once all that waited for it were notified, so perhaps a moment after [`wait`](Self::wait) has returned.
    ///
    /// Work outside of these jobs does not count: a job that awaits a thread or a task of tokio's is idle, too.
    ///
    /// This never blocks. If it returns true, the caller sees everything that the jobs wrote before.
    ///
    /// ```
    /// use wasm_jobs::{Event, Future, JobPool, RayonGlobal};
    ///
    /// let click = Event::new();
    /// let mut waits = Future::new({ let click = click.wait(); async { Ok(click.await) } });
    /// let job = RayonGlobal.submit(waits.to_job()?);
    /// job.wait_until_idle();
    /// assert!(job.is_idle() && !job.is_complete());
    /// click.set();
    /// job.wait_until_idle();
    /// assert!(job.is_complete());
    /// # Ok::<(), wasm_jobs::Error>(())
    /// ```
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let jobs = self.jobs();
        let look = || jobs.iter().map(|job| job.rest()).collect::<Option<Vec<_>>>();
        let mut before = None;
        loop {
            match look() {
                None => return false,
                now if jobs.len() <= 1 || now == before => return true,
                now => before = now,
            }
        }
    }

    /// Blocks this thread, without using the CPU, until the job is [idle](Self::is_idle); for a handle of [all](Self::all) or
    /// [any](Self::any) of some jobs, until all of them are idle at one moment.
    ///
    /// With it, a simulation ticks its [`ManualClock`](crate::ManualClock) when nothing is left to do before the tick, and so runs the same way
    /// on any number of threads:
    ///
    /// ```
    /// use std::time::Duration;
    /// use wasm_jobs::{Clock, Future, JobHandle, JobPool, ManualClock, RayonGlobal};
    ///
    /// let clock = ManualClock::new();
    /// let sleepers = (1..=3).map(|seconds| {
    ///     let clock = clock.clone();
    ///     Future::new(async move { Ok(clock.sleep(Duration::from_secs(seconds)).await) })
    /// });
    /// let mut sleepers: Vec<_> = sleepers.collect();
    /// let runners = sleepers.iter_mut().map(Future::to_job).collect::<Result<Vec<_>, _>>()?;
    /// let jobs = RayonGlobal.submit_all(runners);
    /// let mut seconds = 0;
    /// loop {
    ///     jobs.wait_until_idle();
    ///     if jobs.is_complete() {
    ///         break;
    ///     }
    ///     clock.tick(Duration::from_secs(1));
    ///     seconds += 1;
    /// }
    /// assert_eq!(seconds, 3);
    /// # Ok::<(), wasm_jobs::Error>(())
    /// ```
    ///
    /// Jobs that are woken again and again, such as by a [`RealtimeClock`](crate::RealtimeClock), may not be idle for long, or never all at
    /// once. A worker of a rayon pool helps instead of blocking, as with [`wait`](Self::wait). A job that calls this
    /// on its own handle, or on a handle of several jobs with itself among them, waits for ever.
    pub fn wait_until_idle(&self) {
        let sleeper = Sleeper::new();
        let mut idle = Idle::new(self);
        while !idle.is_idle_or_wakes(sleeper.waker()) {
            help_or_sleep(&sleeper, self.wanted());
        }
    }

    /// Waits, as [`wait_until_idle`](Self::wait_until_idle) does, without blocking: a future to await.
    ///
    /// A job must not await this on its own handle, or on a handle of several jobs with itself among them: whenever it looks, it is in a step
    /// and so not idle; and whenever it begins to wait, that wakes it.
    pub fn until_idle(&self) -> impl std::future::Future<Output = ()> + Send + 'static + use<> {
        Idle::new(self)
    }

    /// The jobs that this handle stands for.
    fn jobs(&self) -> Vec<Arc<dyn Completion>> {
        match self.completion().parts() {
            // A handle of jobs that were all over when it was made stands for itself.
            [] => slice::from_ref(self.completion()).to_vec(),
            parts => jobs_of(parts),
        }
    }
}
