//! Panics: their messages go to the host. A formatted message is put together in a `Text` (next file: `text`).

/// Ends the call: it fails with a trap that has this message.
///
/// It runs no panic hook and formats nothing: the code that formats the message of a panic is most of a small guest. The host keeps 4096 bytes
/// of the message.
pub fn panic_with(message: &str) -> ! {
    tell(message)
}

/// Has the host told of each panic: the call fails with a trap that has the panic's message. Call it once, before the first panic.
///
/// It replaces the hook that prints the message, as [`std::panic::set_hook`] does. On native targets it does nothing.
///
/// The guest formats the message on its stack, and cuts it off after 1024 bytes.
///
/// ```no_run
/// use std::time::Duration;
/// use wasm_jobs_guest::{set_panic_hook, sleep, yield_now};
///
/// #[unsafe(no_mangle)] // before Rust 1.82: `#[no_mangle]`
/// pub extern "C" fn watch(hours: u32) {
///     set_panic_hook();
///     for _ in 0..hours {
///         sleep(Duration::from_secs(3600));
///         look_around();
///         yield_now();
///     }
/// }
/// # fn look_around() {}
/// ```
#[cfg(feature = "std")]
pub fn set_panic_hook() {
    #[cfg(target_family = "wasm")]
    std::panic::set_hook(std::boxed::Box::new(|panic| tell_formatted(format_args!("{}", panic))));
}

#[cfg(all(feature = "panic-handler", not(feature = "std"), target_family = "wasm"))]
#[panic_handler]
fn handle(panic: &core::panic::PanicInfo<'_>) -> ! {
    tell_formatted(format_args!("{}", panic))
}

#[cfg(all(target_family = "wasm", any(feature = "std", feature = "panic-handler")))]
fn tell_formatted(message: core::fmt::Arguments<'_>) -> ! {
    let mut text = crate::text::Text::new();
    // What does not fit is left out.
    let _ = core::fmt::write(&mut text, message);
    tell(text.as_str())
}

#[cfg(not(target_family = "wasm"))]
fn tell(message: &str) -> ! {
    std::panic!("{}", message)
}

#[cfg(target_family = "wasm")]
fn tell(message: &str) -> ! {
    #[cfg(any(target_env = "p2", target_env = "p3", feature = "component"))]
    crate::component_type::keep();
    // SAFETY: The host reads so many bytes at this address, and they are there. It never returns.
    unsafe { host::panic(message.as_ptr(), message.len()) }
}

/// A component imports the function from an interface, and a module from `env`.
#[cfg(target_family = "wasm")]
mod host {
    #[cfg_attr(
        any(target_env = "p2", target_env = "p3", feature = "component"),
        link(wasm_import_module = "wasm-jobs:guest/host@0.1.0")
    )]
    #[cfg_attr(
        not(any(target_env = "p2", target_env = "p3", feature = "component")),
        link(wasm_import_module = "env")
    )]
    extern "C" {
        pub(super) fn panic(message: *const u8, bytes: usize) -> !;
    }
}
