//! [`Future`]: the owner's handle of a call, and the only thing that gives its result. It steps the call itself, until
//! [`Future::to_job`] lends the call to a [`FutureRunner`].

use crate::call::runner::FutureRunner;
use crate::call::state::Custody;
use crate::call::step::Step;
use crate::call::task::Task;
use crate::call::work::{Progress, Work};
use crate::error::Error;
use crate::outcome::Outcome;
use crate::step::interrupt::Interrupter;
use crate::trace::{Ending, Traced};
use crate::wait::block::{Sleeper, help_or_sleep};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// A call that can be suspended and resumed, and that gives its result once.
///
/// It stays with its owner: it is neither `Send` nor `Sync`. What travels is the [`FutureRunner`] that
/// [`to_job`](Self::to_job) splits off. There are three ways to bring a call to its end, and one may change from each to
/// the others at any stop:
///
/// - [`resume`](Self::resume) it by hand, one step at a time, once a frame for instance;
/// - [submit](crate::JobPool::submit) its [job](Self::to_job) to a pool;
/// - [`wait`](Self::wait) for it, or `await` it: this is a std future too.
///
/// A failure, be it a trap, an error or a panic, is a result: it is given once, in the place of the value.
///
/// Dropping it ends the call. What the call held is dropped on this thread, or, if a step is in progress on another
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
pub struct Future<T: Send + 'static> {
    call: Call<T>,
    task: Arc<Task<T>>,
    /// Whether the task may have a waker of the owner.
    has_waker: bool,
    /// Makes it neither `Send` nor `Sync`.
    owner: PhantomData<*const ()>,
}

enum Call<T> {
    /// It has not ended, and is ours to step.
    Ours(Work<T>),
    /// It is with a runner, or came back from one; the task knows.
    Lent,
    /// It has ended, and the result was not taken.
    Ended(Outcome<T>),
    /// The result was taken.
    Disposed,
}

/// What there is to be done with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Ready,
    Waiting,
    Done,
    InJob,
    Disposed,
}

