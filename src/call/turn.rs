//! [`Job`]: what a pool's queue holds, the next turn of a call or a closure. It runs a [`Runnable`]: the
//! [`Task`](crate::call::task::Task) of a call, or a closure of the pool's. A call's [`Schedule`] puts its later turns into the queue.

use crate::step::stack::with_room;
use crate::sync::{Stopwatch, const_thread_local};
use crate::unwind::{catch, ignore_panic};
use crate::wait::latch::Latch;
#[cfg(feature = "explore")]
use std::cell::Cell;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One turn of a submitted call or closure: what a pool's queue holds.
///
/// A pool [runs](Self::run) each job once. A job that is dropped instead is given back: the [`Future`](crate::Future) of its call has
/// the right to resume again, or its closure is dropped; and its [`JobHandle`](crate::JobHandle) completes as
/// [`Cancelled`](crate::JobOutcome::Cancelled).
#[must_use = "dropping a job takes its call or closure out of the pool"]
pub struct Job {
    /// `None` once the job was run.
    runnable: Option<Arc<dyn Runnable>>,
}

/// What a job runs: a call or a closure, of any type.
pub(crate) trait Runnable: Send + Sync {
    /// Takes a turn. Returns the job of the next turn, if this one yielded.
    fn turn(self: Arc<Self>) -> Option<Job>;
    /// The name of the call.
    #[cfg(feature = "explore")]
    fn name(&self) -> Option<String> {
        None
    }
    /// The job was dropped without a turn.
    fn give_back(&self);
    /// Is it a call, and not a closure?
    #[cfg(any(
        feature = "explore",
        all(any(feature = "rayon", wasm_jobs_loom), any(feature = "wasm", wasm_jobs_loom))
    ))]
    fn is_call(&self) -> bool {
        true
    }
    /// Ends the call or closure without a turn, because a job that it depends on has not succeeded.
    fn refuse(self: Arc<Self>);
    /// How the next turn gets into the queue; `None` for a call that is no job any more, and for a closure.
    fn schedule(&self) -> Option<Arc<dyn Schedule>> {
        None
    }
}

/// How a submitted call gets into its pool's queue, and the latch of its handle.
pub(crate) trait Schedule: Send + Sync {
    /// Puts the job at the back of the pool's queue. This is foreign code, and may panic.
    fn enqueue(&self, job: Job);
    /// The latch that is set once the call is no job of this pool any more.
    fn latch(&self) -> &Latch;
}

/// A call whose handles can be asked whether it is idle. Each function is about the job whose handle has the `latch`; if the call is no
/// longer that job, the latch is set, or about to be.
pub(crate) trait Observe: Send + Sync {
    /// Is the job idle: does it wait, with no wake to come? The same value twice means that it was idle in between.
    fn idle(&self, latch: &Latch) -> Option<u64>;
    /// Is the call over, or was it cancelled and is about to be?
    fn is_ending(&self) -> bool;
    /// Has the job notify the observers that its latch has when it begins to wait the next time.
    fn watch(&self, latch: &Latch);
}

/// A call that a handle can cancel and observe.
pub(crate) trait Cancel: Observe {
    /// Cancels the call, if it still is the job whose handle has this latch.
    fn cancel(self: Arc<Self>, latch: &Latch);
}

const_thread_local! {
    /// `Some` while this thread puts a job back into a queue: the jobs that the pool runs inside its `enqueue`, to be run after it.
    static RUN_WHILE_ENQUEUEING: RefCell<Option<VecDeque<Job>>> = RefCell::new(None);
}

impl Job {
    /// How long a job that yields keeps its worker before it goes to the back of the queue: 50 µs from its first yield. The clock is
    /// read at every eighth yield at the latest, so a turn may last up to eight yields longer. A trip through a pool's queue costs a
    /// fraction of a microsecond, which is less than one percent of a turn; and each of a hundred such jobs on one worker still gets
    /// several turns a frame. A job that never yields keeps its worker until it waits or ends.
    pub const QUANTUM: Duration = Duration::from_micros(50);

    pub(crate) fn new(runnable: Arc<dyn Runnable>) -> Self {
        Self { runnable: Some(runnable) }
    }

    /// The address of this job's task, which identifies it.
    #[cfg(any(feature = "rayon", wasm_jobs_loom))]
    pub(crate) fn address(&self) -> Option<usize> {
        self.runnable.as_ref().map(|runnable| Arc::as_ptr(runnable).addr())
    }

