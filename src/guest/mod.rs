//! The guest layer: turns the exports of a wasm instance into the work of the call layer's futures.
//!
//! An [`Engine`](wasmtime::Engine) that can suspend comes from `engine`; an [`Instance`] is a guest in its sandbox; a
//! [`Func`] is an export of it, looked up and checked; `fiber` makes the work of a call out of these; a [`Trap`] is how
//! a guest fails; a [`Slice`] is how much it may do at a time.

mod engine;
mod fiber;
mod func;
mod instance;
mod slice;
mod trap;
#[cfg(feature = "wasi")]
pub mod wasi;

pub use engine::{EngineOptions, engine};
pub use fiber::add_yield;
pub use func::Func;
pub use instance::{Instance, StoreGuard};
pub use slice::Slice;
pub use trap::Trap;
