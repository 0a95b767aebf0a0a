//! Enough stack for what runs inside a step. A host function may run jobs, and a job may run others while it waits; each of them
//! could be on a guest's small stack, or deep down on the thread's own.
//!
//! Nothing here asks where a stack ends, because nobody can tell for a fiber, least of all for one of the user's own store. Instead,
//! code that nests begins a *scope*, the address at which it stands, and what nests inside may go on there for [`SCOPE`] bytes. Beyond
//! that, or on another stack, it gets a stack of its own.

use crate::step::interrupt::is_in_step;
use crate::sync::const_thread_local;
use std::cell::Cell;
use std::hint::black_box;
use std::ptr;

/// How many bytes nested code may take of the stack on which its scope began.
const SCOPE: usize = 256 * 1024;

/// The size of a new stack: as large as Rust gives a thread.
#[cfg(feature = "wasm")]
const STACK: usize = 2 * 1024 * 1024;

const_thread_local! {
    /// Where the innermost scope of this thread began; zero without one.
    static SCOPE_START: Cell<usize> = Cell::new(0);
}

/// Restores the scope around this one.
struct Outer(usize);

impl Drop for Outer {
    fn drop(&mut self) {
        SCOPE_START.with(|start| start.set(self.0));
    }
}

/// Runs code that may nest, with at least `SCOPE` bytes of stack if the outermost one has that much.
///
/// # Panics
///
/// If there is no memory for a stack.
#[inline]
pub(crate) fn with_room<R>(code: impl FnOnce() -> R) -> R {
    let here = stack_address();
    let start = SCOPE_START.with(Cell::get);
    if start == 0 && !is_in_step() {
        let _outer = Outer(SCOPE_START.with(|start| start.replace(here)));
        return code();
    }
    // Stacks grow towards lower addresses. On another stack than the scope's, the difference is out of range.
    if start != 0 && start.wrapping_sub(here) < SCOPE { code() } else { on_a_new_stack(code) }
}

#[cfg(all(feature = "wasm", not(wasm_jobs_loom)))]
#[cold]
fn on_a_new_stack<R>(code: impl FnOnce() -> R) -> R {
    stacker::grow(STACK, || {
        let _outer = Outer(SCOPE_START.with(|start| start.replace(stack_address())));
        code()
    })
}

/// Without guests there are no small stacks, and the thread's own has to do; a model's threads have stacks of loom's.
#[cfg(not(all(feature = "wasm", not(wasm_jobs_loom))))]
fn on_a_new_stack<R>(code: impl FnOnce() -> R) -> R {
    code()
}

#[inline]
fn stack_address() -> usize {
    let here = 0_u8;
    ptr::from_ref(black_box(&here)).addr()
}
