//! What travels with an entity has to be `Send` and `Sync`. The compiler checks these assertions.

use bevy_wasm_jobs::{
    AsyncComputeJobs, Script, ScriptBudget, ScriptCall, ScriptError, ScriptFailed, ScriptHost,
    ScriptLinker, ScriptTrapped, WasmJobsPlugin, WasmModule, WasmModuleError,
};

const fn travels<T: Send + Sync + 'static>() {}

const _: () = {
    travels::<AsyncComputeJobs>();
    travels::<Script>();
    travels::<ScriptBudget>();
    travels::<ScriptCall>();
    travels::<ScriptError>();
    travels::<ScriptFailed>();
    travels::<ScriptHost>();
    travels::<ScriptLinker>();
    travels::<ScriptTrapped>();
    travels::<WasmJobsPlugin>();
    travels::<WasmModule>();
    travels::<WasmModuleError>();
};
