//! [`Apart`]: a call that takes its steps on new threads while it is polled inside another call's event loop.
//!
//! wasmtime refuses to enter an event loop inside another one's poll on the same thread. That happens where a concurrent host function awaits
//! another guest's call, or blocks until it has ended.

use crate::call::yield_now::StepNumber;
use crate::step::interrupt::on_own_thread;
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// The work of a call that may enter an event loop.
    pub(crate) struct Apart<F> {
        #[pin]
        work: F,
    }
}

impl<F> Apart<F> {
    pub(crate) fn new(work: F) -> Self {
        Self { work }
    }
}

impl<F> Future for Apart<F>
where
    F: Future<Output: Send> + Send,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let work = self.project().work;
        if StepNumber::is_inside_event_loop() {
            let waker = context.waker();
            on_own_thread(|| work.poll(&mut Context::from_waker(waker)))
        } else {
            work.poll(context)
        }
    }
}
