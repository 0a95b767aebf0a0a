//! Scripts in WebAssembly for Bevy.

mod call;
mod collect;
mod error;
mod events;
mod host;
mod load;
mod module;
mod plugin;
mod pool;
mod script;
mod tick;
mod time;

pub use call::ScriptCall;
pub use error::{ScriptError, WasmModuleError};
pub use events::{ScriptFailed, ScriptFinished, ScriptReloaded, ScriptTrapped};
pub use host::{EntityGone, ScriptHost};
pub use module::WasmModule;
pub use plugin::{ScriptLinker, WasmJobsPlugin, WasmJobsSystems};
pub use pool::AsyncComputeJobs;
pub use script::{ReloadPolicy, RunsIn, Script, ScriptOptions};
pub use tick::ScriptBudget;
pub use wasm_jobs;
