//! [`FutureRunner`]: the half of a call that travels. It comes from [`Future::to_job`](crate::Future::to_job), and goes
//! to a [`JobPool`](crate::JobPool), or any thread resumes it by hand.

use crate::call::step::Step;
use crate::call::task::Task;
use std::fmt;
use std::sync::Arc;

/// The right to resume a call, on any thread.
///
/// A runner cannot be cloned, and does not give the result: the [`Future`](crate::Future) does, on its owner's thread. A runner that
/// is dropped before the call has ended gives the right back to the future, which goes on where the runner stopped.
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
    /// `None` once a job was made of the runner.
    task: Option<Arc<Task<T>>>,
}

impl<T: Send + 'static> FutureRunner<T> {
    pub(crate) fn new(task: Arc<Task<T>>) -> Self {
        Self { task: Some(task) }
    }

    /// Runs the call to its next stop, on this thread.
    ///
    /// A call that has failed, trapped, panicked or was cancelled is [`Step::Done`]: the [`Future`](crate::Future) gives its failure.
    /// After [`Step::Waiting`], nothing tells the caller of a wake: to sleep until one, use [`run`](Self::run) or a
    /// [pool](crate::JobPool).
    pub fn resume(&mut self) -> Step {
        match &self.task {
            Some(task) => task.step(),
            None => Step::Done,
        }
    }

    /// Gives up the runner for its task. The caller makes a job of it.
    pub(crate) fn into_task(mut self) -> Arc<Task<T>> {
        match self.task.take() {
            Some(task) => task,
            None => unreachable!("only this function takes the task, and it consumes the runner"),
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
