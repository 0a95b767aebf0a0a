//! [`JobPool`]: how jobs get onto other people's threads.
//!
//! A pool is anything with a queue and workers. It gets a [`Job`] when a runner is submitted, when a waiting call is woken, and when a
//! yielding call has used up its turn. A worker runs each job once, for one turn. Between its turns, a waiting call is nowhere in the pool.
//!
//! A job is one turn of a [`call`] or a [`closure`], and either may run [`after`] others. A [`handle`] waits for the end of one job, of all of
//! several jobs, or of [`any`] of them; or until they are [`idle`]. Two pools are implemented here: [`rayon`]'s, whose queue is served by
//! [`tickets`], and a thread that runs one call [`here`].

pub(crate) mod after;
pub(crate) mod any;
pub(crate) mod call;
pub(crate) mod closure;
pub(crate) mod handle;
pub(crate) mod here;
pub(crate) mod idle;
#[cfg(feature = "rayon")]
pub(crate) mod rayon;
#[cfg(feature = "rayon")]
pub(crate) mod rayon_workers;
#[cfg(any(feature = "rayon", wasm_jobs_loom))]
#[cfg_attr(not(wasm_jobs_loom), expect(unreachable_pub, reason = "public for the models alone"))]
pub(crate) mod tickets;

use crate::call::runner::FutureRunner;
use crate::call::turn::Job;
use crate::pool::after::IntoJob;
use crate::pool::handle::JobHandle;

/// A pool of threads that runs jobs.
///
/// Rayon's pools are job pools ([`RayonGlobal`](crate::RayonGlobal) and `Arc<rayon::ThreadPool>`), and so is every closure that passes a
/// [`Job`] on. So any other executor is one line. (A `rayon::ThreadPool` without the `Arc` is no job pool, because a job keeps its pool; and
/// the closure has to name the type of its parameter.)
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
/// Your own threads, which take the jobs from a channel:
///
/// ```
/// # use wasm_jobs::{Job, JobPool};
/// let (sender, jobs) = std::sync::mpsc::channel::<Job>();
/// std::thread::spawn(move || jobs.into_iter().for_each(Job::run));
/// let pool = move |job: Job| sender.send(job).expect("the thread is there while the pool is");
/// # pool.submit_fn(|| ()).wait();
/// ```
///
/// tokio: a task for each turn. A guest that computes for long without a yield keeps a worker of tokio's, unless its instance has a
/// `Slice`.
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
/// Bevy: an [`AsyncComputeTaskPool`](https://docs.rs/bevy_tasks/latest/bevy_tasks/struct.AsyncComputeTaskPool.html). On the `ComputeTaskPool`, a
/// guest that computes for long would delay frames.
///
/// ```
/// # use wasm_jobs::{Job, JobPool};
/// use bevy_tasks::AsyncComputeTaskPool;
/// # AsyncComputeTaskPool::get_or_init(Default::default);
/// let pool = |job: Job| AsyncComputeTaskPool::get().spawn(async { job.run() }).detach();
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
/// A worker of any of these that [waits](JobHandle::wait) for a job blocks. It runs no other jobs meanwhile, as a worker of rayon would. On
/// such a worker, await the handle instead, or submit what comes next to [run after](Self::submit_after) the job.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a pool of jobs",
    label = "not a `JobPool`",
    note = "a pool of jobs is `RayonGlobal`, an `Arc<rayon::ThreadPool>` (with the `Arc`), or a closure `|job: Job| ..` that can be cloned and sent"
)]
pub trait JobPool: Clone + Send + Sync + 'static {
    /// Puts a job at the back of the queue, for a worker to [run](Job::run) once.
    ///
    /// It must not block for long, and must not wait until a worker is free. Any thread may call it, even inside another call's step: a
    /// thread that [submits](Self::submit) a job, a worker at the end of a turn, a thread that ends a job for which others wait, or a thread
    /// that wakes a waiting call, such as the one that wakes all sleepers of the [`RealtimeClock`](crate::RealtimeClock).
    ///
    /// If it panics, the job is given back. `submit`, `submit_all` and `submit_fn` let the panic reach their caller; everywhere else it is
    /// swallowed.
    fn enqueue(&self, job: Job);

    /// Submits a call to the pool, which runs it until it ends: each time that it is woken, and in turns of about [`Job::QUANTUM`] while it
    /// yields.
    ///
    /// **The call lives as long as its [`Future`](crate::Future).** If the future is dropped, for example at the end of the function that
    /// made it, the call is cancelled, and the [outcome](JobHandle::outcome) of the handle is [`Cancelled`](crate::JobOutcome::Cancelled).
    /// Dropping the handle cancels nothing.
    fn submit<T: Send + 'static>(&self, runner: FutureRunner<T>) -> JobHandle {
        let (job, handle) = call::into_job(runner, leading_to(self));
        self.enqueue(job);
        handle
    }

    /// Submits several calls to the pool. The handle completes when all of them have ended.
    fn submit_all<T: Send + 'static>(
        &self,
        runners: impl IntoIterator<Item = FutureRunner<T>>,
    ) -> JobHandle {
        JobHandle::all(runners.into_iter().map(|runner| self.submit(runner)).collect::<Vec<_>>())
    }

    /// Submits a closure to the pool, so that native work can stand in one graph with calls.
    ///
    /// If the closure panics, the outcome of its job is [`Failed`](crate::JobOutcome::Failed), and the panic goes no further. Dropping the
    /// handle cancels nothing. For work that has a result, or that awaits, make a [`Future::new`](crate::Future::new).
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
        let (job, handle) = closure::into_job(work);
        self.enqueue(job);
        handle
    }

    /// Submits a call or a closure to the pool, to be run once all jobs in `after` are complete, whatever their outcomes.
    ///
    /// No cycle can be built, because each job in `after` exists before this one. A job that is cancelled while it waits is complete at
    /// once; jobs that run after it then do not wait for the jobs before it.
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
        work.submit_after(after, false, leading_to(self))
    }

    /// Submits a call or a closure to the pool, to be run once all jobs in `after` have [succeeded](crate::JobOutcome::Succeeded).
    ///
    /// If one of them fails or is cancelled, this job is not run, and its outcome is [`Failed`](crate::JobOutcome::Failed). The owner of a call
    /// then gets [`Error::DependencyFailed`](crate::Error::DependencyFailed); a closure is dropped. A call made by
    /// [`try_call`](crate::Instance::try_call) succeeds even if its guest traps.
    fn submit_after_ok(&self, work: impl IntoJob, after: &[JobHandle]) -> JobHandle {
        work.submit_after(after, true, leading_to(self))
    }
}

impl<F: Fn(Job) + Clone + Send + Sync + 'static> JobPool for F {
    fn enqueue(&self, job: Job) {
        self(job);
    }
}

/// A closure that enqueues into this pool.
fn leading_to(pool: &impl JobPool) -> impl Fn(Job) + Send + Sync + 'static {
    let pool = pool.clone();
    move |job| pool.enqueue(job)
}
