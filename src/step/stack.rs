//! Enough stack for what runs inside a step. A host function may run jobs, and a job may run others while it waits; each of them
//! could be on a guest's small stack, or deep down on the thread's own.
//!
//! Nothing here asks where a stack ends, because nobody can tell for a fiber, least of all for one of the user's own store. Instead, a
//! closure, which stays on the stack that it is on, begins a [scope](StackScope) there, and jobs that are run inside may use [`SCOPE`] bytes
//! from its beginning on. Beyond that, inside the step of a call, or on another stack, a job gets a stack of its own.

use crate::step::interrupt::is_in_step;
use crate::sync::const_thread_local;
use std::cell::Cell;
use std::hint::black_box;
use std::ptr;

/// How many bytes of a stack nested jobs may take, from where their scope begins.
const SCOPE: usize = 256 * 1024;

/// The size of a new stack: as large as Rust gives a thread.
#[cfg(feature = "wasm")]
const STACK: usize = 2 * 1024 * 1024;

const_thread_local! {
    /// Where the innermost scope of this thread begins; zero outside of any.
    static START: Cell<usize> = Cell::new(0);
}

/// The scope that was left for another one, or for none. Dropping this goes back to it.
#[must_use]
pub(crate) struct StackScope {
    outer: usize,
}

impl StackScope {
    /// A scope begins here, unless this is inside of one already.
    #[inline]
    pub(crate) fn begin() -> Self {
        let (here, start) = (stack_address(), START.with(Cell::get));
        Self::from(if is_within(start, here) { start } else { here })
    }

    /// What follows is in no scope.
    #[inline]
    pub(crate) fn end() -> Self {
        Self::from(0)
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

/// Runs a job with enough of a stack.
///
/// # Panics
///
/// If there is no memory for a stack.
#[inline]
pub(crate) fn with_room<R>(job: impl FnOnce() -> R) -> R {
    if !is_in_step() || is_within(START.with(Cell::get), stack_address()) {
        job()
    } else {
        on_a_new_stack(job)
    }
}

/// Is an address in the scope that begins at `start`? Stacks grow towards lower addresses, and on another stack the difference is out of
/// range.
#[inline]
fn is_within(start: usize, here: usize) -> bool {
    start.wrapping_sub(here) < SCOPE
}

#[cfg(all(feature = "wasm", not(wasm_jobs_loom)))]
#[cold]
fn on_a_new_stack<R>(job: impl FnOnce() -> R) -> R {
    stacker::grow(STACK, job)
}

/// Without guests there are no small stacks, and the thread's own has to do. The threads of a model have stacks of loom's.
#[cfg(not(all(feature = "wasm", not(wasm_jobs_loom))))]
fn on_a_new_stack<R>(job: impl FnOnce() -> R) -> R {
    job()
}

#[inline]
fn stack_address() -> usize {
    let here = 0_u8;
    ptr::from_ref(black_box(&here)).addr()
}
