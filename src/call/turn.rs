//! [`Job`]: the next turn of something that was handed to a pool; what a pool's queue holds. Behind it stands a [`Runnable`]: the
//! [`Task`](crate::call::task::Task) of a call, or a closure of the pool's. How a call gets its turn after the next one is its [`Schedule`].

use crate::step::stack::with_room;
use crate::sync::{Stopwatch, const_thread_local};
use crate::unwind::{catch, ignore_panic};
use crate::wait::latch::Latch;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One turn of a submitted call: what a pool's queue holds.
///
/// A job that is dropped instead of run is given back: its [`Future`](crate::Future) has the right to resume again, and its
/// [`JobHandle`](crate::JobHandle) is complete.
#[must_use = "dropping it takes the call out of the pool"]
pub struct Job {
    /// There until the job is run.
    runnable: Option<Arc<dyn Runnable>>,
}

/// What a queue needs of a job, whatever its result.
pub(crate) trait Runnable: Send + Sync {
    /// Takes a turn. Returns the job if it has yielded and needs another turn.
    fn turn(self: Arc<Self>) -> Option<Job>;
    /// The pool drops the job.
    fn give_back(&self);
    /// Ends the job without a turn, because a job that it depends on has not succeeded.
    fn refuse(self: Arc<Self>);
    /// How a job that yields gets its next turn; none if it was cancelled meanwhile, or never yields.
    fn schedule(&self) -> Option<Arc<dyn Schedule>> {
        None
    }
}

/// The way of a submitted call back into its pool's queue, and to those that wait for the end of it.
pub(crate) trait Schedule: Send + Sync {
    /// Puts the job at the back of the queue. This is foreign code, and may panic.
    fn enqueue(&self, job: Job);
    /// Set once the call is no job of this pool any more.
    fn latch(&self) -> &Latch;
}

/// What a handle needs of a call, to cancel it.
pub(crate) trait Cancel: Send + Sync {
    /// Cancels the call, if it still is the job that has this latch.
    fn cancel(self: Arc<Self>, latch: &Latch);
}

const_thread_local! {
    /// While this thread puts a job back into its pool's queue: the jobs that the pool would run right there.
    static RUN_WHILE_ENQUEUEING: RefCell<Option<VecDeque<Job>>> = RefCell::new(None);
}

impl Job {
    /// How long a job that yields keeps its worker before it goes to the back of the queue, counted from its first yield:
    /// 50 µs, and then until the clock is looked at, which is at every eighth yield at the latest. A trip through a pool's
    /// queue costs a fraction of a microsecond, so that a turn loses less than one percent to it; and each of a hundred jobs
    /// on a worker still comes around several times a frame, if they yield as often as that.
    pub const QUANTUM: Duration = Duration::from_micros(50);

    pub(crate) fn new(runnable: Arc<dyn Runnable>) -> Self {
        Self { runnable: Some(runnable) }
    }

    /// Where the task of this job is, which tells it from all others.
    #[cfg(any(feature = "rayon", wasm_jobs_loom))]
    pub(crate) fn address(&self) -> Option<usize> {
        self.runnable.as_ref().map(|runnable| Arc::as_ptr(runnable).addr())
    }

    /// Ends the job, because one that it depends on has not succeeded.
    pub(crate) fn refuse(mut self) {
        if let Some(runnable) = self.runnable.take() {
            runnable.refuse();
        }
    }

    /// Gives the job one turn on this thread. It returns when the call has ended, waits, or has yielded for a while; a job that has
    /// yielded goes to the back of its pool's queue.
    ///
    /// It does not panic, whatever the guest and the host functions do.
    pub fn run(self) {
        let mut next = self.unless_enqueueing();
        let mut jobs = VecDeque::new();
        while let Some(job) = next {
            if let Some(job) = job.turn() {
                jobs.append(&mut job.enqueue());
            }
            next = jobs.pop_front();
        }
    }

    /// Gives the job one turn on this thread, for a pool that has its queue at hand: returns the job if it has yielded for a while and has to
    /// go to the back of the queue.
    ///
    /// ```
    /// # use std::collections::VecDeque;
    /// # use wasm_jobs::Job;
    /// fn run_all(mut queue: VecDeque<Job>) {
    ///     while let Some(job) = queue.pop_front() {
    ///         queue.extend(job.turn());
    ///     }
    /// }
    /// ```
    #[must_use = "dropping the job takes the call out of the pool"]
    pub fn turn(mut self) -> Option<Self> {
        // If there is no memory for a stack, this panics, and the job is dropped, and so given back.
        catch(|| with_room(|| self.runnable.take()?.turn())).ok()?
    }

    /// Puts the job into its pool's queue for the first time. A job that was cancelled meanwhile is dropped.
    pub(crate) fn enqueue_first(self) {
        if let Some(schedule) = self.runnable.as_ref().and_then(|runnable| runnable.schedule()) {
            schedule.enqueue(self);
        }
    }

    /// Puts the job at the back of its pool's queue. A pool without a queue runs it right there, and would go one deeper
    /// into this thread's stack with every turn; that job, and any other, is given to the caller instead.
    fn enqueue(self) -> VecDeque<Self> {
        let Some(schedule) = self.runnable.as_ref().and_then(|runnable| runnable.schedule()) else {
            return VecDeque::new();
        };
        RUN_WHILE_ENQUEUEING.with(|jobs| jobs.replace(Some(VecDeque::new())));
        // If that panics, the job is dropped, and so given back.
        ignore_panic(|| schedule.enqueue(self));
        RUN_WHILE_ENQUEUEING.with(RefCell::take).unwrap_or_default()
    }

    /// The job, unless this thread is putting one into a queue further out, and will run this one after that.
    fn unless_enqueueing(self) -> Option<Self> {
        RUN_WHILE_ENQUEUEING.with(|jobs| match &mut *jobs.borrow_mut() {
            Some(jobs) => {
                jobs.push_back(self);
                None
            }
            None => Some(self),
        })
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Some(runnable) = &self.runnable {
            runnable.give_back();
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").finish_non_exhaustive()
    }
}

/// How much of its turn a job has left. Reading the clock costs as much as a fifth of a yield, so it is read after one
/// yield, after two, after four, and from then on after every eighth.
#[derive(Default)]
pub(crate) struct Quantum {
    since_first_yield: Option<Stopwatch>,
    yields: u32,
    next_look: u32,
}

impl Quantum {
    /// After a yield: may the job run on?
    pub(crate) fn lasts(&mut self) -> bool {
        self.yields = self.yields.saturating_add(1);
        if self.yields < self.next_look {
            return true;
        }
        self.next_look = self.yields.saturating_add(self.yields.min(8));
        self.since_first_yield.get_or_insert_with(Stopwatch::start).elapsed() < Job::QUANTUM
    }
}
