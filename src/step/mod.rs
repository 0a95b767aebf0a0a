//! What a thread knows of the step that it is in: when the step has to stop, how it is stopped, and how much stack is left for jobs inside it.

#[cfg_attr(not(wasm_jobs_loom), expect(unreachable_pub, reason = "public for the models alone"))]
pub(crate) mod interrupt;
pub(crate) mod stack;
#[cfg(any(feature = "wasm", wasm_jobs_loom))]
#[cfg_attr(not(wasm_jobs_loom), expect(unreachable_pub, reason = "public for the models alone"))]
pub(crate) mod stop;
