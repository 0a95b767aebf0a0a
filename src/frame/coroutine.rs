//! [`Coroutine`]: the handle of one coroutine; and [`Body`], the future that `async-task` runs for it. The body puts the coroutine's
//! result into [`Shared`], and the handle takes it out.
//!
//! [`coroutines`](crate::frame::coroutines) makes both.
//!
//! Why the result is not the output of an `async_task::FallibleTask`: that aborts the process if the destructor of a result that
//! nobody takes panics, or the waker of the task that awaits the handle. It drops the value of a coroutine that was cancelled
//! during its last step, and its `cancel` consumes the handle.

use crate::error::Error;
use crate::error::panic::Panic;
use crate::unwind::{catch, ignore_panic};
use pin_project_lite::pin_project;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// The wakers of all coroutines of a loop that have not finished.
pub(crate) type Live = Rc<RefCell<Slab<Waker>>>;

/// The handle of a coroutine. It gives the coroutine's result, once.
///
/// It is a std future: another coroutine, or any other code on this thread, may await it.
///
/// Dropping the handle detaches the coroutine, which goes on. To stop the coroutine, [`cancel`](Self::cancel) it.
pub struct Coroutine<T> {
    shared: Rc<Shared<T>>,
    waker: Waker,
}

/// What a coroutine's body and its handle share.
pub(crate) struct Shared<T> {
    /// The result, from the end of the coroutine until it is taken.
    result: Cell<Option<Result<T, Error>>>,
    is_finished: Cell<bool>,
    is_cancelled: Cell<bool>,
    /// The waker of the task that awaits the handle.
    awaiter: Cell<Option<Waker>>,
}

impl<T> Shared<T> {
    pub(crate) fn new() -> Self {
        Self {
            result: Cell::new(None),
            is_finished: Cell::new(false),
            is_cancelled: Cell::new(false),
            awaiter: Cell::new(None),
        }
    }

    fn take_result(&self) -> Option<Result<T, Error>> {
        self.is_finished.get().then(|| self.result.take().unwrap_or(Err(Error::ResultTaken)))
    }
}

impl<T> Coroutine<T> {
    /// `waker` wakes the coroutine whose body has `shared`.
    pub(crate) fn new(shared: Rc<Shared<T>>, waker: Waker) -> Self {
        Self { shared, waker }
    }

    /// Gives the coroutine's value, once, as soon as it has finished; before that, `None`.
    ///
    /// # Errors
    ///
    /// [`Error::Panic`] if the coroutine panicked. [`Error::Cancelled`] if it was cancelled, or dropped with its
    /// [`Coroutines`](crate::Coroutines). After the value or one of these was given, [`Error::ResultTaken`].
    pub fn try_get_result(&mut self) -> Result<Option<T>, Error> {
        self.shared.take_result().transpose()
    }

    /// Has the coroutine finished, panicked, or been dropped?
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.shared.is_finished.get()
    }

    /// Stops the coroutine, unless it has finished. In the next frame, what it holds is dropped and its result is
    /// [`Error::Cancelled`].
    pub fn cancel(&self) {
        if !self.is_finished() {
            self.shared.is_cancelled.set(true);
            self.waker.wake_by_ref();
        }
    }
}

impl<T> std::future::Future for Coroutine<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(result) = self.shared.take_result() {
            return Poll::Ready(result);
        }
        let replaced = self.shared.awaiter.replace(Some(context.waker().clone()));
        drop(replaced);
        Poll::Pending
    }
}

impl<T> fmt::Debug for Coroutine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coroutine").field("is_finished", &self.is_finished()).finish()
    }
}

pin_project! {
    /// The future that `async-task` runs for a coroutine. Neither polling nor dropping it panics.
    pub(crate) struct Body<F: std::future::Future> {
        // `None` once it has ended.
        #[pin]
        coroutine: Option<F>,
        shared: Rc<Shared<F::Output>>,
        live: Live,
        // The coroutine's key in `live`.
        key: usize,
    }

    impl<F: std::future::Future> PinnedDrop for Body<F> {
        fn drop(this: Pin<&mut Self>) {
            this.end(Err(Error::Cancelled));
        }
    }
}

impl<F: std::future::Future> Body<F> {
    pub(crate) fn new(coroutine: F, shared: Rc<Shared<F::Output>>, live: Live, key: usize) -> Self {
        Self { coroutine: Some(coroutine), shared, live, key }
    }

    /// Drops the coroutine and delivers its result. If the coroutine has ended before, this does nothing.
    fn end(self: Pin<&mut Self>, result: Result<F::Output, Error>) {
        let mut this = self.project();
        if this.coroutine.is_none() {
            return;
        }
        ignore_panic(|| this.coroutine.set(None));
        let waker = this.live.borrow_mut().try_remove(*this.key);
        drop(waker);
        this.shared.result.set(Some(result));
        this.shared.is_finished.set(true);
        if let Some(awaiter) = this.shared.awaiter.take() {
            ignore_panic(|| awaiter.wake());
        }
        // Nobody will take the result if the handle was dropped, perhaps by the waker just now. This drops the result here, where
        // its panic is caught.
        if Rc::strong_count(this.shared) == 1 {
            ignore_panic(|| drop(this.shared.result.take()));
        }
    }
}

impl<F: std::future::Future> std::future::Future for Body<F> {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.as_mut().project();
        if this.shared.is_cancelled.get() {
            self.end(Err(Error::Cancelled));
            return Poll::Ready(());
        }
        let Some(coroutine) = this.coroutine.as_pin_mut() else { return Poll::Ready(()) };
        let result = match catch(|| coroutine.poll(context)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(value)) => Ok(value),
            Err(payload) => Err(Error::Panic(Panic::new(payload))),
        };
        self.end(result);
        Poll::Ready(())
    }
}
