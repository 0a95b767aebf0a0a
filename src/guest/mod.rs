//! The guest layer: turns the exports of a wasm instance into the work of the call layer's futures.
//!
//! An [`Engine`](wasmtime::Engine) that can suspend comes from `engine`; an [`Instance`] is a guest in its sandbox; a
//! [`Func`] is an export of it, looked up and checked; `fiber` makes the work of a call out of these; a [`Trap`] is how
//! a guest fails.
//!
//! How much a guest may do at a time is a [`Slice`], and how much in all is in [`InstanceOptions`]; `control` holds it to
//! that, with a `ticker` that interrupts it and a `limiter` of what it may have.

mod control;
mod engine;
mod fiber;
mod func;
mod instance;
mod limiter;
mod options;
mod par_map;
mod slice;
mod ticker;
mod trap;
#[cfg(feature = "wasi")]
pub mod wasi;

pub use engine::{EngineOptions, engine};
pub use fiber::add_yield;
pub use func::Func;
pub use instance::{Instance, StoreGuard};
pub use options::{InstanceOptions, Timeout};
pub use par_map::{Instances, ParMap, ParMapped};
pub use slice::Slice;
pub use trap::Trap;
