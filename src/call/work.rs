//! [`Work`]: what a call has to do, as a future that does not panic. Owning it is the right to step the call; it passes between the
//! [`Future`](crate::Future) and the [`Task`](crate::call::task::Task).

use crate::call::spare;
use crate::call::state::{State, WakeCount};
use crate::error::{Error, Panic};
use crate::outcome::Outcome;
use crate::step::interrupt::in_step;
use crate::trace::Traced;
use crate::unwind::drop_payload;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// A call that has not ended, with the exclusive right to step it.
pub(crate) struct Work<T> {
    future: Pin<Box<dyn WorkFuture<T>>>,
    /// The wakes that the last step knew of.
    seen: WakeCount,
}

trait WorkFuture<T>: std::future::Future<Output = Outcome<T>> + Send {
    /// Keeps the allocation as a spare. The work was ready, and is gone.
    fn spare(self: Pin<Box<Self>>);
}

/// Where the call stands after a step.
pub(crate) enum Progress<T> {
    Done(Outcome<T>),
    Yielded,
    Waiting,
}

pin_project_lite::pin_project! {
    /// Polls work that may panic, and gives the panic as its error. Once ready, it has dropped the work.
    struct CatchUnwind<F> {
        #[pin]
        work: Option<F>,
    }
}

impl<T, E, F> std::future::Future for CatchUnwind<F>
where
    E: Into<Box<Error>>,
    F: std::future::Future<Output = Result<T, E>>,
{
    type Output = Outcome<T>;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome<T>> {
        let mut work = self.project().work;
        let polled = in_step(|| {
            let polled = work.as_mut().as_pin_mut()?.poll(context);
            if polled.is_ready() {
                work.set(None);
            }
            Some(polled)
        });
        match polled {
            Ok(Some(polled)) => polled.map_err(E::into),
            Ok(None) => unreachable!("work that was ready is not polled again"),
            Err(payload) => {
                drop_payload(in_step(|| work.set(None)));
                Poll::Ready(Err(Box::new(Error::Panic(Panic::new(payload)))))
            }
        }
    }
}

impl<T, E, F> WorkFuture<T> for CatchUnwind<F>
where
    E: Into<Box<Error>>,
    F: std::future::Future<Output = Result<T, E>> + Send + 'static,
{
    fn spare(self: Pin<Box<Self>>) {
        if size_of::<Self>() <= spare::LARGEST {
            spare::put(self);
        }
    }
}

impl<T: Send + 'static> Work<T> {
    #[inline]
    pub(crate) fn new<E, F>(work: F) -> Self
    where
        E: Into<Box<Error>> + 'static,
        F: std::future::Future<Output = Result<T, E>> + Send + 'static,
    {
        // Moved straight into the box, because a guest's call has some hundred bytes.
        let future = if size_of::<F>() <= spare::LARGEST { spare::take() } else { None };
        let mut future = future.unwrap_or_else(|| Box::pin(CatchUnwind { work: None }));
        future.as_mut().project().work.set(Some(work));
        Self { future, seen: WakeCount::NONE }
    }

    // Below this, the thread switches to a guest's stack and back, so the processor mispredicts the return of each frame between here
    // and there, which costs more than what the frame does. Hence the inlining from `resume` to the guest, with one dynamic call.
    /// Polls the work, unless nothing has woken it since it was last polled.
    #[inline(always)]
    pub(crate) fn step(&mut self, state: &State, traced: &Traced, waker: &Waker) -> Progress<T> {
        let Some(seen) = state.woken_since(self.seen) else {
            return Progress::Waiting;
        };
        self.seen = seen;

        let mut context = Context::from_waker(waker);
        match traced.step(|| self.future.as_mut().poll(&mut context)) {
            Poll::Pending if state.woken_since(seen).is_some() => Progress::Yielded,
            Poll::Pending => Progress::Waiting,
            Poll::Ready(outcome) => Progress::Done(outcome),
        }
    }

    /// Has nothing woken it since it was last polled?
    pub(crate) fn is_waiting(&self, state: &State) -> bool {
        state.woken_since(self.seen).is_none()
    }

    /// The wakes that its last step knew of.
    pub(crate) fn seen(&self) -> WakeCount {
        self.seen
    }

    /// Ends work that is done.
    #[inline]
    pub(crate) fn end(self) {
        self.future.spare();
    }

    /// Drops the work, with everything that the call holds, and swallows a panic.
    pub(crate) fn discard(self) {
        drop_payload(in_step(|| drop(self)));
    }
}
