//! One call, from its arguments to its result: its steps, and the right to take them. Nothing here knows pools or wasm.

mod awaited;
pub(crate) mod future;
pub(crate) mod into_send;
#[cfg(any(feature = "wasm", wasm_jobs_loom))]
#[cfg_attr(not(wasm_jobs_loom), expect(unreachable_pub, reason = "public for the models alone"))]
pub(crate) mod lease;
pub(crate) mod observe;
pub(crate) mod owner;
pub(crate) mod runner;
pub(crate) mod spare;
pub(crate) mod state;
pub(crate) mod step;
pub(crate) mod task;
pub(crate) mod turn;
pub(crate) mod work;
pub(crate) mod yield_now;
