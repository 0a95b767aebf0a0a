//! How the owner of a call waits for its end: as a thread, by [`Future::wait`], or as a task, because a [`Future`] is a std future too.

use crate::call::future::{Call, Future};
use crate::call::step::Step;
use crate::call::yield_now::StepNumber;
use crate::error::Error;
use crate::wait::block::{Sleeper, Wanted, help_or_sleep};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

enum Advance<T> {
    Ended(Result<T, Error>),
    Yielded,
    Waiting,
}

impl<T: Send + 'static, O> Future<T, O> {
    /// Brings the call to its end and gives its result. This thread steps the call, and sleeps while the call waits. If a job has
    /// the call, this thread only sleeps until the job is over.
    ///
    /// A worker of a rayon pool runs other jobs instead of sleeping, as with [`JobHandle::wait`](crate::JobHandle::wait).
    ///
    /// This sleeps for ever if no thread is left to step the call: if this thread holds the call's
    /// [`FutureRunner`](crate::FutureRunner), or if a pool that is not rayon's has the call's job, this thread is one of its workers, and all
    /// others are busy for good.
    ///
    /// On a worker of a rayon pool, what runs meanwhile may be a closure, on top of this wait. If the closure blocks until this thread gives
    /// something back, neither goes on: [`InstancePool::get_blocking`](crate::InstancePool::get_blocking) has an example.
    ///
    /// # Errors
    ///
    /// The failure of the call, once; [`Error::ResultTaken`] after the value or the failure was given.
    pub fn wait(&mut self) -> Result<T, Error> {
        let sleeper = Sleeper::new();
        loop {
            match self.advance(sleeper.waker()) {
                Advance::Ended(result) => return result,
                Advance::Yielded => {}
                Advance::Waiting => {
                    let is_lent = matches!(self.call, Call::Lent);
                    let wanted = if is_lent { Wanted::Job(self.id()) } else { Wanted::Any };
                    help_or_sleep(&sleeper, wanted);
                }
            }
        }
    }

    /// Takes a step, if the call can go on. If this returns `Waiting`, `waker` will be woken.
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
                None => unreachable!("a call that is done has its result"),
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

impl<T: Send + 'static, O> std::future::Future for Future<T, O> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let step = StepNumber::current();
        // As `YieldNow`: an event loop polls several times in one step.
        if this.yielded_in.is_some_and(|yielded_in| yielded_in.is_same(step)) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        match this.advance(context.waker()) {
            Advance::Ended(result) => Poll::Ready(result),
            Advance::Yielded => {
                this.yielded_in = Some(step);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Advance::Waiting => Poll::Pending,
        }
    }
}

/// Nothing in a `Future` is pinned: the work of the call is in a box.
impl<T: Send + 'static, O> Unpin for Future<T, O> {}
