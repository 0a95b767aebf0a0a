//! What a thread knows of the step that it is in, so that work which would go on can be stopped: which lent call is stepped, and so
//! whether that call was cancelled, and when the step has to be over.
//!
//! The call layer cannot stop work that does not come back by itself. Work that can be stopped, as a guest can at its next loop, asks
//! here whether it has to stop, and comes with an [`Interrupter`] that makes it ask.

use crate::sync::const_thread_local;
use crate::unwind::catch;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const_thread_local! {
    /// How many steps this thread is inside of. Host functions may step other calls.
    static DEPTH: Cell<u32> = Cell::new(0);
}

const_thread_local! {
    /// The lent call that is stepped, and at which depth.
    static CURRENT_CALL: RefCell<Option<(u32, Arc<dyn Interruptible>)>> = RefCell::new(None);
}

const_thread_local! {
    /// At which depth steps have a deadline, and which.
    static DEADLINE: Cell<(u32, u64)> = Cell::new((0, NEVER));
}

/// No deadline. Any other deadline is in nanoseconds of [`alarm::now`](crate::wait::alarm::now).
pub(crate) const NEVER: u64 = u64::MAX;

/// A time as a deadline.
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(NEVER - 1)
}

/// A lent call, as an interrupter sees it.
#[cfg_attr(not(any(feature = "wasm", wasm_jobs_loom)), expect(dead_code, reason = "for guests"))]
pub trait Interruptible: Send + Sync {
    /// Was the call cancelled? Then the step in progress has to stop.
    fn is_cancelled(&self) -> bool;
    /// Is the call over? Then there is nothing to interrupt any more.
    fn has_ended(&self) -> bool;
}

/// Makes running steps ask whether they have to stop.
pub trait Interrupter: Sync {
    /// The call was cancelled while a step of it is in progress. The interrupter has the step ask [`is_cancelled`], again and again
    /// until the call [has ended](Interruptible::has_ended).
    fn interrupt(&'static self, call: Arc<dyn Interruptible>);
}

/// Is this thread inside a step of some call, and so perhaps on a guest's stack?
pub(crate) fn is_in_step() -> bool {
    depth() > 0
}

fn depth() -> u32 {
    DEPTH.with(Cell::get)
}

/// Runs code of a call on this thread, marked as a step.
#[inline]
pub(crate) fn in_step<R>(code: impl FnOnce() -> R) -> thread::Result<R> {
    DEPTH.with(|depth| depth.set(depth.get() + 1));
    let outcome = catch(code);
    DEPTH.with(|depth| depth.set(depth.get() - 1));
    outcome
}

/// Puts back what was there before, also when the code in between panics.
struct Restore<F: FnMut()>(F);

impl<F: FnMut()> Drop for Restore<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Takes steps of a lent call: inside them, [`is_cancelled`] is about this call.
pub(crate) fn with_current_call<R>(call: Arc<dyn Interruptible>, steps: impl FnOnce() -> R) -> R {
    let current = (depth() + 1, call);
    let mut outer = CURRENT_CALL.with(|place| place.replace(Some(current)));
    let _restore = Restore(|| {
        let call = CURRENT_CALL.with(|place| place.replace(outer.take()));
        drop(call);
    });
    steps()
}

/// Was the call cancelled in whose step this thread is?
#[cfg(any(feature = "wasm", wasm_jobs_loom))]
pub fn is_cancelled() -> bool {
    let depth = depth();
    CURRENT_CALL.with(|place| match &*place.borrow() {
        Some((at, call)) => *at == depth && call.is_cancelled(),
        None => false,
    })
}

/// Takes steps that have to be over at this time, by [`alarm::now`](crate::wait::alarm::now).
pub(crate) fn with_deadline<R>(deadline: Duration, steps: impl FnOnce() -> R) -> R {
    let deadline = (depth() + 1, nanoseconds(deadline));
    let outer = DEADLINE.with(|place| place.replace(deadline));
    let _restore = Restore(|| DEADLINE.with(|place| place.set(outer)));
    steps()
}

/// When the step has to be over in which this thread is.
#[cfg(feature = "wasm")]
#[inline]
pub(crate) fn step_deadline() -> u64 {
    let (at, deadline) = DEADLINE.with(Cell::get);
    if deadline == NEVER || at != depth() { NEVER } else { deadline }
}
