//! [`with_room`]: runs a job with enough stack. A host function may run jobs, and a job may run others while it waits, so a job may
//! begin on a guest's small stack, or deep down on the thread's own.
//!
//! Nothing here asks where a stack ends, because that cannot be known of a fiber, least of all of one that belongs to a store of the user's.
//! Instead, a closure, which never changes stacks, begins a [scope](StackScope), and jobs inside it may use the first [`SCOPE`] bytes of
//! stack from there. A job inside a step that is in no scope, beyond those bytes, or on another stack, gets a new stack.

use crate::step::interrupt::is_in_step;
use crate::sync::const_thread_local;
use std::cell::Cell;
use std::hint::black_box;
use std::ptr;

/// Can a job begin on a guest's stack, and have a stack of its own?
const HAS_GUESTS: bool = cfg!(all(feature = "wasm", not(wasm_jobs_loom)));

/// How many bytes of stack nested jobs may use, from the beginning of their scope. Without guests, half of what Rust gives a thread by
/// default.
const SCOPE: usize = if HAS_GUESTS { 256 * 1024 } else { 1024 * 1024 };

/// The size of a new stack, in bytes: what Rust gives a thread by default.
#[cfg(feature = "wasm")]
const STACK: usize = 2 * 1024 * 1024;

const_thread_local! {
    /// The address at which this thread's innermost scope begins; zero outside of any.
    static START: Cell<usize> = Cell::new(0);
}

/// A scope, or the absence of one. Dropping this restores the scope before it.
#[must_use]
pub(crate) struct StackScope {
    outer: usize,
}

impl StackScope {
    /// Begins a scope here, unless this is inside of one already.
    #[inline]
    pub(crate) fn begin() -> Self {
        let (here, start) = (stack_address(), START.with(Cell::get));
        let is_inside = if HAS_GUESTS { is_within(start, here) } else { start != 0 };
        Self::from(if is_inside { start } else { here })
    }

    /// Leaves the scope, if there is one, until this is dropped: what follows may be on a guest's stack.
    #[inline]
    pub(crate) fn end() -> Self {
        if HAS_GUESTS { Self::from(0) } else { Self::begin() }
    }

    fn from(start: usize) -> Self {
        Self { outer: START.with(|place| place.replace(start)) }
    }
}

impl Drop for StackScope {
    fn drop(&mut self) {
        START.with(|start| start.set(self.outer));
    }
}

/// Runs a job with enough stack: on this one, or on a new one.
///
/// # Panics
///
/// If there is no memory for a new stack.
#[inline]
pub(crate) fn with_room<R>(job: impl FnOnce() -> R) -> R {
    if !is_in_step() || is_within(START.with(Cell::get), stack_address()) {
        job()
    } else {
        on_a_new_stack(job)
    }
}

/// Is there enough stack for another job? Without guests, where none gets a new stack, a worker that waits helps only while there is.
#[cfg(feature = "rayon")]
#[inline]
pub(crate) fn has_room() -> bool {
    let start = START.with(Cell::get);
    HAS_GUESTS || start == 0 || is_within(start, stack_address())
}

/// Is `here` in the scope that begins at `start`? Stacks grow towards lower addresses. An address on another stack is out of range.
#[inline]
fn is_within(start: usize, here: usize) -> bool {
    start.wrapping_sub(here) < SCOPE
}

#[cfg(all(feature = "wasm", not(wasm_jobs_loom)))]
#[cold]
fn on_a_new_stack<R>(job: impl FnOnce() -> R) -> R {
    stacker::grow(STACK, job)
}

/// Without guests there are no small stacks, so the thread's own is enough. In a model, a thread's stack is loom's.
#[cfg(not(all(feature = "wasm", not(wasm_jobs_loom))))]
fn on_a_new_stack<R>(job: impl FnOnce() -> R) -> R {
    job()
}

#[inline]
fn stack_address() -> usize {
    let here = 0_u8;
    ptr::from_ref(black_box(&here)).addr()
}
