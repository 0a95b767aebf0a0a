//! The guest layer: turns the exports of a wasm instance into the work of the call layer's futures.
//!
//! An [`Engine`](wasmtime::Engine) that can suspend comes from `engine`; an [`Instance`] is the home of a `guest`; a
//! [`Func`] is an export of it, looked up and checked; `fiber` makes the work of a call out of these; a [`Trap`] is how
//! a guest fails. Between calls, a [`StoreGuard`] has the guest, with its `memory` and its `table`.
//!
//! How much a guest may do at a time is a [`Slice`], and how much in all is in [`InstanceOptions`]; `control` holds it to
//! that, with a `ticker` that interrupts it and a `limiter` of what it may have.

mod control;
mod engine;
mod fiber;
mod func;
#[expect(clippy::module_inception, reason = "the layer is named after it")]
mod guest;
mod instance;
mod limiter;
mod memory;
mod options;
mod par_map;
mod slice;
mod store;
mod table;
mod ticker;
mod trap;
#[cfg(feature = "wasi")]
pub mod wasi;
#[cfg(feature = "macros")]
pub(crate) mod wrapper;

pub use engine::{EngineOptions, engine};
pub use fiber::add_yield;
pub use func::Func;
pub use instance::Instance;
pub use memory::{MemoryGuard, Plain};
pub use options::{InstanceOptions, Timeout};
pub use par_map::{Instances, ParMap, ParMapped};
pub use slice::Slice;
pub use store::{GlobalType, StoreGuard};
pub use table::TableGuard;
pub use trap::Trap;
#[cfg(feature = "macros")]
pub use wrapper::{Embedded, ModuleSource};
