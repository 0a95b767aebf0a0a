//! [`Origin`]: what an instance is made from, at first and at each reset: a module, or a function of the user's that
//! instantiates.

use crate::error::Error;
use crate::guest::limit::stops::Stops;
use crate::guest::linked::{Linked, LinkedModule};
use crate::guest::module_name::module_name;
use std::pin::Pin;
use std::sync::Arc;
#[cfg(feature = "freeze")]
use std::time::Duration;
#[cfg(feature = "checkpoint")]
use wasm_jobs_transform::FLAGS_MODULE;
#[cfg(feature = "freeze")]
use wasm_jobs_transform::TWINS;
use wasmtime::{Engine, StoreContextMut};
#[cfg(feature = "checkpoint")]
use wasmtime::{ImportType, Module};

pub(crate) enum Origin<S: 'static, E> {
    Module {
        pre: LinkedModule<S>,
        /// The identity, because a module's exports are wasmtime's own instance. The type `E` does not say that.
        exports: fn(wasmtime::Instance) -> E,
    },
    Other {
        engine: Engine,
        exports: Arc<Instantiate<S, E>>,
    },
}

/// A function of the user's that instantiates in a store, and returns the exports.
pub(crate) type Instantiate<S, E> =
    dyn for<'a> Fn(StoreContextMut<'a, S>) -> BoxFuture<'a, E> + Send + Sync;

/// A future that borrows a store.
pub(crate) type BoxFuture<'a, T> =
    Pin<Box<dyn std::future::Future<Output = wasmtime::Result<T>> + Send + 'a>>;

impl<S: 'static> Origin<S, wasmtime::Instance> {
    pub(crate) fn module(pre: &impl Linked<S>) -> Self {
        Self::Module { pre: pre.linked(), exports: |instance| instance }
    }
}

impl<S: 'static, E> Origin<S, E> {
    pub(crate) fn engine(&self) -> &Engine {
        match self {
            Self::Module { pre, .. } => pre.module().engine(),
            Self::Other { engine, .. } => engine,
        }
    }

    /// What stops its guests.
    pub(crate) fn stops(&self) -> Stops {
        match self {
            Self::Module { pre, .. } => pre.stops(),
            Self::Other { engine, .. } => Stops::without_flag(engine),
        }
    }

    /// How large the table of twins is, which is not the guest's.
    pub(crate) fn elements_of_twins(&self) -> usize {
        match self {
            #[cfg(feature = "freeze")]
            Self::Module { pre: LinkedModule::Prepared(pre), .. } => {
                let table = pre.module().get_export(TWINS);
                let table = table.and_then(|table| table.table().cloned());
                table.map_or(0, |table| usize::try_from(table.minimum()).unwrap_or(usize::MAX))
            }
            _ => 0,
        }
    }

    /// This origin, with twins if calls are to be parked.
    #[cfg(feature = "freeze")]
    pub(crate) fn with_park_after(self, park_after: Option<Duration>) -> Result<Self, Error>
    where
        S: Send,
    {
        match self {
            origin if park_after.is_none() => Ok(origin),
            Self::Module { pre: LinkedModule::Prepared(pre), exports }
                if pre.prepared().is_freezable() =>
            {
                Ok(Self::Module { pre: LinkedModule::Prepared(pre.twins()?.clone()), exports })
            }
            _ => Err(Error::Unsupported {
                what: "parking",
                why: "the module was not compiled with `PrepareOptions::freezable`".into(),
            }),
        }
    }

    /// Whether the calls of a guest that are inside each other have to be counted, because nothing else tells.
    pub(crate) fn counts_calls(&self) -> bool {
        match self {
            Self::Module { pre, .. } => pre.counts_calls(),
            Self::Other { .. } => false,
        }
    }

    /// The module, if it is one.
    #[cfg(feature = "checkpoint")]
    pub(crate) fn the_module(&self) -> Option<&Module> {
        match self {
            Self::Module { pre, .. } => Some(pre.module()),
            Self::Other { .. } => None,
        }
    }

    /// Refuses a module that imports a memory, a global, a table or a tag. Those are of one store, and no instance in another store can have them.
    #[cfg(feature = "checkpoint")]
    pub(crate) fn check_instantiable_anew(&self, what: &'static str) -> Result<(), Error> {
        let mut imports = self.the_module().into_iter().flat_map(Module::imports);
        // The flags are of the engine, and any store may have them.
        let is_of_store = |import: &ImportType<'_>| {
            import.ty().func().is_none() && import.module() != FLAGS_MODULE
        };
        match imports.find(is_of_store) {
            None => Ok(()),
            Some(import) => Err(Error::Unsupported {
                what,
                why: format!(
                    "the guest imports {:?} {:?}, which belongs to its store, and would need a new store",
                    import.module(),
                    import.name()
                )
                .into(),
            }),
        }
    }

    /// Its name in error messages.
    pub(crate) fn name(&self) -> Box<str> {
        match self {
            Self::Module { pre, .. } => module_name(pre.module()),
            Self::Other { .. } => "an instance with exports of its own".into(),
        }
    }

    pub(crate) fn check_engine(&self, engine: &Engine) -> Result<(), Error> {
        if Engine::same(engine, self.engine()) {
            Ok(())
        } else {
            Err(Error::OtherEngine { module: self.name() })
        }
    }
}

impl<S: 'static, E> Clone for Origin<S, E> {
    fn clone(&self) -> Self {
        match self {
            Self::Module { pre, exports } => Self::Module { pre: pre.clone(), exports: *exports },
            Self::Other { engine, exports } => {
                Self::Other { engine: engine.clone(), exports: exports.clone() }
            }
        }
    }
}
