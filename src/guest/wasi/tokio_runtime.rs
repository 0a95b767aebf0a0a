//! The tokio runtime that each step enters once a guest may use files. In WASI 0.3, wasmtime-wasi spawns the reading of files on the runtime that
//! the thread is in. It does not start its own, as it does for the other versions.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use wasmtime_wasi::runtime::with_ambient_tokio_runtime;

/// Whether a guest of this process may use files. Until then, no step enters a runtime, because that starts wasmtime-wasi's threads.
static IS_NEEDED: AtomicBool = AtomicBool::new(false);

/// Makes all later steps of components with async functions enter a runtime. Called before a guest gets a directory.
pub(crate) fn set_needed() {
    // Relaxed: whatever gives the guest to another thread orders this before the guest's steps.
    IS_NEEDED.store(true, Relaxed);
}

/// Runs `step` in the thread's tokio runtime, or else in wasmtime-wasi's own, if a guest may use files.
pub(crate) fn enter<R>(step: impl FnOnce() -> R) -> R {
    if IS_NEEDED.load(Relaxed) { with_ambient_tokio_runtime(step) } else { step() }
}
