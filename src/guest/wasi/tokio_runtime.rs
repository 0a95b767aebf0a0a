//! The tokio runtime that each step enters once a guest may use files. In WASI 0.3, wasmtime-wasi spawns the reading of files on the runtime that
//! the thread is in. It does not start its own, as it does for the other versions.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use wasmtime_wasi::runtime::with_ambient_tokio_runtime;

/// Whether a component of this process may import the files of WASI 0.3.
static ARE_FILES_LINKED: AtomicBool = AtomicBool::new(false);

/// Whether a guest of this process may have a directory.
static HAS_DIRECTORY: AtomicBool = AtomicBool::new(false);

// Relaxed: whatever gives the guest to another thread orders these before the guest's steps.

/// Called when a linker gets the files of WASI 0.3.
pub(crate) fn files_are_linked() {
    ARE_FILES_LINKED.store(true, Relaxed);
}

/// Called before a guest gets a directory.
pub(crate) fn has_directory() {
    HAS_DIRECTORY.store(true, Relaxed);
}

/// Runs `step` in the thread's tokio runtime, or else in wasmtime-wasi's own. Until a guest may use files, it enters none, because that starts
/// wasmtime-wasi's threads.
pub(crate) fn enter<R>(step: impl FnOnce() -> R) -> R {
    if HAS_DIRECTORY.load(Relaxed) && ARE_FILES_LINKED.load(Relaxed) {
        with_ambient_tokio_runtime(step)
    } else {
        step()
    }
}
