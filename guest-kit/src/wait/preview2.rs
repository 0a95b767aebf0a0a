//! WASI 0.2: `wasi:clocks/monotonic-clock` makes something to wait for, and `wasi:io/poll` waits for it. The signatures are those of the
//! canonical ABI.

use crate::component_type;

mod clock {
    #[link(wasm_import_module = "wasi:clocks/monotonic-clock@0.2.0")]
    extern "C" {
        #[link_name = "subscribe-duration"]
        pub(super) fn subscribe_duration(nanoseconds: u64) -> i32;
    }
}

mod io {
    #[link(wasm_import_module = "wasi:io/poll@0.2.0")]
    extern "C" {
        #[link_name = "[method]pollable.block"]
        pub(super) fn block(pollable: i32);
        #[link_name = "[resource-drop]pollable"]
        pub(super) fn drop(pollable: i32);
    }
}

/// A wait for no time yields.
pub(crate) fn yield_now() {
    sleep(0);
}

pub(crate) fn sleep(nanoseconds: u64) {
    component_type::keep();
    // SAFETY: The functions take numbers, and touch nothing of the guest's memory. The handle is that of the pollable that was just made, which
    // is dropped once, after its last use.
    unsafe {
        let pollable = clock::subscribe_duration(nanoseconds);
        io::block(pollable);
        io::drop(pollable);
    }
}
