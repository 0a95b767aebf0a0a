//! A component without WASI: functions of the interface `wasm-jobs:guest/host`.

use crate::component_type;

mod host {
    #[link(wasm_import_module = "wasm-jobs:guest/host@0.1.0")]
    extern "C" {
        #[link_name = "yield-now"]
        pub(super) fn yield_now();
        pub(super) fn sleep(nanoseconds: u64);
    }
}

pub(crate) fn yield_now() {
    component_type::keep();
    // SAFETY: The host's function takes nothing, and touches nothing of the guest.
    unsafe { host::yield_now() }
}

pub(crate) fn sleep(nanoseconds: u64) {
    component_type::keep();
    // SAFETY: The host's function takes a number, and touches nothing of the guest.
    unsafe { host::sleep(nanoseconds) }
}
