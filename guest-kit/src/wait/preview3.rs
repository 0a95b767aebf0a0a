//! WASI 0.3: `thread.yield`, a function that the canonical ABI itself has, and the kit's own interface to sleep.

use crate::component_type;

mod thread {
    #[link(wasm_import_module = "$root")]
    extern "C" {
        #[link_name = "[thread-yield]"]
        pub(super) fn yield_now() -> i32;
    }
}

mod host {
    #[link(wasm_import_module = "wasm-jobs:guest/host@0.1.0")]
    extern "C" {
        pub(super) fn sleep(nanoseconds: u64);
    }
}

pub(crate) fn yield_now() {
    // What it returns is whether the task was cancelled by another component, which only a task that allows it can be.
    // SAFETY: The function takes nothing, and touches nothing of the guest's memory.
    let _ = unsafe { thread::yield_now() };
}

pub(crate) fn sleep(nanoseconds: u64) {
    component_type::keep();
    // SAFETY: The function takes a number, and touches nothing of the guest's memory.
    unsafe { host::sleep(nanoseconds) }
}
