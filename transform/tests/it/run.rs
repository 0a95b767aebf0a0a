//! Runs modules, for the other tests.

use wasm_jobs_transform::{Error, StateExport, Transformed, parse_export, transform};
use wasmtime::{Config, Engine, Instance, Module, Store, Trap, Val};

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

/// Calls an export. Results are given as text, and so are traps, which have no equality that holds for NaN and references.
pub(crate) fn outcome<T>(
    store: &mut Store<T>,
    instance: Instance,
    name: &str,
    arguments: &[Val],
) -> Result<Vec<String>, String> {
    let function = instance.get_func(&mut *store, name).unwrap();
    let mut results = vec![Val::I32(0); function.ty(&*store).results().len()];
    match function.call(&mut *store, arguments, &mut results) {
        Ok(()) => Ok(results.iter().map(shown).collect()),
        Err(error) => Err(match error.downcast_ref::<Trap>() {
            Some(trap) => format!("{trap:?}"),
            None => error.root_cause().to_string(),
        }),
    }
}

/// A value as text. Of references it is told whether they are null.
pub(crate) fn shown(value: &Val) -> String {
    match value {
        Val::FuncRef(reference) => format!("FuncRef({})", reference.is_some()),
        Val::ExternRef(reference) => format!("ExternRef({})", reference.is_some()),
        Val::AnyRef(reference) => format!("AnyRef({})", reference.is_some()),
        Val::ExnRef(reference) => format!("ExnRef({})", reference.is_some()),
        other => format!("{other:?}"),
    }
}
