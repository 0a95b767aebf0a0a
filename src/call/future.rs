//! [`Future`]: the owner's handle of a call, and the only thing that gives its result. It steps the call itself, until
//! [`Future::to_job`] lends the call to a [`FutureRunner`]. How the owner waits for the end is in `awaited`.

use crate::call::owner::{LocalOwner, SendOwner};
use crate::call::runner::FutureRunner;
use crate::call::spare::SpareArc;
use crate::call::state::Custody;
use crate::call::step::Step;
use crate::call::task::Task;
use crate::call::work::{Progress, Work};
use crate::call::yield_now::StepNumber;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::step::interrupt::Interrupter;
use crate::trace::{Ending, Traced};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::sync::Arc;
use sync_wrapper::SyncWrapper;

/// A call that can be suspended and resumed, and that gives its result once.
///
/// It stays on its owner's thread: it is neither `Send` nor `Sync`. What travels is the [`FutureRunner`] that [`to_job`](Self::to_job) splits
/// off. Where the owner has to travel too, [`into_send`](Self::into_send) gives a [`SendFuture`]. There are three ways to bring a call to its
/// end, and the owner may change from any to any other whenever the call stops:
///
/// - [`resume`](Self::resume) it by hand, one step at a time, once a frame for instance;
/// - [submit](crate::JobPool::submit) its [job](Self::to_job) to a pool;
/// - [`wait`](Self::wait) for it, or `await` it: this is a std future too.
///
/// A failure (a trap, an error or a panic) is a result: it is given once, in the place of the value.
///
/// Dropping the future cancels the call. What the call held is dropped on this thread, or, if a step is in progress on another
/// thread, by that thread at the end of the step.
///
/// ```
/// use wasm_jobs::{Future, Step, yield_now};
///
/// let mut future = Future::new(async {
///     yield_now().await;
///     Ok("two steps")
/// });
/// assert_eq!(future.resume()?, Step::Yielded);
/// assert_eq!(future.try_get_result()?, None);
/// assert_eq!(future.resume()?, Step::Done);
/// assert_eq!(future.try_get_result()?, Some("two steps"));
/// assert!(future.is_disposed());
/// # Ok::<(), wasm_jobs::Error>(())
/// ```
#[must_use = "a call does nothing until it is resumed, submitted or awaited"]
pub struct Future<T: Send + 'static, O = LocalOwner> {
    pub(super) call: Call<T>,
    pub(super) task: SpareArc<Task<T>>,
    /// Whether the task may hold a waker of the owner's.
    pub(super) has_waker: bool,
    owner: PhantomData<O>,
    /// The step of an event loop, if any, in which this was polled and has yielded.
    pub(super) yielded_in: Option<StepNumber>,
}

/// A [`Future`] that is `Send` and `Sync`: the same call, the same functions and the same guarantees, for an owner that travels. A task
/// of tokio holds it across an `await`, and an entity of a game engine has it as a component.
///
/// It is another type than `Future<T>`. A function that takes both is generic in the owner: `fn f<T: Send, O>(future: &mut Future<T, O>)`.
///
/// There is still one owner: a future cannot be cloned, every function that changes the call takes `&mut self`, and the result is given once.
///
/// ```
/// use wasm_jobs::{Future, JobPool, RayonGlobal, SendFuture};
///
/// let mut future: SendFuture<i32> = Future::new(async { Ok(42) }).into_send();
/// let handle = RayonGlobal.submit(future.to_job()?);
/// let owner = std::thread::spawn(move || {
///     handle.wait();
///     future.try_get_result()
/// });
/// assert_eq!(owner.join().unwrap()?, Some(42));
/// # Ok::<(), wasm_jobs::Error>(())
/// ```
pub type SendFuture<T> = Future<T, SendOwner>;

pub(super) enum Call<T> {
    /// The call has not ended, and its owner steps it.
    Ours(Work<T>),
    /// The call was lent to a runner. The task knows whether it has come back.
    Lent,
    /// The call has ended, and its result was not taken.
    Ended(SyncWrapper<Outcome<T>>),
    /// The result was taken.
    Disposed,
}

impl<T> Call<T> {
    fn ended(outcome: Outcome<T>) -> Self {
        Self::Ended(SyncWrapper::new(outcome))
    }
}

/// What the owner can do with a call: step it, wait, take its result, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Ready,
    Waiting,
    Done,
    InJob,
    Disposed,
}

