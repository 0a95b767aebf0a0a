//! [`Origin`]: what an instance is made of, at first and again by each reset: a module, or a function of the user's that
//! instantiates.

use crate::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use wasmtime::{Engine, InstancePre, Module, Store, StoreContextMut};

pub(crate) enum Origin<S: 'static, E> {
    Module {
        pre: InstancePre<S>,
        /// The identity. A module has wasmtime's own instance for its exports, which the type `E` does not tell.
        exports: fn(wasmtime::Instance) -> E,
    },
    Other {
        engine: Engine,
        exports: Arc<Instantiate<S, E>>,
    },
}

/// A function of the user's that instantiates in a store, and gives the exports.
pub(crate) type Instantiate<S, E> =
    dyn for<'a> Fn(StoreContextMut<'a, S>) -> BoxFuture<'a, E> + Send + Sync;

/// Work with a store.
pub(crate) type BoxFuture<'a, T> =
    Pin<Box<dyn std::future::Future<Output = wasmtime::Result<T>> + Send + 'a>>;

impl<S: 'static> Origin<S, wasmtime::Instance> {
    pub(crate) fn module(pre: &InstancePre<S>) -> Self {
        Self::Module { pre: pre.clone(), exports: |instance| instance }
    }
}

impl<S: 'static, E> Origin<S, E> {
    pub(crate) fn engine(&self) -> &Engine {
        match self {
            Self::Module { pre, .. } => pre.module().engine(),
            Self::Other { engine, .. } => engine,
        }
    }

    /// What errors call it.
    pub(crate) fn name(&self) -> Box<str> {
        match self {
            Self::Module { pre, .. } => module_name(pre.module()),
            Self::Other { .. } => "an instance with exports of its own".into(),
        }
    }

    pub(crate) fn check_engine(&self, store: &Store<S>) -> Result<(), Error> {
        if Engine::same(store.engine(), self.engine()) {
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

/// What errors call a module.
pub(crate) fn module_name(module: &Module) -> Box<str> {
    match module.name() {
        Some(name) => format!("module {name:?}").into(),
        None => "a module without a name".into(),
    }
}
