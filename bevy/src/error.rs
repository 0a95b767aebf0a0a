//! [`WasmModuleError`] and [`ScriptError`]: what can go wrong with a module, and with a script.

use bevy_asset::AssetLoadError;
use std::sync::Arc;
use wasm_jobs::wasmtime;

/// Why bytes are no [`WasmModule`](crate::WasmModule). Each message begins with the name of the module, which is the path of an asset.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WasmModuleError {
    /// The file cannot be read.
    #[error("{name}: cannot be read: {source}")]
    Read {
        /// The module's name.
        name: Arc<str>,
        /// The system's error.
        source: std::io::Error,
    },

    /// The bytes are neither the binary nor the text format of wasm.
    #[error(
        "{name}: its {bytes} bytes are no WebAssembly: they begin neither with `\\0asm` nor with a parenthesis"
    )]
    NotWasm {
        /// The module's name.
        name: Arc<str>,
        /// How many bytes there are.
        bytes: usize,
    },

    /// The text format has an error.
    #[error("{name}: {source}")]
    Text {
        /// The module's name.
        name: Arc<str>,
        /// Where the error is.
        source: wat::Error,
    },

    /// The binary is damaged, or the module is a component or uses a proposal that the engine does not have.
    #[error("{name}: wasmtime refuses the module: {source:#}")]
    Invalid {
        /// The module's name.
        name: Arc<str>,
        /// wasmtime's error.
        source: wasmtime::Error,
    },

    /// The module imports something that no host function provides, or that has another type.
    #[error("{name}: {source:#}; define the import in `WasmJobsPlugin::with_linker`")]
    Imports {
        /// The module's name.
        name: Arc<str>,
        /// wasmtime's error, which names the import.
        source: wasmtime::Error,
    },
}

/// Why a script failed, other than by a trap.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// The module could not be loaded. The source names its path; for a file that is no module, a [`WasmModuleError`] is inside.
    #[error(transparent)]
    Load(Arc<AssetLoadError>),

    /// The module exports nothing under the name of the entry.
    #[error("{module}: no export {entry:?}, which is the entry of the script; it has: {}", list(.has))]
    NoEntry {
        /// The module's name.
        module: Arc<str>,
        /// The entry that the script names.
        entry: String,
        /// The exports that could be entries.
        has: Vec<String>,
    },

    /// The export is no function, or has parameters or results.
    #[error(
        "{module}: export {entry:?} cannot be the entry of a script: it has to be a function without parameters and results"
    )]
    EntryType {
        /// The module's name.
        module: Arc<str>,
        /// The entry that the script names.
        entry: String,
    },

    /// The guest could not be made, or its call failed: for example by a timeout or an error of a host function.
    #[error("{module}, entry {entry:?}: {source}")]
    Call {
        /// The module's name.
        module: Arc<str>,
        /// The entry of the script.
        entry: String,
        /// What went wrong.
        source: wasm_jobs::Error,
    },

    /// The memory of the old guest does not fit into that of the new one: see [`ReloadPolicy::KeepMemory`](crate::ReloadPolicy::KeepMemory).
    #[error("{module}: the memory of {bytes} bytes cannot be kept over the reload: {why}")]
    KeepMemory {
        /// The module's name.
        module: Arc<str>,
        /// How large the memory of the old guest is.
        bytes: usize,
        /// Why it does not fit.
        why: wasm_jobs::Error,
    },
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
