//! [`JobPool`] and [`Job`]: how the jobs of this crate get onto other people's threads.
//!
//! A pool is anything with a queue and workers. It is handed a [`Job`] when a runner is submitted, again each time that
//! a waiting call is woken, and again when a yielding call has used up its turn; a worker runs it once for each time. Between
//! its turns a waiting job is nowhere in the pool.

use crate::call::runner::FutureRunner;
use crate::pool::after::{After, Later, all_are_over, release, wait_for};
use crate::pool::closure::Native;
use crate::pool::handle::{JobHandle, Over, Submitted};
use crate::step::interrupt::{depth, is_in_step};
use crate::sync::{Mutex, Sleeper, Stopwatch, const_thread_local};
use crate::unwind::ignore_panic;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

pub(crate) mod after;
pub(crate) mod closure;
pub(crate) mod handle;
#[cfg(feature = "rayon")]
pub(crate) mod rayon;

/// A pool of threads that runs jobs.
///
/// It is implemented for rayon's pools, and for every closure that passes a [`Job`] on, so that any other executor is one
/// line:
///
/// ```
/// use wasm_jobs::{Future, Job, JobPool};
///
/// let a_thread_each = |job: Job| drop(std::thread::spawn(|| job.run()));
/// let mut future = Future::new(async { Ok(6 * 7) });
/// a_thread_each.submit(future.to_job()?).wait();
/// assert_eq!(future.try_get_result()?, Some(42));
/// # Ok::<(), wasm_jobs::Error>(())
/// ```
///
/// # Other executors
///
/// Threads of one's own take the jobs from a channel:
///
/// ```
/// # use wasm_jobs::{Job, JobPool};
/// let (sender, jobs) = std::sync::mpsc::channel::<Job>();
/// std::thread::spawn(move || jobs.into_iter().for_each(Job::run));
/// let pool = move |job: Job| sender.send(job).expect("the thread is there while the pool is");
/// # pool.submit_fn(|| ()).wait();
/// ```
///
/// tokio: a task for each turn, which is short, and so no blocking one.
///
/// ```
/// # use wasm_jobs::{Job, JobPool};
/// # let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
/// let handle = runtime.handle().clone();
/// let pool = move |job: Job| drop(handle.spawn(async { job.run() }));
/// # pool.submit_fn(|| ()).wait();
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Bevy: a [`ComputeTaskPool`](https://docs.rs/bevy_tasks/latest/bevy_tasks/struct.ComputeTaskPool.html).
///
/// ```
/// # use wasm_jobs::{Job, JobPool};
/// use bevy_tasks::ComputeTaskPool;
/// # ComputeTaskPool::get_or_init(Default::default);
/// let pool = |job: Job| ComputeTaskPool::get().spawn(async { job.run() }).detach();
/// # pool.submit_fn(|| ()).wait();
/// ```
///
/// `async-executor`, with whatever threads run it:
///
/// ```
/// # use wasm_jobs::{Job, JobPool};
/// # use async_executor::Executor;
/// # use std::sync::Arc;
/// let executor = Arc::new(Executor::new());
/// # let runs = executor.clone();
/// let pool = move |job: Job| executor.spawn(async { job.run() }).detach();
/// # let job = pool.submit_fn(|| ());
/// # while !job.is_complete() {
/// #     runs.try_tick();
/// # }
/// ```
///
/// A worker of any of these that [waits](JobHandle::wait) for a job keeps its thread from the others: only rayon's help
/// meanwhile. It awaits the handle instead, or has something [run after](Self::submit_after) the job.
pub trait JobPool: Clone + Send + Sync + 'static {
    /// Puts a job at the back of the queue, for a worker to [run](Job::run) once.
    ///
    /// It is called by [`submit`](Self::submit), by workers at the end of a turn, and by whatever wakes a waiting call, on
    /// any thread and inside other calls' steps too, of which the thread that wakes the sleepers of the
    /// [`RealtimeClock`](crate::RealtimeClock) is one. So it must not block for long, nor until a worker is free. If it panics,
    /// the job is given back; where a job is submitted, the panic goes on to the caller, and elsewhere no further.
    fn enqueue(&self, job: Job);

    /// Hands a call over to the pool, which goes on with it until it ends: whenever it is woken, and in turns of about
    /// [`Job::QUANTUM`] while it yields.
    fn submit<T: Send + 'static>(&self, runner: FutureRunner<T>) -> JobHandle {
        let (job, handle) = runner.into_job(spawn_of(self));
        self.enqueue(job);
        handle
    }

    /// The same for several calls, with a handle of all of them.
    fn submit_all<T: Send + 'static>(
        &self,
        runners: impl IntoIterator<Item = FutureRunner<T>>,
    ) -> JobHandle {
        JobHandle::all(runners.into_iter().map(|runner| self.submit(runner)).collect::<Vec<_>>())
    }

    /// Hands a closure over to the pool, for work that is no call: so native jobs and guests stand in one graph.
    ///
    /// If it panics, the job has failed, and that is all; for work with a result or with errors there is
    /// [`Future::new`](crate::Future::new).
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use wasm_jobs::{JobPool, RayonGlobal};
    ///
    /// let (sender, squares) = mpsc::channel();
    /// RayonGlobal.submit_fn(move || sender.send(7 * 7).unwrap()).wait();
    /// assert_eq!(squares.recv()?, 49);
    /// # Ok::<(), mpsc::RecvError>(())
    /// ```
    fn submit_fn(&self, work: impl FnOnce() + Send + 'static) -> JobHandle {
        let native = Native::new(work, ());
        self.enqueue(Job::new(native.clone()));
        JobHandle::new(native)
    }

    /// Hands a call or a closure over to the pool, which does not begin with it before all these jobs are complete: whatever
    /// became of them, for a handle says complete, and not successful.
    ///
    /// As each of them is there before this one, no cycle can be built. A job that is cancelled while it waits for the others is
    /// complete at once, and what is to run after it does not wait for those before it.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    /// use wasm_jobs::{Future, JobPool, RayonGlobal};
    ///
    /// static SUM: AtomicU32 = AtomicU32::new(0);
    /// let parts = [3, 4].map(|part| RayonGlobal.submit_fn(move || { SUM.fetch_add(part, Relaxed); }));
    /// let mut sum = Future::new(async { Ok(SUM.load(Relaxed)) });
    /// RayonGlobal.submit_after(sum.to_job()?, &parts).wait();
    /// assert_eq!(sum.try_get_result()?, Some(7));
    /// # Ok::<(), wasm_jobs::Error>(())
    /// ```
    fn submit_after(&self, work: impl IntoJob, after: &[JobHandle]) -> JobHandle {
        work.submit_after(self, after, false)
    }

    /// The same, unless one of the jobs has failed. The call is not run then, and its owner gets
    /// [`Error::DependencyFailed`](crate::Error::DependencyFailed); a closure is dropped. Either has failed itself.
    ///
    /// A job has failed if its call came to an error, if its closure panicked, if it was cancelled, or if its pool dropped it. A
    /// trap that was taken [as a value](crate::Instance::try_call) is no failure.
    fn submit_after_ok(&self, work: impl IntoJob, after: &[JobHandle]) -> JobHandle {
        work.submit_after(self, after, true)
    }
}

