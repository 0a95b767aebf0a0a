//! [`JobPool`]: how jobs get onto other people's threads.
//!
//! A pool is anything with a queue and workers. It is handed a [`Job`] when a runner is submitted, again each time that
//! a waiting call is woken, and again when a yielding call has used up its turn; a worker runs it once for each time. Between
//! its turns a waiting job is nowhere in the pool.
//!
//! A job is made of a [`call`] or a [`closure`]; its [`handle`] waits for its end; a job may run [`after`] others.
//! The pools that are known here are [`rayon`]'s, whose queue is served by [`tickets`], and a thread that runs one call [`here`].

pub(crate) mod after;
pub(crate) mod call;
pub(crate) mod closure;
pub(crate) mod handle;
pub(crate) mod here;
#[cfg(feature = "rayon")]
pub(crate) mod rayon;
#[cfg(any(feature = "rayon", wasm_jobs_loom))]
#[cfg_attr(not(wasm_jobs_loom), expect(unreachable_pub, reason = "public for the models alone"))]
pub(crate) mod tickets;

use crate::call::runner::FutureRunner;
use crate::call::turn::Job;
use crate::pool::after::IntoJob;
use crate::pool::handle::JobHandle;

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
/// A worker of any of these that [waits](JobHandle::wait) for a job keeps its thread from other jobs: only rayon's workers help
/// meanwhile. Await the handle there instead, or have something [run after](Self::submit_after) the job.
pub trait JobPool: Clone + Send + Sync + 'static {
    /// Puts a job at the back of the queue, for a worker to [run](Job::run) once.
    ///
    /// It is called by [`submit`](Self::submit), by workers at the end of a turn, and by whatever wakes a waiting call, on
    /// any thread and inside other calls' steps too; one of these threads wakes the sleepers of the
    /// [`RealtimeClock`](crate::RealtimeClock). So it must not block for long, nor until a worker is free. If it panics,
    /// the job is given back; where a job is submitted, the panic goes on to the caller, and elsewhere no further.
    fn enqueue(&self, job: Job);

    /// Hands a call over to the pool, which goes on with it until it ends: whenever it is woken, and in turns of about
    /// [`Job::QUANTUM`] while it yields.
    ///
    /// **The call lives as long as its [`Future`](crate::Future).** If that is dropped, by the function that made it for instance, the call
    /// is cancelled, and the [outcome](JobHandle::outcome) of the handle is [`Cancelled`](crate::JobOutcome::Cancelled).
    fn submit<T: Send + 'static>(&self, runner: FutureRunner<T>) -> JobHandle {
        let (job, handle) = call::into_job(runner, leading_to(self));
        self.enqueue(job);
        handle
    }

    /// Hands several calls over to the pool, with a handle of all of them.
    fn submit_all<T: Send + 'static>(
        &self,
        runners: impl IntoIterator<Item = FutureRunner<T>>,
    ) -> JobHandle {
        JobHandle::all(runners.into_iter().map(|runner| self.submit(runner)).collect::<Vec<_>>())
    }

    /// Hands a closure over to the pool, for work that is no call, so that native jobs and guests stand in one graph.
    ///
    /// If it panics, the job has failed, and that is all. Work with a result or with errors is a
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
        let (job, handle) = closure::into_job(work);
        self.enqueue(job);
        handle
    }

    /// Hands a call or a closure over to the pool, which does not begin with it before all these jobs are complete, whatever
    /// became of them.
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
        work.submit_after(after, false, leading_to(self))
    }

    /// Hands a call or a closure over to the pool, to be run after these jobs if all of them [succeed](crate::JobOutcome::Succeeded).
    /// Otherwise the call is not run, and its owner gets [`Error::DependencyFailed`](crate::Error::DependencyFailed); a closure is
    /// dropped. Either has failed itself.
    ///
    /// A trap that was taken [as a value](crate::Instance::try_call) is no failure.
    fn submit_after_ok(&self, work: impl IntoJob, after: &[JobHandle]) -> JobHandle {
        work.submit_after(after, true, leading_to(self))
    }
}

impl<F: Fn(Job) + Clone + Send + Sync + 'static> JobPool for F {
    fn enqueue(&self, job: Job) {
        self(job);
    }
}

/// The way into the queue of this pool.
fn leading_to(pool: &impl JobPool) -> impl Fn(Job) + Send + Sync + 'static {
    let pool = pool.clone();
    move |job| pool.enqueue(job)
}
