//! [`Work`]: what a call has to do, as a future that does not panic. Owning it is the right to step the call; it passes between the
//! [`Future`](crate::Future) and the [`Task`](crate::call::task::Task).

use crate::call::spare;
use crate::call::state::{State, WakeCount};
use crate::call::turn::Quantum;
use crate::error::Error;
use crate::error::panic::Panic;
use crate::outcome::Outcome;
use crate::step::interrupt::in_step;
use crate::trace::Traced;
use crate::unwind::drop_payload;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use sync_wrapper::SyncWrapper;

/// A call that has not ended, with the exclusive right to step it.
pub(crate) struct Work<T> {
    /// Only the owner of the work touches it. The wrapper lets others refer to an owner that may travel.
    future: SyncWrapper<Pin<Box<dyn WorkFuture<T>>>>,
    /// The wakes that the last step knew of.
    seen: WakeCount,
}

trait WorkFuture<T>: Send {
    /// Takes a step; and, while the call yields and its turn goes on, further steps. `seen` comes in as the count of wakes that the first step
    /// knows of, and goes out as that of the last step.
    fn step(self: Pin<&mut Self>, seen: &mut WakeCount, steps: Steps<'_>) -> Progress<T>;

    /// Keeps the allocation as a spare. The work was ready, and has been dropped.
    fn spare(self: Pin<Box<Self>>);
}

/// What a call is stepped with.
pub(crate) struct Steps<'a> {
    pub(crate) state: &'a State,
    pub(crate) traced: &'a Traced,
    pub(crate) waker: &'a Waker,
    /// How long a turn goes on after yields. `None` for one step.
    pub(crate) quantum: Option<&'a mut Quantum>,
}

/// Where the call stands after a step.
pub(crate) enum Progress<T> {
    Done(Outcome<T>),
    Yielded,
    Waiting,
}

pin_project_lite::pin_project! {
    /// Steps work that may panic, and gives the panic as its error. Once done, it has dropped the work.
    struct CatchUnwind<F> {
        #[pin]
        work: Option<F>,
    }
}

impl<T, E, F> WorkFuture<T> for CatchUnwind<F>
where
    E: Into<Box<Error>>,
    F: std::future::Future<Output = Result<T, E>> + Send + 'static,
{
    fn step(self: Pin<&mut Self>, seen: &mut WakeCount, mut steps: Steps<'_>) -> Progress<T> {
        let mut work = self.project().work;
        let mut context = Context::from_waker(steps.waker);
        let stepped = in_step(|| {
            loop {
                let poll = || work.as_mut().as_pin_mut().map(|work| work.poll(&mut context));
                match steps.traced.step(poll) {
                    Some(Poll::Ready(outcome)) => {
                        work.set(None);
                        return Progress::Done(outcome.map_err(E::into));
                    }
                    Some(Poll::Pending) => match steps.state.woken_since(*seen) {
                        None => return Progress::Waiting,
                        Some(wakes) if steps.go_on() => *seen = wakes,
                        Some(_) => return Progress::Yielded,
                    },
                    None => unreachable!("work that was ready is not polled again"),
                }
            }
        });
        stepped.unwrap_or_else(|payload| {
            drop_payload(in_step(|| work.set(None)));
            Progress::Done(Err(Box::new(Error::Panic(Panic::new(payload)))))
        })
    }

    fn spare(self: Pin<Box<Self>>) {
        if spare::is_kept::<Self>() {
            spare::put(self);
        }
    }
}

impl Steps<'_> {
    /// The call has yielded. Does the turn go on?
    #[inline]
    fn go_on(&mut self) -> bool {
        match &mut self.quantum {
            None => false,
            Some(quantum) => quantum.lasts() && !self.state.is_cancelled(),
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
        let future = if spare::is_kept::<CatchUnwind<F>>() { spare::take() } else { None };
        let mut future = future.unwrap_or_else(|| Box::pin(CatchUnwind { work: None }));
        future.as_mut().project().work.set(Some(work));
        Self { future: SyncWrapper::new(future), seen: WakeCount::NONE }
    }

    // Below this, the thread switches to a guest's stack and back, so the processor mispredicts the return of each frame between here
    // and there, which costs more than what the frame does. Hence the inlining from `resume` to the guest, with one dynamic call. In a
    // turn, the loop is below that call.
    /// Steps work that was woken since its last step.
    #[inline(always)]
    pub(crate) fn step(&mut self, steps: Steps<'_>) -> Progress<T> {
        self.future.get_mut().as_mut().step(&mut self.seen, steps)
    }

    /// Notes the wakes that the next step knows of. False if nothing has woken the work since its last step.
    #[inline(always)]
    pub(crate) fn note_wakes(&mut self, state: &State) -> bool {
        let wakes = state.woken_since(self.seen);
        self.seen = wakes.unwrap_or(self.seen);
        wakes.is_some()
    }

    /// The next step is taken even if nothing wakes the work before it.
    #[cfg(any(feature = "freeze", wasm_jobs_loom))]
    pub(crate) fn step_anyway(&mut self) {
        // A task has had one wake from the beginning.
        self.seen = WakeCount::NONE;
    }

    /// Has nothing woken it since its last step?
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
        self.future.into_inner().spare();
    }

    /// Drops the work, with everything that the call holds, and swallows a panic.
    pub(crate) fn discard(self) {
        drop_payload(in_step(|| drop(self)));
    }
}
