//! Where panics end. A panic of foreign code (a waker, a destructor, a subscriber) is swallowed; a panic of a call becomes its result.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

/// Runs code and returns its panic as a value.
///
/// Unwind safety is asserted: the caller drops what has panicked, and does not use it again.
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
