//! [`Apart`]: a call that may run wasmtime's event loop, in each of its steps.
//!
//! wasmtime refuses to enter an event loop inside another one's poll on the same thread. That happens where a concurrent host function awaits
//! another guest's call, or blocks until it has ended. There, the inner call takes its steps on new threads.

use crate::call::yield_now::StepNumber;
use crate::guest::wasi::tokio_runtime;
use crate::step::interrupt::StepContext;
use crate::wait::block::{Sleeper, Wanted, help_or_sleep};
use pin_project_lite::pin_project;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::task::{Context, Poll, Waker};
use std::thread;
use tokio::runtime::Handle;

pin_project! {
    /// The work of such a call.
    pub(crate) struct Apart<F> {
        #[pin]
        work: F,
        // False for a module.
        may_run_event_loop: bool,
    }
}

impl<F> Apart<F> {
    pub(crate) fn new(work: F, may_run_event_loop: bool) -> Self {
        Self { work, may_run_event_loop }
    }
}

impl<F> Future for Apart<F>
where
    F: Future<Output: Send> + Send,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if !*this.may_run_event_loop {
            this.work.poll(context)
        } else if StepNumber::is_inside_event_loop() {
            let waker = context.waker();
            on_new_thread(|| step(this.work, &mut Context::from_waker(waker)))
        } else {
            step(this.work, context)
        }
    }
}

fn step<F: Future>(work: Pin<&mut F>, context: &mut Context<'_>) -> Poll<F::Output> {
    tokio_runtime::enter(|| StepNumber::with_new(|| work.poll(context)))
}

/// Runs a part of this thread's step on a new thread, and waits for it. A worker of a pool gives other jobs turns meanwhile, because the part
/// may wait for them.
fn on_new_thread<R: Send>(part: impl FnOnce() -> R + Send) -> R {
    let sleeper = Sleeper::new();
    let is_over = AtomicBool::new(false);
    let (step, runtime) = (StepContext::current(), Handle::try_current().ok());
    let says_over = SaysOver { is_over: &is_over, waker: sleeper.waker().clone() };
    let ended = thread::scope(|scope| {
        let thread = scope.spawn(move || {
            let _says_over = says_over;
            let _entered = runtime.as_ref().map(Handle::enter);
            step.run(part)
        });
        while !is_over.load(Acquire) {
            help_or_sleep(&sleeper, Wanted::Any);
        }
        thread.join()
    });
    ended.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Says that the part is over when dropped, also by a panic.
struct SaysOver<'a> {
    is_over: &'a AtomicBool,
    waker: Waker,
}

impl Drop for SaysOver<'_> {
    fn drop(&mut self) {
        self.is_over.store(true, Release);
        self.waker.wake_by_ref();
    }
}
