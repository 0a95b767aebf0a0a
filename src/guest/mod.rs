//! The guest layer: turns the exports of a wasm instance into the work of the call layer's futures.
//!
//! In the order of a call: an `engine` makes guests that can suspend; an `instance` is made of an `origin`, and is the `home` of a
//! `guest`; a `func` is an `export` of it, looked up and checked; `fiber` makes a future of a claimed guest and an export, and
//! `running` is that call from its first step to its end; `trap` tells how it failed, and `poison` that it did.
//!
//! `limit` holds a guest to what it may do in a step, in a call and in all. `store` gives access to a guest between its
//! calls. `par_map` makes many calls on several instances, `wrapper` is what the macro's code calls, `types` puts types into words.

pub(crate) mod engine;
pub(crate) mod export;
pub(crate) mod fiber;
pub(crate) mod func;
#[expect(clippy::module_inception, reason = "the layer is named after it")]
pub(crate) mod guest;
pub(crate) mod home;
pub(crate) mod inputs;
pub(crate) mod instance;
pub(crate) mod limit;
pub(crate) mod origin;
pub(crate) mod par_map;
pub(crate) mod par_map_job;
pub(crate) mod poison;
pub(crate) mod running;
pub(crate) mod stack_pointer;
pub(crate) mod store;
pub(crate) mod trap;
pub(crate) mod types;
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
pub use par_map::{Instances, ParMap};
pub use par_map_job::ParMapJob;
pub use store::global::GlobalType;
pub use store::guard::StoreGuard;
pub use store::memory::{MemoryGuard, Plain};
pub use store::owned_ref::OwnedRef;
pub use store::table::TableGuard;
#[cfg(feature = "macros")]
pub use wrapper::{Embedded, ModuleSource};
