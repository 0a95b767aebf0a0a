//! [`Limited`]: a call that keeps to the limits of its instance's [`Control`] in each of its steps.

use crate::guest::limit::call_time::Verdict;
use crate::guest::limit::control::{Control, StepLimits};
use crate::guest::limit::slice_state::StepSlice;
use crate::trace::{burning, counts_fuel};
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
        match this.control.begin_step() {
            StepLimits::None if counts_fuel() => {
                poll_watched(this.call, this.control, StepSlice::WithoutClock, context)
            }
            StepLimits::None => this.call.poll(context),
            StepLimits::Watched(slice) => poll_watched(this.call, this.control, slice, context),
        }
    }
}

/// Not inlined, so that the code of steps without limits stays short.
#[inline(never)]
fn poll_watched<F, R>(
    call: Pin<&mut F>,
    control: &Control,
    slice: StepSlice,
    context: &mut Context<'_>,
) -> Poll<F::Output>
where
    F: std::future::Future<Output = wasmtime::Result<R>>,
{
    let _burning = burning(|| control.fuel());
    let over = || Poll::Ready(Err(Trap::Interrupt.into()));
    let now = alarm::now();
    if control.look_at_time(now) == Verdict::TimedOut {
        return over();
    }
    let polled = {
        let _watch = control.watch(slice, now);
        call.poll(context)
    };
    if !control.has_timeout() {
        return polled;
    }
    match polled {
        // The guest has failed by itself, or was interrupted because it timed out.
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        // A host function may have used up the time, and the guest may have ended before it looked at the epoch again.
        _ if control.look_at_time_after_step() == Verdict::TimedOut => over(),
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => match control.look_at_time_or_be_woken(context) {
            Verdict::InTime => Poll::Pending,
            Verdict::TimedOut => over(),
        },
    }
}
