//! [`JobPool`] and [`Job`]: how the jobs of this crate get onto other people's threads.
//!
//! A pool is anything with a queue and workers. It is handed a [`Job`] when a runner is submitted, again each time that
//! a waiting call is woken, and again when a yielding call has used up its turn; a worker runs it once for each time. Between
//! its turns a waiting job is nowhere in the pool.

use crate::interrupt::{Interrupter, inside_a_step};
use crate::job::JobHandle;
use crate::latch::Latch;
use crate::runner::FutureRunner;
use crate::sync::{Stopwatch, const_thread_local};
use crate::task::quietly;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "rayon")]
mod rayon;

#[cfg(feature = "rayon")]
pub use self::rayon::RayonGlobal;

/// A pool of threads that runs jobs.
///
/// It is implemented for rayon's pools, and for every closure that passes a [`Job`] on, so that any other executor is one
/// line:
///
/// ```
/// use wasm_jobs::{Future, Job, JobPool};
///
/// let a_thread_each = |job: Job| {
///     std::thread::spawn(|| job.run());
/// };
/// let mut future = Future::new(async { Ok(6 * 7) });
/// a_thread_each.submit(future.to_job()?).wait();
/// assert_eq!(future.try_get_result()?, Some(42));
/// # Ok::<(), wasm_jobs::Error>(())
/// ```
pub trait JobPool: Clone + Send + Sync + 'static {
    /// Puts a job at the back of the queue, for a worker to [run](Job::run) once.
    ///
    /// It is called by [`submit`](Self::submit), by workers at the end of a turn, and by whatever wakes a waiting call, on
    /// any thread and inside other calls' steps too, of which the thread that wakes the sleepers of the
    /// [`RealtimeClock`](crate::RealtimeClock) is one. So it must not block for long, nor until a worker is free. If it panics,
    /// the job is given back; except in `submit`, the panic goes no further.
    fn spawn(&self, job: Job);

    /// Hands a call over to the pool, which goes on with it until it ends: whenever it is woken, and in turns of about
    /// [`Job::QUANTUM`] while it yields.
    fn submit<T: Send + 'static>(&self, runner: FutureRunner<T>) -> JobHandle {
        let pool = self.clone();
        let (job, handle) = runner.into_job(Arc::new(move |job| pool.spawn(job)));
        self.spawn(job);
        handle
    }
}

impl<F: Fn(Job) + Clone + Send + Sync + 'static> JobPool for F {
    fn spawn(&self, job: Job) {
        self(job);
    }
}

/// One turn of a submitted call: what a pool's queue holds.
///
/// A job that is dropped instead of run is given back: its [`Future`](crate::Future) has the right to resume again, and its
/// [`JobHandle`] is complete.
#[must_use = "dropping it takes the call out of the pool"]
pub struct Job {
    /// There until the job is run.
    task: Option<Arc<dyn Turn>>,
}

/// A task, whatever its result.
pub(crate) trait Turn: Send + Sync {
    /// True if the job has yielded, and must have another turn.
    fn turn(self: Arc<Self>) -> bool;
    /// The way into its pool's queue; none if its owner cancelled it meanwhile.
    fn spawn(&self) -> Option<Spawn>;
    fn give_back(&self);
    /// Ends the call, if it is still the job that sets this latch.
    fn cancel(self: Arc<Self>, job: &Arc<Latch>);
    /// Was it given up?
    #[cfg_attr(not(feature = "wasm"), allow(dead_code, reason = "for work that can be stopped"))]
    fn is_cancelled(&self) -> bool;
    #[cfg_attr(not(feature = "wasm"), allow(dead_code, reason = "for work that can be stopped"))]
    fn has_ended(&self) -> bool;
    #[cfg_attr(not(feature = "wasm"), allow(dead_code, reason = "for work that can be stopped"))]
    fn interrupted_by(&self) -> Option<Interrupter>;
}

/// Puts a job into the queue of its pool.
pub(crate) type Spawn = Arc<dyn Fn(Job) + Send + Sync>;

/// The pool that a call was submitted to, and who waits for it there.
pub(crate) struct Submission {
    spawn: Spawn,
    latch: Arc<Latch>,
}