impl<F: Fn(Job) + Clone + Send + Sync + 'static> JobPool for F {
    fn enqueue(&self, job: Job) {
        self(job);
    }
}

/// What can be a job: the [`FutureRunner`] of a call, or a closure.
pub trait IntoJob: sealed::IntoJob {}

mod sealed {
    use super::{JobHandle, JobPool};

    pub trait IntoJob {
        /// After those, if none of them has failed or anyhow.
        fn submit_after(self, pool: &impl JobPool, after: &[JobHandle], if_ok: bool) -> JobHandle;
    }
}

impl<T: Send + 'static> IntoJob for FutureRunner<T> {}

impl<T: Send + 'static> sealed::IntoJob for FutureRunner<T> {
    fn submit_after(self, pool: &impl JobPool, after: &[JobHandle], if_ok: bool) -> JobHandle {
        let (job, handle) = self.into_job(spawn_of(pool));
        if let Some(has_failed) = all_are_over(after) {
            release(job, pool, has_failed && if_ok);
        } else {
            let job = Mutex::new(Some(job));
            wait_for(Arc::new(Later { after: After::new(pool, after, if_ok), job }), after);
        }
        handle
    }
}

impl<F: FnOnce() + Send + 'static> IntoJob for F {}

impl<F: FnOnce() + Send + 'static> sealed::IntoJob for F {
    fn submit_after(self, pool: &impl JobPool, after: &[JobHandle], if_ok: bool) -> JobHandle {
        if let Some(has_failed) = all_are_over(after) {
            let native = Native::new(self, ());
            release(Job::new(native.clone()), pool, has_failed && if_ok);
            return JobHandle::new(native);
        }
        let native = Native::new(self, After::new(pool, after, if_ok));
        wait_for(native.clone(), after);
        JobHandle::new(native)
    }
}

/// Waits for the waker of this sleeper, but not idly: a worker of a pool that is known here runs a job of it instead, best the
/// one that is `wanted`. The caller then looks again at what it waits for.
pub(crate) fn help_or_sleep(sleeper: &Sleeper, wanted: Option<&dyn Over>) {
    #[cfg(feature = "rayon")]
    if rayon::help(sleeper, wanted) {
        return;
    }
    let _ = wanted;
    sleeper.sleep();
}

fn spawn_of(pool: &impl JobPool) -> Spawn {
    let pool = pool.clone();
    Arc::new(move |job| pool.enqueue(job))
}

const_thread_local! {
    /// Inside how many steps this thread knows where its stack ends: of none, where that is its own, or of as many as when it
    /// last got one here. Further in, it may be on a guest's.
    static KNOWN_AT: Cell<u32> = Cell::new(0);
}

