//! A module without WASI: functions of the module `env`.

mod env {
    #[link(wasm_import_module = "env")]
    extern "C" {
        #[link_name = "yield"]
        pub(super) fn yield_now();
        pub(super) fn sleep(nanoseconds: u64);
    }
}

pub(crate) fn yield_now() {
    // SAFETY: The host's function takes nothing, and touches nothing of the guest.
    unsafe { env::yield_now() }
}

pub(crate) fn sleep(nanoseconds: u64) {
    // SAFETY: The host's function takes a number, and touches nothing of the guest.
    unsafe { env::sleep(nanoseconds) }
}