    /// Is it a call's, and not a closure's?
    #[cfg(any(
        feature = "explore",
        all(any(feature = "rayon", wasm_jobs_loom), any(feature = "wasm", wasm_jobs_loom))
    ))]
    pub(crate) fn is_of_a_call(&self) -> bool {
        self.runnable.as_ref().is_some_and(|runnable| runnable.is_call())
    }

    /// Ends the job without running it, because a job that it depends on has not succeeded.
    pub(crate) fn refuse(mut self) {
        if let Some(runnable) = self.runnable.take() {
            runnable.refuse();
        }
    }

    /// Gives the job one turn on this thread: until its call ends, waits, or has yielded for a [quantum](Self::QUANTUM). A job that
    /// has yielded goes to the back of its pool's queue.
    ///
    /// This does not panic, whatever the guest, the host functions or the closure do.
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

    /// Gives the job one turn on this thread, as [`run`](Self::run) does, but returns a job that has yielded, instead of putting it into
    /// its pool's queue. The caller puts it at the back of the queue.
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
    #[must_use = "dropping a job takes its call out of the pool"]
    pub fn turn(mut self) -> Option<Self> {
        let _aside = Aside::set();
        // `with_room` panics if there is no memory for a stack. Then the job is dropped, and so given back.
        catch(|| with_room(|| self.runnable.take()?.turn())).ok()?
    }

    /// Gives the job one step on this thread: to the first stop of its call. Returns a job that has yielded, as [`turn`](Self::turn) does.
    #[cfg(feature = "explore")]
    pub(crate) fn step(self) -> Option<Self> {
        let outer = IS_ONE_STEP.with(|place| place.replace(true));
        // This does not panic.
        let next = self.turn();
        IS_ONE_STEP.with(|place| place.set(outer));
        next
    }

    /// How the next turn of the call gets into its pool's queue; `None` for a closure.
    #[cfg(feature = "explore")]
    pub(crate) fn schedule(&self) -> Option<Arc<dyn Schedule>> {
        self.runnable.as_ref()?.schedule()
    }

    /// The name of the call, if it has one.
    #[cfg(feature = "explore")]
    pub(crate) fn name(&self) -> Option<String> {
        self.runnable.as_ref()?.name()
    }

    /// Puts a job whose prerequisites are complete into its pool's queue. A job that was cancelled meanwhile is dropped.
    pub(crate) fn enqueue_first(self) {
        if let Some(schedule) = self.runnable.as_ref().and_then(|runnable| runnable.schedule()) {
            schedule.enqueue(self);
        }
    }

    /// Puts the job at the back of its pool's queue. A pool without a queue runs the job inside its `enqueue`, which would go deeper
    /// into this thread's stack with every turn. Therefore this returns the jobs that the pool runs there, for the caller to run.
    fn enqueue(self) -> VecDeque<Self> {
        let Some(schedule) = self.runnable.as_ref().and_then(|runnable| runnable.schedule()) else {
            return VecDeque::new();
        };
        let _ = RUN_WHILE_ENQUEUEING.try_with(|jobs| jobs.replace(Some(VecDeque::new())));
        // If `enqueue` panics, the job is dropped, and so given back.
        ignore_panic(move || schedule.enqueue(self));
        RUN_WHILE_ENQUEUEING.try_with(RefCell::take).ok().flatten().unwrap_or_default()
    }

    /// Returns the job; or `None` if a caller further up this thread's stack is putting a job into a queue, and runs this one afterwards.
    fn unless_enqueueing(self) -> Option<Self> {
        let mut job = Some(self);
        let _ = RUN_WHILE_ENQUEUEING.try_with(|jobs| {
            if let Some(jobs) = &mut *jobs.borrow_mut() {
                jobs.extend(job.take());
            }
        });
        job
    }
}

/// The jobs that are run after an `enqueue`, set aside for the time of a turn: a job that the turn runs itself, and waits for, is not one of
/// them.
struct Aside(Option<VecDeque<Job>>);

impl Aside {
    #[inline]
    fn set() -> Self {
        Self(RUN_WHILE_ENQUEUEING.try_with(RefCell::take).ok().flatten())
    }
}

impl Drop for Aside {
    #[inline]
    fn drop(&mut self) {
        if let Some(jobs) = self.0.take() {
            let _ = RUN_WHILE_ENQUEUEING.try_with(|place| place.replace(Some(jobs)));
        }
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

#[cfg(feature = "explore")]
const_thread_local! {
    /// Does each turn on this thread end at the first yield?
    static IS_ONE_STEP: Cell<bool> = Cell::new(false);
}

/// How much of its [quantum](Job::QUANTUM) a job has left. Reading the clock costs about a fifth of a yield, so it is read after the
/// first, second, fourth and eighth yield, and from then on after every eighth.
#[derive(Default)]
pub(crate) struct Quantum {
    since_first_yield: Option<Stopwatch>,
    yields: u32,
    next_look: u32,
}

impl Quantum {
    /// Called after each yield: may the job run on?
    pub(crate) fn lasts(&mut self) -> bool {
        #[cfg(feature = "explore")]
        if IS_ONE_STEP.with(Cell::get) {
            return false;
        }
        self.yields = self.yields.saturating_add(1);
        if self.yields < self.next_look {
            return true;
        }
        self.next_look = self.yields.saturating_add(self.yields.min(8));
        self.since_first_yield.get_or_insert_with(Stopwatch::start).elapsed() < Job::QUANTUM
    }
}
