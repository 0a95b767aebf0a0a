//! Panics that must not get past us: those of foreign code (wakers, destructors, subscribers), which are swallowed, and those of a
//! call, which become its result.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

/// Runs code and returns its panic as a value.
///
/// Unwind safety is asserted: what has panicked is dropped by the caller, and not used again.
#[inline]
pub(crate) fn catch<R>(code: impl FnOnce() -> R) -> thread::Result<R> {
    catch_unwind(AssertUnwindSafe(code))
}

/// Runs foreign code (a waker, a destructor) and swallows its panic, so that the clean-up after it always runs.
pub(crate) fn ignore_panic(code: impl FnOnce()) {
    drop_payload(catch(code));
}

/// Drops the payload of a panic. The payload's destructor may panic too; a payload that does so is leaked.
pub(crate) fn drop_payload(outcome: thread::Result<()>) {
    if let Err(payload) = outcome
        && let Err(another) = catch(|| drop(payload))
    {
        mem::forget(another);
    }
}
