//! What a thread knows of the step that it is in, by which work that would go on can be stopped: whose step it is, and so
//! whether its owner has given it up, and when it is to be over.
//!
//! The call layer cannot stop work that does not come back by itself. Work that can be stopped, as a guest can at its next loop, asks
//! here whether it has to, and comes with an [`Interrupter`] that makes it ask.

use crate::sync::const_thread_local;
use crate::unwind::catch;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

const_thread_local! {
    /// How many steps this thread is inside of. Host functions may step other calls.
    static DEPTH: Cell<u32> = Cell::new(0);
}

const_thread_local! {
    /// The lent call that is stepped at some depth.
    static LENT: RefCell<Option<(u32, Arc<dyn Interruptible>)>> = RefCell::new(None);
}

const_thread_local! {
    /// When steps at some depth are to be over.
    static ENDS: Cell<(u32, u64)> = Cell::new((0, NEVER));
}

/// No end of a step, which is otherwise in nanoseconds of [`alarm::now`](crate::wait::alarm::now).
pub(crate) const NEVER: u64 = u64::MAX;

pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(NEVER - 1)
}

/// Is this thread inside a step of some call, and so perhaps on a guest's stack?
pub(crate) fn is_in_step() -> bool {
    depth() > 0
}

/// How many steps this thread is inside of. Between two that are as deep, it does not change to a stack that it does not know.
pub(crate) fn depth() -> u32 {
    DEPTH.with(Cell::get)
}

/// Runs code of a call on this thread, marked as such. Unwind safety: what has panicked is dropped, and not used again.
#[inline]
pub(crate) fn in_step<R>(code: impl FnOnce() -> R) -> std::thread::Result<R> {
    DEPTH.with(|depth| depth.set(depth.get() + 1));
    let outcome = catch(code);
    DEPTH.with(|depth| depth.set(depth.get() - 1));
    outcome
}

/// Steps a lent call, whose steps do not panic.
pub(crate) fn with_current_call<R>(call: Arc<dyn Interruptible>, steps: impl FnOnce() -> R) -> R {
    let here = DEPTH.with(Cell::get) + 1;
    let outer = LENT.with(|lent| lent.replace(Some((here, call))));
    let outcome = steps();
    let call = LENT.with(|lent| lent.replace(outer));
    drop(call);
    outcome
}

/// Was the call given up in whose step this thread is?
#[cfg(any(feature = "wasm", wasm_jobs_loom))]
pub(crate) fn is_cancelled() -> bool {
    let depth = DEPTH.with(Cell::get);
    LENT.with(|lent| match &*lent.borrow() {
        Some((at, call)) => *at == depth && call.is_cancelled(),
        None => false,
    })
}

/// Takes a step that is to be over at this time, by [`alarm::now`](crate::wait::alarm::now).
pub(crate) fn with_deadline<R>(ends: Duration, step: impl FnOnce() -> R) -> R {
    struct Outer((u32, u64));

    impl Drop for Outer {
        fn drop(&mut self) {
            ENDS.with(|there| there.set(self.0));
        }
    }

    let here = DEPTH.with(Cell::get) + 1;
    let ends = nanoseconds(ends);
    let _outer = Outer(ENDS.with(|there| there.replace((here, ends))));
    step()
}

/// When the step is to be over that this thread is in.
#[cfg(feature = "wasm")]
#[inline]
pub(crate) fn step_deadline() -> u64 {
    let (at, ends) = ENDS.with(Cell::get);
    if ends == NEVER || at != DEPTH.with(Cell::get) { NEVER } else { ends }
}

/// A lent call, as those see it that stop its steps.
pub(crate) trait Interruptible: Send + Sync {
    /// Was the call cancelled? Then the step in progress should come to its end.
    fn is_cancelled(&self) -> bool;
    /// Is the call over? Then there is nothing to interrupt any more.
    fn has_ended(&self) -> bool;
}

/// Makes running steps ask whether they have to stop.
pub(crate) trait Interrupter: Sync {
    /// The call was cancelled while a step of it is in progress: the interrupter has the step ask [`is_cancelled`], again and again until
    /// the call [has ended](Interruptible::has_ended).
    fn interrupt(&'static self, call: Arc<dyn Interruptible>);
}