/// Restores what was known.
struct KnownAt(u32);

impl KnownAt {
    fn replace(depth: u32) -> Self {
        Self(KNOWN_AT.with(|known_at| known_at.replace(depth)))
    }
}

impl Drop for KnownAt {
    fn drop(&mut self) {
        KNOWN_AT.with(|known_at| known_at.set(self.0));
    }
}

/// Runs what counts as a step, but is no guest, and so stays on the stack that it is on.
pub(crate) fn on_this_stack<R>(step: impl FnOnce() -> R) -> R {
    let depth = depth();
    let is_known = KNOWN_AT.with(Cell::get) == depth;
    let _outer = is_known.then(|| KnownAt::replace(depth + 1));
    step()
}

/// Runs code that may lead to more of its kind below it, as the end of a job leads to the next one, with enough of a stack. If
/// there is no memory for that, it panics.
pub(crate) fn on_ample_stack<R>(code: impl FnOnce() -> R) -> R {
    if cfg!(wasm_jobs_loom) {
        // The threads of a model have stacks that are not known to anyone.
        return code();
    }
    let depth = depth();
    let outer = KnownAt::replace(depth);
    if outer.0 == depth {
        stacker::maybe_grow(Job::LEAST_STACK, Job::STACK, code)
    } else {
        stacker::grow(Job::STACK, code)
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
    /// The job again if it has yielded, and must have another turn.
    fn turn(self: Arc<Self>) -> Option<Job>;
    /// The way into its pool's queue; none if its owner cancelled it meanwhile.
    fn spawn(&self) -> Option<Spawn>;
    fn give_back(&self);
    /// Ends the call, if it is still this job.
    fn cancel(self: Arc<Self>, job: &Submitted);
    /// Ends the call, which was not to be run after jobs that have failed.
    fn refuse(self: Arc<Self>);
}

/// Puts a job into the queue of its pool.
pub(crate) type Spawn = Arc<dyn Fn(Job) + Send + Sync>;

/// The pool that a call was submitted to, and who waits for it there.
pub(crate) struct Submission {
    spawn: Spawn,
    job: Arc<Submitted>,
}

const_thread_local! {
    /// While this thread is in a pool's `spawn` at the end of a turn: the jobs that `spawn` itself runs.
    static RUN_BY_SPAWN: RefCell<Option<VecDeque<Job>>> = RefCell::new(None);
}

impl Job {
    /// How long a job that yields keeps its worker before it goes to the back of the queue, counted from its first yield:
    /// 50 µs, and then until the clock is looked at, which is at every eighth yield at the latest. A trip through a pool's
    /// queue costs a fraction of a microsecond, so that a turn loses less than one percent to it; and each of a hundred jobs
    /// on a worker still comes around several times a frame, if they yield as often as that.
    pub const QUANTUM: Duration = Duration::from_micros(50);

    /// The stack that a job gets when its thread is inside a guest: as large as Rust gives a thread.
    const STACK: usize = 2 * 1024 * 1024;

    /// A job that finds less of a stack gets another.
    const LEAST_STACK: usize = 256 * 1024;

    pub(crate) fn new(task: Arc<dyn Turn>) -> Self {
        Self { task: Some(task) }
    }

    /// Is it of the job whose handle is this?
    #[cfg(feature = "rayon")]
    fn is_of(&self, job: &dyn Over) -> bool {
        self.task.as_ref().is_some_and(|task| job.is_of(task))
    }

    /// Ends it, because one of those has failed that it was to run after.
    pub(crate) fn refuse(mut self) {
        if let Some(task) = self.task.take() {
            task.refuse();
        }
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
        if is_in_step() {
            // If there is no memory for a stack, this panics, and the job is dropped, and so given back.
            catch_unwind(AssertUnwindSafe(|| on_ample_stack(|| self.turn_here()))).ok()?
        } else {
            self.turn_here()
        }
    }

    fn turn_here(mut self) -> Option<Self> {
        self.task.take()?.turn()
    }

    /// Puts the job at the back of its pool's queue. A pool without a queue runs it right there, and would go one deeper
    /// into this thread's stack with every turn; that job, and any other, is given to the caller instead.
    fn spawn(self) -> VecDeque<Self> {
        let Some(spawn) = self.task.as_ref().and_then(|task| task.spawn()) else {
            return VecDeque::new();
        };
        RUN_BY_SPAWN.with(|jobs| jobs.replace(Some(VecDeque::new())));
        // If that panics, the job is dropped, and so given back.
        ignore_panic(|| spawn(self));
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
    pub(crate) fn new(spawn: Spawn, job: Arc<Submitted>) -> Self {
        Self { spawn, job }
    }

    pub(crate) fn spawn(&self) -> Spawn {
        self.spawn.clone()
    }

    pub(crate) fn is_of(&self, job: &Submitted) -> bool {
        ptr::eq(&*self.job, job)
    }

    /// The job is over.
    pub(crate) fn complete(self, has_failed: bool) {
        self.job.complete(has_failed);
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
