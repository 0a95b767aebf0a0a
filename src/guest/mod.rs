//! The guest layer: turns the exports of a wasm instance into the work of the call layer's futures.
//!
//! In the order of a call: `engine` makes engines whose guests can suspend; an `instance` makes a `guest` from its `origin`, and keeps it at
//! `home` between calls, `reset` replaces it, and `usage` is what it may use and has used; a `func` is an `export` of the guest, looked up and checked; `fiber` makes a future of a
//! claimed guest and an export; `running` is that call from its first step to its end; `trap` says how a call failed, and `poison` that it
//! left the guest half-way.
//!
//! An `instance_pool` has instances for many callers, and its `lender` lends them; a `recipe` is what an instance keeps for all of its guests.
//!
//! `limit` bounds what a guest may do in a step, in a call and in all. `store` gives access to a guest between its calls. `par_map`
//! makes many calls on several instances: `inputs` deals out their inputs, and `par_map_job` collects their results. `wrapper` is
//! what the macro's code calls, `types` puts types into words, `module_name` names a module in messages, `stack_pointer` resets that of a guest, and
//! `wasi` is WASI.
//!
//! `checkpoint` saves guests between two calls as data, and `freeze` saves calls that are suspended. `waiting` defines the host functions of this library in which a
//! guest waits, and a `host_wait` is such a wait. A guest whose store was dropped, and that is to get a new one, is `without_store`.
//!
//! `concurrent` runs the async functions of a component, and `apart` such a call inside another one's.

#[cfg(feature = "wasi-p3-preview")]
pub(crate) mod apart;
#[cfg(feature = "checkpoint")]
pub(crate) mod checkpoint;
#[cfg(feature = "wasi-p3-preview")]
pub(crate) mod concurrent;
pub(crate) mod engine;
pub(crate) mod export;
pub(crate) mod fiber;
#[cfg(feature = "freeze")]
pub(crate) mod freeze;
pub(crate) mod func;
#[expect(clippy::module_inception, reason = "the layer is named after it")]
pub(crate) mod guest;
#[cfg(feature = "checkpoint")]
pub(crate) mod half_way;
pub(crate) mod home;
pub(crate) mod host_wait;
pub(crate) mod inputs;
pub(crate) mod instance;
pub(crate) mod instance_pool;
pub mod kit;
mod lender;
pub(crate) mod limit;
pub(crate) mod linked;
pub(crate) mod loan;
pub(crate) mod module_name;
pub(crate) mod origin;
pub(crate) mod par_map;
pub(crate) mod par_map_job;
pub(crate) mod poison;
mod pool_calls;
pub(crate) mod pooled_instance;
#[cfg(feature = "prepare")]
pub(crate) mod prepared;
pub(crate) mod recipe;
mod reset;
pub(crate) mod running;
pub(crate) mod stack_pointer;
pub(crate) mod store;
pub(crate) mod trap;
mod trap_as_value;
pub(crate) mod types;
mod usage;
pub(crate) mod waiting;
#[cfg(feature = "wasi")]
pub mod wasi;
#[cfg(feature = "checkpoint")]
pub(crate) mod without_store;
#[cfg(feature = "macros")]
pub(crate) mod wrapper;

#[cfg(feature = "checkpoint")]
pub use checkpoint::checkpoint::{Checkpoint, CheckpointSize};
#[cfg(feature = "checkpoint")]
pub use checkpoint::codec::RefCodec;
#[cfg(feature = "checkpoint")]
pub use checkpoint::host_state::HostState;
#[cfg(feature = "freeze")]
pub use checkpoint::value::Value as FrozenValue;
pub use engine::{EngineOptions, engine, request_yields};
pub use fiber::add_yield;
#[cfg(feature = "freeze")]
pub use freeze::frozen::Frozen;
#[cfg(feature = "freeze")]
pub use freeze::lines::SourceLocation;
#[cfg(feature = "freeze")]
pub use freeze::looking::{FrozenFrame, FrozenWait};
#[cfg(feature = "freeze")]
pub use freeze::output::CallOutput;
#[cfg(feature = "freeze")]
pub use freeze::plain::{ResumableParams, ResumableResults};
#[cfg(feature = "freeze")]
pub use freeze::resumable::func_wrap_resumable;
pub use func::Func;
pub use instance::Instance;
pub use instance_pool::{InstancePool, PoolStats};
pub use limit::options::InstanceOptions;
pub use limit::slice::Slice;
pub use limit::stops::Stops;
pub use linked::Linked;
pub use par_map::{Instances, ParMap};
pub use par_map_job::ParMapJob;
pub use pooled_instance::{OnReturn, PooledInstance};
#[cfg(feature = "prepare")]
pub use prepared::module::Prepared;
#[cfg(feature = "prepare")]
pub use prepared::options::PrepareOptions;
#[cfg(feature = "prepare")]
pub use prepared::pre::PreparedPre;
#[cfg(feature = "prepare")]
pub use prepared::prepare::{prepare, prepare_with};
pub use store::global::GlobalType;
pub use store::guard::StoreGuard;
pub use store::memory::MemoryGuard;
pub use store::owned_ref::OwnedRef;
pub use store::plain::Plain;
pub use store::table::TableGuard;
#[cfg(feature = "macros")]
pub use wrapper::{Embedded, GuestModule, ModuleSource};