impl<T: Send + 'static> Future<T> {
    /// A call of any std future, which is first polled by the first step.
    ///
    /// Its waker is the same at every poll. A future that returns pending and has not arranged for a wake is never
    /// resumed, as with every executor.
    #[inline]
    pub fn new(work: impl std::future::Future<Output = Result<T, Error>> + Send + 'static) -> Self {
        Self::from_parts(work, None, Traced::new())
    }

    /// Gives the call a name in [traces](crate#seeing-what-happens); the first one stays. Without one, the call of an export has
    /// the name of that. Without the feature `tracing`, this does nothing.
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

    /// The same of work whose steps can be interrupted.
    #[inline]
    pub(crate) fn from_parts(
        work: impl std::future::Future<Output = Result<T, Error>> + Send + 'static,
        interrupter: Option<&'static dyn Interrupter>,
        traced: Traced,
    ) -> Self {
        let (task, work) = Task::new(work, interrupter, traced);
        Self { call: Call::Ours(work), task, has_waker: false, owner: PhantomData }
    }

    /// Runs the call to its next stop, on this thread.
    ///
    /// If it waits and was not woken, this is [`Step::Waiting`] again, without entering it: a call that waits costs a
    /// few nanoseconds a frame, and nothing in between. If it has ended, this is `Done` again until the
    /// result is taken.
    ///
    /// # Errors
    ///
    /// Only for misuse: [`Error::InJob`] while a [`FutureRunner`] or a job has the right to resume, and
    /// [`Error::ResultTaken`] after the result was taken. A failure of the call is its result, and `Done` here.
    #[inline]
    pub fn resume(&mut self) -> Result<Step, Error> {
        let Call::Ours(work) = &mut self.call else {
            return self.resume_lent();
        };
        match self.task.step_work(work) {
            Progress::Yielded => Ok(Step::Yielded),
            Progress::Waiting => Ok(Step::Waiting),
            Progress::Done(outcome) => {
                self.task.traced.ended(Ending::of(&outcome));
                self.call = Call::Ended(outcome);
                Ok(Step::Done)
            }
        }
    }

    /// The result, once, as soon as there is one; `None` before.
    ///
    /// # Errors
    ///
    /// The failure of the call, once; and [`Error::ResultTaken`] after either was given.
    #[inline]
    pub fn try_get_result(&mut self) -> Result<Option<T>, Error> {
        match self.settle() {
            Call::Disposed => Err(Error::ResultTaken),
            Call::Ours(_) | Call::Lent => Ok(None),
            Call::Ended(_) => self.take().transpose(),
        }
    }

    /// Brings the call to its end and gives its result. It steps the call on this thread, which sleeps while the call waits;
    /// or, if a job has the call, only sleeps until the job is over.
    ///
    /// A worker of a rayon pool helps with other jobs instead of sleeping, as with [`JobHandle::wait`](crate::JobHandle::wait). Do
    /// not wait for a job on a worker of another pool that may have no other worker, nor while the runner of the call is
    /// in this thread's own hands: this would sleep for ever.
    ///
    /// # Errors
    ///
    /// The failure of the call, once; and [`Error::ResultTaken`] after the result was given.
    pub fn wait(&mut self) -> Result<T, Error> {
        let sleeper = Sleeper::new();
        loop {
            match self.advance(sleeper.waker()) {
                Advance::Ended(result) => return result,
                Advance::Yielded => {}
                Advance::Waiting => {
                    let wanted = matches!(self.call, Call::Lent).then(|| self.id());
                    help_or_sleep(&sleeper, wanted);
                }
            }
        }
    }

    /// Is there a result, or a failure, to take?
    #[must_use]
    pub fn has_result(&self) -> bool {
        match self.call {
            Call::Ended(_) => true,
            Call::Lent => self.task.custody() == Custody::Done,
            Call::Ours(_) | Call::Disposed => false,
        }
    }

    /// Was the result, or the failure, taken?
    #[must_use]
    pub fn is_disposed(&self) -> bool {
        matches!(self.call, Call::Disposed)
    }

    /// Splits off the right to resume, for another thread.
    ///
    /// Until the runner is dropped, or its job is over, [`resume`](Self::resume) gives [`Error::InJob`]. A call that has ended
    /// already has a runner too, with nothing to do.
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
            Call::Ended(result) => self.task.lend_ended(result),
            Call::Lent | Call::Disposed => unreachable!("they have just been returned"),
        }
        Ok(FutureRunner::new(self.task.clone()))
    }

    /// Ends the call: its result is [`Error::Cancelled`], unless it has one already.
    ///
    /// If a step is in progress on another thread, the call ends when that does; [`wait`](Self::wait) waits for it. A guest
    /// is made to stop at its next loop or function entry, if its engine has epoch interruption. A host function, or other
    /// work, is not interrupted, nor is a guest that a host function runs to its end.
    ///
    /// What the call held, as the host futures that it awaited, is dropped by the thread that ends it.
    pub fn cancel(&mut self) {
        match &self.call {
            Call::Ours(_) => {
                let ended = Call::Ended(Err(Box::new(Error::Cancelled)));
                if let Call::Ours(work) = mem::replace(&mut self.call, ended) {
                    work.discard();
                    self.task.traced.ended(Ending::cancelled());
                }
            }
            Call::Lent => self.task.cancel_lent(),
            Call::Ended(_) | Call::Disposed => {}
        }
    }

    /// Identifies the call among all that there are at this time.
    pub(crate) fn id(&self) -> usize {
        Arc::as_ptr(&self.task).addr()
    }

    /// What there is to be done with it.
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

    /// The call is not ours to step, or was not when last seen.
    #[cold]
    fn resume_lent(&mut self) -> Result<Step, Error> {
        match self.settle() {
            Call::Ours(_) => self.resume(),
            Call::Lent => Err(Error::InJob),
            Call::Ended(_) => Ok(Step::Done),
            Call::Disposed => Err(Error::ResultTaken),
        }
    }

    /// Takes back what the runner is done with.
    #[inline]
    fn settle(&mut self) -> &mut Call<T> {
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
                        self.call = Call::Ended(result);
                    }
                }
            }
        }
        &mut self.call
    }

    #[inline]
    fn take(&mut self) -> Option<Result<T, Error>> {
        match mem::replace(&mut self.call, Call::Disposed) {
            Call::Ended(result) => Some(result.map_err(|error| *error)),
            other => {
                self.call = other;
                None
            }
        }
    }

    /// A step towards the end. If it is `Waiting`, `waker` will be woken.
    fn advance(&mut self, waker: &Waker) -> Advance<T> {
        if let Call::Lent = self.settle() {
            self.has_waker = true;
            self.task.register_owner(waker);
            if let Call::Lent = self.settle() {
                return Advance::Waiting;
            }
        }
        match self.resume() {
            Err(misuse) => Advance::Ended(Err(misuse)),
            Ok(Step::Done) => match self.take() {
                Some(result) => Advance::Ended(result),
                None => unreachable!("it is done"),
            },
            Ok(Step::Yielded) => Advance::Yielded,
            Ok(Step::Waiting) => match &self.call {
                Call::Ours(work) => {
                    self.has_waker = true;
                    if self.task.park_owner(work, waker) {
                        Advance::Waiting
                    } else {
                        Advance::Yielded
                    }
                }
                _ => Advance::Yielded,
            },
        }
    }
}

enum Advance<T> {
    Ended(Result<T, Error>),
    Yielded,
    Waiting,
}

impl<T: Send + 'static> std::future::Future for Future<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut().advance(context.waker()) {
            Advance::Ended(result) => Poll::Ready(result),
            Advance::Yielded => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Advance::Waiting => Poll::Pending,
        }
    }
}

/// Nothing in it is pinned: the work of a call is in a box.
impl<T: Send + 'static> Unpin for Future<T> {}

impl<T: Send + 'static> Drop for Future<T> {
    #[inline]
    fn drop(&mut self) {
        if !self.is_disposed() {
            self.cancel();
        }
        if let Call::Lent = self.call
            && self.task.custody() == Custody::Done
        {
            // The call's wakers may keep the task for long; nobody will take the result.
            drop(self.task.take_result());
        }
        if self.has_waker {
            self.task.forget_owner();
        }
    }
}

impl<T: Send + 'static> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = match self.call {
            Call::Ours(_) => "ours",
            Call::Lent => "lent",
            Call::Ended(_) => "ended",
            Call::Disposed => "disposed",
        };
        f.debug_struct("Future").field("call", &call).field("task", &self.task).finish()
    }
}
