//! [`Limited`]: a call that keeps to the limits of its instance's [`Control`] in each of its steps.

use crate::guest::limit::call_time::Verdict;
use crate::guest::limit::control::{Control, StepLimits, Watch};
use crate::guest::limit::schedule::time_of_step;
use crate::guest::limit::slice_state::StepSlice;
use crate::trace::{Burning, burning, counts_fuel};
use crate::wait::alarm;
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll};
use wasmtime::Trap;

pin_project! {
    /// A guest's call, each poll of which is a step. It ends with [`Trap::Interrupt`] if it has timed out;
    /// [`Control::timed_out`] tells which limit that was.
    pub(crate) struct Limited<'a, F> {
        #[pin]
        call: F,
        control: &'a Control,
    }

    impl<F> PinnedDrop for Limited<'_, F> {
        fn drop(this: Pin<&mut Self>) {
            this.control.leave_call();
        }
    }
}

impl<'a, F> Limited<'a, F> {
    #[inline]
    pub(crate) fn new(call: F, control: &'a Control) -> Self {
        control.enter_call();
        Self { call, control }
    }
}

impl<F, R> std::future::Future for Limited<'_, F>
where
    F: std::future::Future<Output = wasmtime::Result<R>>,
{
    type Output = F::Output;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let control: &Control = this.control;
        let limits = match control.begin_step() {
            StepLimits::None if !counts_fuel() => None,
            StepLimits::None => Some(StepSlice::WithoutClock),
            StepLimits::Watched(slice) => Some(slice),
        };
        let watched = match limits {
            None => None,
            Some(slice) => match begin_watched(control, slice) {
                Some(watched) => Some(watched),
                None => return over(),
            },
        };
        // Polled in one place, for steps with limits and without, because only so is it inlined: see `Work::step`.
        let polled = this.call.poll(context);
        match watched {
            None => polled,
            Some((burning, watch)) => {
                drop(watch);
                let ended = end_watched(polled, control, context);
                drop(burning);
                ended
            }
        }
    }
}

/// Begins a step with limits; `None` if the call has timed out. Dropping what this returns ends the step.
#[inline(always)]
fn begin_watched(
    control: &Control,
    slice: StepSlice,
) -> Option<(Burning<impl Fn() -> u64>, Watch<'_>)> {
    let burning = burning(|| control.fuel());
    let now = match slice {
        // Nothing but the end of the slice depends on it.
        StepSlice::After(slice) if control.time().is_none() => time_of_step(slice),
        _ => alarm::now_nanoseconds(),
    };
    match control.look_at_time(now) {
        Verdict::InTime => Some((burning, control.watch(slice, now))),
        Verdict::TimedOut => None,
    }
}

/// Decides how a step with limits has ended: as the guest did, or by a timeout.
#[inline]
fn end_watched<R>(
    polled: Poll<wasmtime::Result<R>>,
    control: &Control,
    context: &mut Context<'_>,
) -> Poll<wasmtime::Result<R>> {
    if !control.has_timeout() {
        return polled;
    }
    match polled {
        // The guest has failed by itself, or was interrupted because it timed out. If it was close to the end of its stack, it ran out of stack when it looked.
        Poll::Ready(Err(error)) if error.downcast_ref() != Some(&Trap::StackOverflow) => {
            Poll::Ready(Err(error))
        }
        // A host function may have used up the time, and the guest may have ended before it looked at the epoch again.
        _ if control.look_at_time_after_step() == Verdict::TimedOut => over(),
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => match control.look_at_time_or_be_woken(context) {
            Verdict::InTime => Poll::Pending,
            Verdict::TimedOut => over(),
        },
    }
}

fn over<R>() -> Poll<wasmtime::Result<R>> {
    Poll::Ready(Err(Trap::Interrupt.into()))
}
