//! [`FutureRunner`]: the half of a call that travels. It comes from [`Future::to_job`](crate::Future::to_job), and goes
//! to a [`JobPool`](crate::JobPool), or is resumed by hand on whichever thread has it.

use crate::call::step::Step;
use crate::call::task::Task;
use std::fmt;
use std::sync::Arc;

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
    /// There until the runner is made a job.
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

    /// The task, of which the caller makes a job.
    pub(crate) fn into_task(mut self) -> Arc<Task<T>> {
        match self.task.take() {
            Some(task) => task,
            None => unreachable!("only this function takes it"),
        }
    }
}

impl<T: Send + 'static> Drop for FutureRunner<T> {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.return_to_owner();
        }
    }
}

impl<T: Send + 'static> fmt::Debug for FutureRunner<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FutureRunner").field("task", &self.task).finish()
    }
}
