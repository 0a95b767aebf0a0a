//! How a running step learns that it has to stop: a thread knows which lent call it steps, and so whether that call was cancelled, and
//! the step's deadline.
//!
//! The call layer cannot stop work that does not return by itself. Work that can stop early, as a guest can at its next loop, asks here
//! whether it has to; an [`Interrupter`] makes it ask.

use crate::sync::const_thread_local;
use crate::unwind::catch;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const_thread_local! {
    /// How many steps this thread is inside of. More than one if a host function steps another call.
    static DEPTH: Cell<u32> = Cell::new(0);
}

const_thread_local! {
    /// The lent call that this thread steps, and the depth of its steps.
    static CURRENT_CALL: RefCell<Option<(u32, Arc<dyn Interruptible>)>> = RefCell::new(None);
}

const_thread_local! {
    /// The depth at which steps have a deadline, and the deadline.
    static DEADLINE: Cell<(u32, u64)> = Cell::new((0, NEVER));
}

/// No deadline. Any other deadline is in nanoseconds of [`alarm::now`](crate::wait::alarm::now).
pub(crate) const NEVER: u64 = u64::MAX;

/// A time as a deadline, in nanoseconds.
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(NEVER - 1)
}

/// A lent call, as an interrupter sees it.
#[cfg_attr(not(any(feature = "wasm", wasm_jobs_loom)), expect(dead_code, reason = "for guests"))]
pub trait Interruptible: Send + Sync {
    /// Was the call cancelled? If so, its step in progress has to stop.
    fn is_cancelled(&self) -> bool;
    /// Is the call over? If so, there is nothing left to interrupt.
    fn has_ended(&self) -> bool;
}

/// Makes a running step ask whether it has to stop.
pub trait Interrupter: Sync {
    /// Called when a call is cancelled during one of its steps. From then on, the interrupter makes the step ask [`is_cancelled`],
    /// repeatedly, until the call [has ended](Interruptible::has_ended).
    fn interrupt(&'static self, call: Arc<dyn Interruptible>);
}

/// Is this thread inside a step of some call, and so perhaps on a guest's stack?
pub(crate) fn is_in_step() -> bool {
    depth() > 0
}

/// How many steps this thread is inside of.
pub(crate) fn depth() -> u32 {
    DEPTH.with(Cell::get)
}

/// Runs code of a call as a step of this thread, and catches its panic.
#[inline]
pub(crate) fn in_step<R>(code: impl FnOnce() -> R) -> thread::Result<R> {
    DEPTH.with(|depth| depth.set(depth.get() + 1));
    let outcome = catch(code);
    DEPTH.with(|depth| depth.set(depth.get() - 1));
    outcome
}

/// Restores the outer step's values when it is dropped, so also if the code in between panics.
struct Restore<F: FnMut()>(F);

impl<F: FnMut()> Drop for Restore<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Takes steps of a lent call. Inside them, [`is_cancelled`] asks about this call.
pub(crate) fn with_current_call<R>(call: Arc<dyn Interruptible>, steps: impl FnOnce() -> R) -> R {
    let mut current = Some((depth() + 1, call));
    // While the thread ends, its place may be gone. Then the call is stepped without a mark, and not interrupted.
    let mut exchange = || {
        let _ =
            CURRENT_CALL.try_with(|place| std::mem::swap(&mut *place.borrow_mut(), &mut current));
    };
    exchange();
    let _restore = Restore(exchange);
    steps()
}

/// Was the call cancelled whose step this thread is in? False for a call that is not lent.
#[cfg(any(feature = "wasm", wasm_jobs_loom))]
pub fn is_cancelled() -> bool {
    let depth = depth();
    let is_cancelled = CURRENT_CALL.try_with(|place| match &*place.borrow() {
        Some((at, call)) => *at == depth && call.is_cancelled(),
        None => false,
    });
    is_cancelled.unwrap_or(false)
}

/// Takes steps that have to end by `deadline`, a time of [`alarm::now`](crate::wait::alarm::now).
pub(crate) fn with_deadline<R>(deadline: Duration, steps: impl FnOnce() -> R) -> R {
    let deadline = (depth() + 1, nanoseconds(deadline));
    let outer = DEADLINE.with(|place| place.replace(deadline));
    let _restore = Restore(|| DEADLINE.with(|place| place.set(outer)));
    steps()
}

/// The deadline of the step that this thread is in; [`NEVER`] if it has none.
#[cfg(feature = "wasm")]
#[inline]
pub(crate) fn step_deadline() -> u64 {
    let (at, deadline) = DEADLINE.with(Cell::get);
    if deadline == NEVER || at != depth() { NEVER } else { deadline }
}

/// What a thread knows of the step that it is in, for another thread that runs a part of the same step.
#[cfg(feature = "wasi-p3-preview")]
pub(crate) struct StepContext {
    depth: u32,
    call: Option<(u32, Arc<dyn Interruptible>)>,
    deadline: (u32, u64),
}

#[cfg(feature = "wasi-p3-preview")]
impl StepContext {
    /// That of this thread's step.
    pub(crate) fn current() -> Self {
        let call = CURRENT_CALL.try_with(|place| place.borrow().clone()).ok().flatten();
        Self { depth: depth(), call, deadline: DEADLINE.with(Cell::get) }
    }

    /// Runs a part of the step on this thread, which is a new one and runs nothing else. The step's cancellation and deadline hold here as well.
    pub(crate) fn run<R>(self, part: impl FnOnce() -> R) -> R {
        DEPTH.with(|place| place.set(self.depth));
        CURRENT_CALL.with(|place| *place.borrow_mut() = self.call);
        DEADLINE.with(|place| place.set(self.deadline));
        part()
    }
}
