//! What a thread knows of the step that it is in, by which work that would go on can be stopped: whose step it is, and so
//! whether its owner has given it up, and when it is to be over.
//!
//! The call layer cannot stop work that does not come back by itself. Work that can, as a guest's can at its next loop, asks
//! here whether it is to stop, and tells with [`on_cancel`] how to make it ask.

use crate::pool::Turn;
use crate::sync::const_thread_local;
use crate::task::quietly;
use std::cell::{Cell, RefCell};
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const_thread_local! {
    /// How many steps this thread is inside of. Host functions may step other calls.
    static DEPTH: Cell<u32> = Cell::new(0);
}

const_thread_local! {
    /// The lent call that is stepped at some depth.
    static LENT: RefCell<Option<(u32, Arc<dyn Turn>)>> = RefCell::new(None);
}

const_thread_local! {
    /// When steps at some depth are to be over.
    static ENDS: Cell<(u32, u64)> = Cell::new((0, NEVER));
}

/// No end of a step, which is otherwise in nanoseconds of [`alarm::now`](crate::alarm::now).
pub(crate) const NEVER: u64 = u64::MAX;

pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(NEVER - 1)
}

/// Is this thread inside a step of some call, and so perhaps on a guest's stack?
pub(crate) fn inside_a_step() -> bool {
    depth() > 0
}

/// How many steps this thread is inside of. Between two that are as deep, it does not change to a stack that it does not know.
pub(crate) fn depth() -> u32 {
    DEPTH.with(Cell::get)
}

/// Runs code of a call on this thread, marked as such. Unwind safety: what has panicked is dropped, and not used again.
#[inline]
pub(crate) fn enter<R>(code: impl FnOnce() -> R) -> std::thread::Result<R> {
    DEPTH.with(|depth| depth.set(depth.get() + 1));
    let outcome = catch_unwind(AssertUnwindSafe(code));
    DEPTH.with(|depth| depth.set(depth.get() - 1));
    outcome
}

/// Steps a lent call, whose steps do not panic.
pub(crate) fn stepping<R>(call: Arc<dyn Turn>, steps: impl FnOnce() -> R) -> R {
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

/// Takes a step that is to be over at this time, by [`alarm::now`](crate::alarm::now).
pub(crate) fn until<R>(ends: Duration, step: impl FnOnce() -> R) -> R {
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
pub(crate) fn step_ends() -> u64 {
    let (at, ends) = ENDS.with(Cell::get);
    if ends == NEVER || at != DEPTH.with(Cell::get) { NEVER } else { ends }
}

/// Of all that can make a step ask, the one that this call's steps heed.
pub(crate) type Interrupter = NonZeroU32;

static ON_CANCEL: OnceLock<fn(Arc<dyn Turn>)> = OnceLock::new();

/// Has this called when a call is given up during a step, to have the step ask whether it is, until the call has ended.
#[cfg(any(feature = "wasm", wasm_jobs_loom))]
pub(crate) fn on_cancel(interrupt: fn(Arc<dyn Turn>)) {
    ON_CANCEL.get_or_init(|| interrupt);
}

/// The call was given up, and a step of it is in progress.
pub(crate) fn interrupt(call: Arc<dyn Turn>) {
    if let Some(interrupt) = ON_CANCEL.get() {
        quietly(|| interrupt(call));
    }
}
