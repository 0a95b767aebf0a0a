//! [`Trap`]: how a guest fails. Also here: which failures are traps, and which are the host's.

use crate::Error;
use std::fmt;
use wasmtime::{
    PoolConcurrencyLimitError, Store, ThrownException, UnknownImportError, WasmBacktrace,
};

/// The guest did what wasm forbids, and was stopped there.
pub struct Trap {
    code: wasmtime::Trap,
    /// The code, with the backtrace as its context.
    error: wasmtime::Error,
}

impl Trap {
    /// What the guest did.
    #[must_use]
    pub fn code(&self) -> wasmtime::Trap {
        self.code
    }

    /// Where it did so, with the names of the functions if the module has them; none if the engine collects no
    /// backtraces.
    #[must_use]
    pub fn backtrace(&self) -> Option<&WasmBacktrace> {
        self.error.downcast_ref()
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the guest trapped: {}", self.code)?;
        match self.backtrace().and_then(|backtrace| backtrace.frames().first()) {
            Some(frame) => match frame.func_name() {
                Some(name) => write!(f, ", in function {name:?}"),
                None => write!(f, ", in function {}", frame.func_index()),
            },
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}

impl std::error::Error for Trap {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let error: &(dyn std::error::Error + Send + Sync) = self.error.as_ref();
        Some(error)
    }
}

/// What wasmtime says when a guest does not come to its end, be it in a call or when it is made. `name` tells which.
pub(super) fn wasm_failed<S: Send>(
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
            return Self::Trap(Trap { code, error });
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
