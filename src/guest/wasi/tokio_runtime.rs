//! The tokio runtime that the files of WASI 0.3 need in each step of a call: wasmtime-wasi spawns their reading and writing there, without
//! bringing a runtime of its own, as it does for the other versions of WASI.

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
