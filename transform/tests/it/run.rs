//! Runs modules, for the other tests.

use wasm_jobs_transform::{Error, StateExport, Transformed, parse_export, transform};
use wasmtime::{Config, Engine, Instance, Module, Store};

/// The bytes of a module in the text format.
pub(crate) fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn transformed(text: &str) -> Transformed {
    transform(&wasm(text)).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn refused(text: &str) -> Error {
    transform(&wasm(text)).expect_err("it is to be refused")
}

pub(crate) fn engine() -> Engine {
    let mut config = Config::new();
    config.wasm_backtrace_max_frames(None);
    Engine::new(&config).unwrap()
}

/// Makes an instance of a module without imports.
pub(crate) fn instance(wasm: &[u8]) -> (Store<()>, Instance) {
    let engine = engine();
    let module = Module::new(&engine, wasm).unwrap_or_else(|error| panic!("{error:?}"));
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    (store, instance)
}

/// The names of a module's exports with the reserved prefix, but for the hash and the layout.
pub(crate) fn state_exports(wasm: &[u8]) -> Vec<StateExport> {
    let module = Module::new(&engine(), wasm).unwrap_or_else(|error| panic!("{error:?}"));
    let exports = module.exports().filter_map(|export| parse_export(export.name()));
    let is_state = |export: &StateExport| {
        !matches!(export, StateExport::Layout { .. } | StateExport::HashLow | StateExport::HashHigh)
    };
    exports.filter(is_state).collect()
}