impl<T: Send + 'static> Future<T> {
    /// Makes a call of any std future. The first step polls it for the first time.
    ///
    /// Every poll has the same waker. A future that returns pending without arranging for a wake is never resumed, as with every
    /// executor.
    #[inline]
    pub fn new(work: impl std::future::Future<Output = Result<T, Error>> + Send + 'static) -> Self {
        Self::from_parts(work, None, Traced::new())
    }

    /// Makes a call of work whose steps `interrupter` can interrupt.
    #[inline]
    pub(crate) fn from_parts<E: Into<Box<Error>> + 'static>(
        work: impl std::future::Future<Output = Result<T, E>> + Send + 'static,
        interrupter: Option<&'static dyn Interrupter>,
        traced: Traced,
    ) -> Self {
        let (task, work) = Task::new(work, interrupter, traced);
        Self {
            call: Call::Ours(work),
            task,
            has_waker: false,
            owner: PhantomData,
            yielded_in: None,
        }
    }
}

impl<T: Send + 'static, O> Future<T, O> {
    /// Names the call in [traces](crate#seeing-what-happens). The first name given stays; without one, the call of an export has the
    /// name of the export. Without the feature `tracing`, this does nothing.
    ///
    /// ```
    /// # use wasm_jobs::Future;
    /// let mut path = Future::new(async { Ok(["a", "path"]) }).named("find a path");
    /// # path.wait()?;
    /// # Ok::<(), wasm_jobs::Error>(())
    /// ```
    pub fn named(self, name: impl Into<Cow<'static, str>>) -> Self {
        self.task.traced.set_name(name);
        self
    }

    /// Lets the owner travel: the [`SendFuture`] of this call. A call that is in a job stays there.
    ///
    /// In one expression with a `?` and an `await`, this comes before the `?`: see [`IntoSend`](crate::IntoSend).
    ///
    /// ```
    /// # async fn handler() -> Result<i32, wasm_jobs::Error> {
    /// # use wasm_jobs::Future;
    /// Future::new(async { Ok(42) }).into_send().await // in a task that tokio may move to another thread
    /// # }
    /// # fn is_send(_: impl Send) {}
    /// # is_send(handler());
    /// ```
    pub fn into_send(mut self) -> SendFuture<T> {
        // What this leaves behind is dropped without effect.
        Future {
            call: mem::replace(&mut self.call, Call::Disposed),
            task: self.task.clone(),
            has_waker: mem::take(&mut self.has_waker),
            owner: PhantomData,
            yielded_in: self.yielded_in,
        }
    }

    /// Runs the call to its next stop, on this thread.
    ///
    /// If the call waits and was not woken, this returns [`Step::Waiting`] without entering it, which takes next to no time
    /// (`waiting_resume` of the benchmark). If the call has ended, this returns [`Step::Done`] until the result is taken.
    ///
    /// # Errors
    ///
    /// [`Error::InJob`] while a [`FutureRunner`] or a job has the right to resume, and [`Error::ResultTaken`] after the result was
    /// taken. A failure of the call is no error here: it is [`Step::Done`], and [`try_get_result`](Self::try_get_result) gives it.
    #[inline]
    pub fn resume(&mut self) -> Result<Step, Error> {
        let Call::Ours(work) = &mut self.call else {
            return self.resume_lent();
        };
        match self.task.step_work(work, None) {
            Progress::Yielded => Ok(Step::Yielded),
            Progress::Waiting => Ok(Step::Waiting),
            Progress::Done(outcome) => {
                self.end(outcome);
                Ok(Step::Done)
            }
        }
    }

    /// Takes a step, even if the call waits and was not woken.
    #[cfg(any(feature = "freeze", wasm_jobs_loom))]
    pub(crate) fn step_anyway(&mut self) -> Result<Step, Error> {
        self.settle();
        if let Call::Ours(work) = &mut self.call {
            work.step_anyway();
        }
        self.resume()
    }

    /// Takes the result of a call that has become something else.
    #[cfg(feature = "freeze")]
    pub(crate) fn dispose(&mut self) {
        let result = self.take();
        debug_assert!(result.is_some(), "it has ended");
    }

    /// Out of line, so that the code of a step stays short: see `Work::step`.
    #[inline(never)]
    fn end(&mut self, outcome: Outcome<T>) {
        self.task.traced.ended(Ending::of(&outcome));
        if let Call::Ours(work) = mem::replace(&mut self.call, Call::ended(outcome)) {
            work.end();
        }
    }

    /// Gives the result, once; `None` if there is none yet. This never blocks, and takes no step.
    ///
    /// # Errors
    ///
    /// The failure of the call, once; [`Error::ResultTaken`] after the value or the failure was given.
    #[inline]
    pub fn try_get_result(&mut self) -> Result<Option<T>, Error> {
        match self.settle() {
            Call::Disposed => Err(Error::ResultTaken),
            Call::Ours(_) | Call::Lent => Ok(None),
            Call::Ended(_) => self.take().transpose(),
        }
    }

    /// Is there a result or a failure to take?
    #[must_use]
    pub fn has_result(&self) -> bool {
        match self.call {
            Call::Ended(_) => true,
            Call::Lent => self.task.custody() == Custody::Done,
            Call::Ours(_) | Call::Disposed => false,
        }
    }

    /// Was the result or the failure taken?
    #[must_use]
    pub fn is_disposed(&self) -> bool {
        matches!(self.call, Call::Disposed)
    }

    /// Splits off the right to resume the call, for another thread.
    ///
    /// Until the runner or its job is dropped, or the call has ended, [`resume`](Self::resume) gives [`Error::InJob`]. The runner of a
    /// call that has ended already has nothing to do.
    ///
    /// # Errors
    ///
    /// [`Error::InJob`] if a runner or a job has that right already, and [`Error::ResultTaken`] after the result was taken.
    pub fn to_job(&mut self) -> Result<FutureRunner<T>, Error> {
        match self.settle() {
            Call::Lent => return Err(Error::InJob),
            Call::Disposed => return Err(Error::ResultTaken),
            Call::Ours(_) | Call::Ended(_) => {}
        }
        match mem::replace(&mut self.call, Call::Lent) {
            Call::Ours(work) => self.task.lend(work),
            Call::Ended(result) => self.task.lend_ended(result.into_inner()),
            Call::Lent | Call::Disposed => unreachable!("lent and disposed calls returned above"),
        }
        Ok(FutureRunner::new(Arc::clone(&self.task)))
    }

    /// Ends the call: its result is [`Error::Cancelled`], unless it has one already.
    ///
    /// If a step is in progress on another thread, the call ends at the end of that step; [`wait`](Self::wait) waits for it. A guest
    /// stops at its next loop or function entry, if its engine has epoch interruption, which is the default, or if the guest looks at a flag.
    /// Host functions and other work are not interrupted, nor is another guest that a host function runs to its end.
    ///
    /// The thread that ends the call drops what the call held, such as the host futures that it awaited.
    pub fn cancel(&mut self) {
        match &self.call {
            Call::Ours(_) => {
                let ended = Call::ended(Err(Box::new(Error::Cancelled)));
                if let Call::Ours(work) = mem::replace(&mut self.call, ended) {
                    work.discard();
                    self.task.traced.ended(Ending::cancelled());
                }
            }
            Call::Lent => self.task.cancel_lent(),
            Call::Ended(_) | Call::Disposed => {}
        }
    }

    /// Identifies the call among all calls that exist at this time.
    pub(crate) fn id(&self) -> usize {
        Arc::as_ptr(&self.task).addr()
    }

    /// What the owner can do with the call now.
    pub(crate) fn status(&mut self) -> Status {
        self.settle();
        match &self.call {
            Call::Ours(work) if self.task.is_waiting(work) => Status::Waiting,
            Call::Ours(_) => Status::Ready,
            Call::Lent => Status::InJob,
            Call::Ended(_) => Status::Done,
            Call::Disposed => Status::Disposed,
        }
    }

    /// Resumes a call that was not the owner's to step when this last looked.
    #[cold]
    fn resume_lent(&mut self) -> Result<Step, Error> {
        match self.settle() {
            Call::Ours(_) => self.resume(),
            Call::Lent => Err(Error::InJob),
            Call::Ended(_) => Ok(Step::Done),
            Call::Disposed => Err(Error::ResultTaken),
        }
    }

    /// Takes back the work or the result of a call that was lent, if the runner is done with it.
    #[inline]
    pub(super) fn settle(&mut self) -> &mut Call<T> {
        if let Call::Lent = self.call {
            match self.task.custody() {
                Custody::Runner => {}
                Custody::Returned => {
                    if let Some(work) = self.task.take_back() {
                        self.call = Call::Ours(work);
                    }
                }
                Custody::Done => {
                    if let Some(result) = self.task.take_result() {
                        self.call = Call::ended(result);
                    }
                }
            }
        }
        &mut self.call
    }

    #[inline]
    pub(super) fn take(&mut self) -> Option<Result<T, Error>> {
        match mem::replace(&mut self.call, Call::Disposed) {
            Call::Ended(result) => {
                let result = result.into_inner();
                if result.is_err() {
                    self.task.traced.failure_taken();
                }
                Some(result.map_err(|error| *error))
            }
            other => {
                self.call = other;
                None
            }
        }
    }
}

impl<T: Send + 'static, O> Drop for Future<T, O> {
    #[inline]
    fn drop(&mut self) {
        if !self.is_disposed() {
            self.cancel();
        }
        if let Call::Lent = self.call
            && self.task.custody() == Custody::Done
        {
            // Nobody else will take the result, and the call's wakers may keep the task alive for long.
            drop(self.task.take_result());
        }
        if self.has_waker {
            self.task.forget_owner();
        }
    }
}

impl<T: Send + 'static, O> fmt::Debug for Future<T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = match self.call {
            Call::Ours(_) => "ours",
            Call::Lent => "lent",
            Call::Ended(_) => "ended",
            Call::Disposed => "disposed",
        };
        f.debug_struct("Future").field("call", &call).field("task", &*self.task).finish()
    }
}
