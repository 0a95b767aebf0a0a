//! [`FutureRunner`]: the half of a call that travels. It comes from [`Future::to_job`](crate::Future::to_job), and goes
//! to a [`JobPool`](crate::JobPool), or is resumed by hand on whichever thread has it.

use crate::call::step::Step;
use crate::call::task::Task;
use crate::pool::handle::{JobHandle, Submitted};
use crate::pool::{Job, JobPool, Spawn, Submission};
use crate::sync::{Mutex, Sleeper};
use std::fmt;
use std::sync::{Arc, Weak};

/// The right to resume a call, on any thread.
///
/// It can neither be cloned nor give the result: that stays with the [`Future`](crate::Future), on its owner's thread.
/// Dropped before the call has ended, it gives the right back to the future, which then goes on where this stopped.
///
/// ```
/// use wasm_jobs::{Future, Step, yield_now};
///
/// let mut future = Future::new(async {
///     yield_now().await;
///     Ok("done elsewhere")
/// });
/// let mut runner = future.to_job()?;
/// std::thread::spawn(move || {
///     assert_eq!(runner.resume(), Step::Yielded);
///     assert_eq!(runner.resume(), Step::Done);
/// })
/// .join()
/// .unwrap();
/// assert_eq!(future.try_get_result()?, Some("done elsewhere"));
/// # Ok::<(), wasm_jobs::Error>(())
/// ```
#[must_use = "dropping it gives the right to resume back to the future"]
pub struct FutureRunner<T: Send + 'static> {
    /// There until the runner is submitted.
    task: Option<Arc<Task<T>>>,
}

impl<T: Send + 'static> FutureRunner<T> {
    pub(crate) fn new(task: Arc<Task<T>>) -> Self {
        Self { task: Some(task) }
    }

    /// Runs the call to its next stop, on this thread.
    ///
    /// Whatever a failure is, a trap or a panic among them, it is a result for the [`Future`](crate::Future) to give, and
    /// `Done` here.
    pub fn resume(&mut self) -> Step {
        match &self.task {
            Some(task) => task.step(),
            None => Step::Done,
        }
    }

    /// Runs the call to its end, on this thread, which sleeps while the call waits.
    pub fn run(self) {
        // A pool of one thread, this one. It has one job, so its queue has one place.
        let sleeper = Sleeper::new();
        let queue = Arc::new(Mutex::new(None::<Job>));
        let pool = {
            let (queue, waker) = (queue.clone(), sleeper.waker().clone());
            move |job: Job| {
                *queue.lock() = Some(job);
                waker.wake_by_ref();
            }
        };
        let mut handle = pool.submit(self);
        while !handle.is_complete_or_tell(sleeper.waker()) {
            let job = queue.lock().take();
            match job {
                // By turns: on a thread that is inside a pool's `spawn`, `Job::run` would leave the job for later.
                Some(job) => {
                    if let Some(job) = job.turn() {
                        *queue.lock() = Some(job);
                    }
                }
                None => sleeper.sleep(),
            }
        }
    }

    /// The job of a pool that `spawn` leads to. The caller puts it into the queue.
    pub(crate) fn into_job(mut self, spawn: Spawn) -> (Job, JobHandle) {
        let Some(task) = self.task.take() else { unreachable!("only this function takes it") };
        task.traced.submitted();
        let call: Weak<Task<T>> = Arc::downgrade(&task);
        let submitted = Arc::new(Submitted::new(call));
        task.submit(Submission::new(spawn, submitted.clone()));
        (Job::new(task), JobHandle::new(submitted))
    }
}

impl<T: Send + 'static> Drop for FutureRunner<T> {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.give_back();
        }
    }
}

impl<T: Send + 'static> fmt::Debug for FutureRunner<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FutureRunner").field("task", &self.task).finish()
    }
}
