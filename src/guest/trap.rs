//! How a guest fails: which of wasmtime's errors are traps, and which are the host's.

use crate::error::{Error, Trap};
use wasmtime::{PoolConcurrencyLimitError, Store, ThrownException, UnknownImportError};

/// What wasmtime says when a guest does not come to its end, be it in a call or when it is made. `name` tells which.
pub(crate) fn wasm_failed<S: Send>(
    error: wasmtime::Error,
    store: &mut Store<S>,
    name: impl FnOnce() -> Box<str>,
) -> Error {
    if error.is::<ThrownException>() {
        // Out of the store, or the next exception would find it there.
        store.take_pending_exception();
        return Error::UncaughtException;
    }
    if error.is::<PoolConcurrencyLimitError>() {
        let pool = store.engine().get_pooling_config();
        let instances = pool.map_or(0, |pool| match pool.get_max_core_instances_per_component() {
            u32::MAX => pool.get_total_core_instances(),
            // It is for components, each of several.
            _ => pool.get_total_component_instances(),
        });
        return Error::TooManyInstances { name: name(), instances, source: error };
    }
    Error::from(error)
}

/// Errors of wasmtime's own functions, so that `?` takes them along: making a module, a linker, a global.
impl From<wasmtime::Error> for Error {
    fn from(error: wasmtime::Error) -> Self {
        if let Some(&code) = error.downcast_ref::<wasmtime::Trap>() {
            return Self::Trap(Trap::new(code, error));
        }
        #[cfg(feature = "wasi")]
        if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
            return Self::Exit(exit.0);
        }
        if let Some(import) = error.downcast_ref::<UnknownImportError>() {
            return Self::MissingImport {
                module: import.module().into(),
                name: import.name().into(),
            };
        }
        Self::Wasmtime(error)
    }
}