const_thread_local! {
    /// While this thread is in a pool's `spawn` at the end of a turn: the jobs that `spawn` itself runs.
    static RUN_BY_SPAWN: RefCell<Option<VecDeque<Job>>> = RefCell::new(None);
}

const_thread_local! {
    /// How many ends of jobs this thread is inside of.
    static ENDS: Cell<u32> = Cell::new(0);
}

impl Job {
    /// How long a job that yields keeps its worker before it goes to the back of the queue, counted from its first yield:
    /// 50 µs, and then until the clock is looked at, which is at every eighth yield at the latest. A trip through a pool's
    /// queue costs a fraction of a microsecond, so that a turn loses less than one percent to it; and each of a hundred jobs
    /// on a worker still comes around several times a frame, if they yield as often as that.
    pub const QUANTUM: Duration = Duration::from_micros(50);

    /// The stack that a job gets when its thread is inside a guest: as large as Rust gives a thread.
    const STACK: usize = 2 * 1024 * 1024;

    pub(crate) fn new(task: Arc<dyn Turn>) -> Self {
        Self { task: Some(task) }
    }

    /// Gives the job one turn on this thread. It returns when the call has ended, waits, or has yielded for a while; what
    /// comes next is taken care of.
    ///
    /// It does not panic, whatever the guest and the host functions do.
    pub fn run(self) {
        let mut next = self.or_after_spawn();
        let mut jobs = VecDeque::new();
        while let Some(job) = next {
            if let Some(job) = job.turn() {
                jobs.append(&mut job.spawn());
            }
            next = jobs.pop_front();
        }
    }

    /// The same for a pool that has its queue at hand: gives the job back if it has yielded for a while and is to go to the
    /// back of the queue.
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
    pub fn turn(self) -> Option<Self> {
        if inside_a_step() {
            // If there is no memory for a stack, this panics, and the job is dropped, and so given back.
            catch_unwind(AssertUnwindSafe(|| stacker::grow(Self::STACK, || self.turn_here())))
                .ok()?
        } else {
            self.turn_here()
        }
    }

    fn turn_here(mut self) -> Option<Self> {
        let task = self.task.take()?;
        task.clone().turn().then(|| Self::new(task))
    }

    /// Puts the job at the back of its pool's queue. A pool without a queue runs it right there, and would go one deeper
    /// into this thread's stack with every turn; that job, and any other, is given to the caller instead.
    fn spawn(self) -> VecDeque<Self> {
        let Some(spawn) = self.task.as_ref().and_then(|task| task.spawn()) else {
            return VecDeque::new();
        };
        RUN_BY_SPAWN.with(|jobs| jobs.replace(Some(VecDeque::new())));
        // If that panics, the job is dropped, and so given back.
        quietly(|| spawn(self));
        RUN_BY_SPAWN.with(RefCell::take).unwrap_or_default()
    }

    /// The job, unless a `spawn` further out on this thread waits for it.
    fn or_after_spawn(self) -> Option<Self> {
        RUN_BY_SPAWN.with(|jobs| match &mut *jobs.borrow_mut() {
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
        if let Some(task) = &self.task {
            task.give_back();
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").finish_non_exhaustive()
    }
}

impl Submission {
    pub(crate) fn new(spawn: Spawn, latch: Arc<Latch>) -> Self {
        Self { spawn, latch }
    }

    pub(crate) fn spawn(&self) -> Spawn {
        self.spawn.clone()
    }

    pub(crate) fn is_of(&self, job: &Arc<Latch>) -> bool {
        Arc::ptr_eq(&self.latch, job)
    }

    /// The job is over.
    pub(crate) fn complete(self) {
        self.latch.set();
    }
}

/// Runs code that the end of a job sets off, in which another job may end. Such ends happen inside each other, as many as a program
/// has jobs after jobs; so now and then they get another stack.
pub(crate) fn one_deeper(code: impl FnOnce()) {
    const THAT_FIT: u32 = 32;

    let depth = ENDS.with(|ends| ends.replace(ends.get() + 1));
    if depth % THAT_FIT == THAT_FIT - 1 {
        stacker::grow(Job::STACK, code);
    } else {
        code();
    }
    ENDS.with(|ends| ends.set(depth));
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
