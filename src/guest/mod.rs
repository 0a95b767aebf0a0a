//! The guest layer: turns the exports of a wasm instance into the work of the call layer's futures.
//!
//! An [`Engine`](wasmtime::Engine) that can suspend comes from `engine`; an [`Instance`] is the home of a `guest`; a
//! [`Func`] is an export of it, looked up and checked; `fiber` makes the work of a call out of these; a [`Trap`] is how
//! a guest fails. Between calls, a [`StoreGuard`] has the guest, with its `memory` and its `table`.
//!
//! How much a guest may do at a time is a [`Slice`], and how much in all is in [`InstanceOptions`]; `control` holds it to
//! that, with a `ticker` that interrupts it and a `limiter` of what it may have.

pub(crate) mod engine;
pub(crate) mod fiber;
pub(crate) mod func;
#[expect(clippy::module_inception, reason = "the layer is named after it")]
pub(crate) mod guest;
pub(crate) mod instance;
pub(crate) mod limit;
pub(crate) mod par_map;
pub(crate) mod store;
pub(crate) mod trap;
#[cfg(feature = "wasi")]
pub mod wasi;
#[cfg(feature = "macros")]
pub(crate) mod wrapper;

pub use engine::{EngineOptions, engine};
pub use fiber::add_yield;
pub use func::Func;
pub use instance::Instance;
pub use limit::options::InstanceOptions;
pub use limit::slice::Slice;
pub use par_map::{Instances, ParMap, ParMapJob};
pub use store::guard::{GlobalType, StoreGuard};
pub use store::memory::{MemoryGuard, Plain};
pub use store::table::TableGuard;
#[cfg(feature = "macros")]
pub use wrapper::{Embedded, ModuleSource};
