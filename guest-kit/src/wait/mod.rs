//! Yielding and sleeping, by the functions that a target has. Each file is one kind of target, and has the same two functions.

#[cfg(not(target_family = "wasm"))]
#[path = "native.rs"]
mod target;

#[cfg(all(target_family = "wasm", feature = "component"))]
#[path = "component.rs"]
mod target;

#[cfg(all(target_family = "wasm", not(feature = "component"), not(target_os = "wasi")))]
#[path = "module.rs"]
mod target;

#[cfg(all(
    target_os = "wasi",
    not(any(feature = "component", target_env = "p2", target_env = "p3"))
))]
#[path = "preview1.rs"]
mod target;

#[cfg(all(target_os = "wasi", not(feature = "component"), target_env = "p2"))]
#[path = "preview2.rs"]
mod target;

#[cfg(all(target_os = "wasi", not(feature = "component"), target_env = "p3"))]
#[path = "preview3.rs"]
mod target;

pub(crate) use target::{sleep, yield_now};
