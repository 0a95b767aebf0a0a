//! placeholder

mod error;
mod future;
#[cfg(feature = "wasm")]
mod guest;
mod job;
#[cfg(any(feature = "wasm", wasm_jobs_loom))]
#[cfg_attr(not(wasm_jobs_loom), expect(unreachable_pub, reason = "public for the models alone"))]
mod lease;
mod pool;
mod runner;
mod state;
mod sync;
mod task;

#[cfg(feature = "wasm")]
pub use error::Mismatch;
pub use error::{Error, Panic};
pub use future::{Future, YieldNow, yield_now};
#[cfg(feature = "wasm")]
pub use guest::{EngineOptions, Func, Instance, StoreGuard, Trap, add_yield, engine};
pub use job::JobHandle;
#[cfg(feature = "rayon")]
pub use pool::RayonGlobal;
pub use pool::{Job, JobPool};
pub use runner::{FutureRunner, Step};
#[cfg(feature = "wasm")]
pub use wasmtime;

/// What the loom models need of the private parts.
#[cfg(wasm_jobs_loom)]
#[doc(hidden)]
pub mod model {
    pub use crate::lease::{Lease, Leased};
}
