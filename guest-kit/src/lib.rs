//! The kit for guests of the library wasm-jobs: to yield, to sleep, and to tell the host why the guest panics.
//!
//! ```no_run
//! use std::time::Duration;
//! use wasm_jobs_guest::{sleep, yield_now};
//!
//! #[unsafe(no_mangle)] // before Rust 1.82: `#[no_mangle]`
//! pub extern "C" fn watch(hours: u32) {
//!     for _ in 0..hours {
//!         sleep(Duration::from_secs(3600)); // the call waits, and the host runs others
//!         for _ in 0..100 {
//!             look_around();
//!             yield_now(); // the call's step ends here
//!         }
//!     }
//! }
//! # fn look_around() {}
//! ```
//!
//! # What it imports
//!
//! | target | [`yield_now`] | [`sleep`] | the message of a panic |
//! |---|---|---|---|
//! | `wasm32-unknown-unknown` | `env.yield` | `env.sleep` | `env.panic` |
//! | `wasm32-wasip1`, or `wasm32-wasi` | `sched_yield` | `poll_oneoff` | `env.panic` |
//! | `wasm32-wasip2` | `wasi:io/poll` | `wasi:io/poll` | `wasm-jobs:guest/host` |
//! | `wasm32-wasip3` | `thread.yield` | `wasm-jobs:guest/host` | `wasm-jobs:guest/host` |
//! | any, with the feature `component` | `wasm-jobs:guest/host` | `wasm-jobs:guest/host` | `wasm-jobs:guest/host` |
//!
//! Take the feature `component` if a tool makes a component of a module for another target, or if a guest for `wasm32-wasip3` yields in
//! functions that are not async: there, `thread.yield` returns at once.
//!
//! A guest imports only what it uses. On a native target, [`yield_now`] and [`sleep`] call `std::thread`'s, so that the guest's unit tests run
//! under `cargo test`.
//!
//! The host defines `env` by `guest_kit::add_to_linker`, `wasm-jobs:guest/host` by `guest_kit::add_to_component_linker`, and WASI by the
//! functions of its module `wasi`.
//!
//! # Panics
//!
//! With the feature `std`, [`set_panic_hook`] has the host told of each panic. With the feature `panic-handler`, for guests without std, this
//! crate has the guest's `#[panic_handler]`. Either way the call fails with a trap that has the message. The guest formats it on its stack, and
//! cuts it off after 1024 bytes. [`panic_with`] fails the call in the same way, but runs no panic hook and formats nothing. The host keeps 4096
//! bytes of its message.
//!
//! # Cancelling
//!
//! There is no way to ask whether the call was cancelled: a cancelled call ends where it stands, and its guest runs no further.

#![no_std]
#![warn(missing_docs, unreachable_pub, unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

#[cfg(any(feature = "std", not(target_family = "wasm")))]
extern crate std;

#[cfg(all(
    target_family = "wasm",
    any(target_env = "p2", target_env = "p3", feature = "component")
))]
mod component_type;
mod panic;
#[cfg(any(test, all(target_family = "wasm", any(feature = "std", feature = "panic-handler"))))]
mod text;
mod wait;

pub use panic::panic_with;
#[cfg(feature = "std")]
pub use panic::set_panic_hook;

use core::time::Duration;

/// Ends the step of the call. The guest goes on here in the next step.
pub fn yield_now() {
    wait::yield_now();
}

/// Waits, without using the CPU. If `duration` is zero, the call yields.
///
/// It is the host's clock that goes by, which may stand still, or run faster than the time outside.
pub fn sleep(duration: Duration) {
    // 292 years fit. Twice as many would fit into 64 bits, but not when the host adds them to its time.
    let nanoseconds = i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    wait::sleep(nanoseconds as u64);
}
