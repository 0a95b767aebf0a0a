//! [`Guest`]: a store with what it exports. It lives in its [`Instance`](crate::Instance), and is away from there for the time of a
//! call.

use crate::call::lease::{Lease, Leased};
use crate::error::{Error, Mismatch, Panic};
use crate::guest::limit::control::Control;
use crate::guest::limit::limited::Limited;
use crate::guest::trap::wasm_failed;
use crate::step::interrupt::in_step;
use crate::unwind::ignore_panic;
use crate::wait::block::block_on;
use std::pin::Pin;
use std::sync::Arc;
use wasmtime::{
    AsContextMut, Engine, Extern, Global, InstancePre, Module, Mutability, Store, StoreContextMut,
    Val, WasmBacktrace,
};

/// Where the guest of an instance is between calls. In a box, to come and go as one pointer.
pub(crate) type Home<S, E = wasmtime::Instance> = Lease<Box<Guest<S, E>>>;

pub(crate) struct Guest<S: 'static, E = wasmtime::Instance> {
    pub(crate) store: Store<S>,
    pub(crate) control: Arc<Control>,
    /// None after a `reset` that failed.
    pub(crate) exports: Option<E>,
    /// How many times it was reset.
    pub(crate) generation: u64,
    pub(crate) poisoned: bool,
    stack_pointer: Option<StackPointer>,
}

/// The guest's own, which a call that ends before its end leaves where it was.
struct StackPointer {
    global: Global,
    /// Where it is between calls.
    at_rest: Val,
}

/// What makes the exports of a guest in its store.
pub(crate) enum Origin<S: 'static, E> {
    Module {
        pre: InstancePre<S>,
        /// There is one for modules alone: it changes nothing.
        exports: fn(wasmtime::Instance) -> E,
    },
    Other {
        engine: Engine,
        exports: Arc<Instantiate<S, E>>,
    },
}

/// A function of the user's that instantiates.
pub(crate) type Instantiate<S, E> =
    dyn for<'a> Fn(StoreContextMut<'a, S>) -> BoxFuture<'a, E> + Send + Sync;

/// Work with a store.
pub(crate) type BoxFuture<'a, T> =
    Pin<Box<dyn std::future::Future<Output = wasmtime::Result<T>> + Send + 'a>>;

/// Takes the guest for a call, or for looking at it.
pub(crate) fn claim<S, E, H>(home: Arc<H>) -> Result<Leased<Box<Guest<S, E>>, H>, Error>
where
    S: 'static,
    H: AsRef<Home<S, E>>,
{
    Leased::try_take(home).ok_or(Error::CallInProgress)
}

impl<S: Send + 'static, E> Guest<S, E> {
    pub(crate) fn new(
        store: Store<S>,
        control: Arc<Control>,
        origin: &Origin<S, E>,
    ) -> Result<Box<Self>, Error> {
        let mut guest = Box::new(Self {
            store,
            control,
            exports: None,
            generation: 0,
            poisoned: false,
            stack_pointer: None,
        });
        guest.instantiate(origin)?;
        Ok(guest)
    }

    /// Makes it anew, in another store. The one that there is, is dropped first.
    pub(crate) fn renew(
        &mut self,
        store: impl FnOnce() -> Store<S>,
        origin: &Origin<S, E>,
    ) -> Result<(), Error> {
        let store = store();
        self.poisoned = true;
        self.generation += 1;
        self.stack_pointer = None;
        // A type of the user's.
        let exports = self.exports.take();
        ignore_panic(|| drop(exports));
        self.store = store;
        self.instantiate(origin)?;
        self.poisoned = false;
        Ok(())
    }

    fn instantiate(&mut self, origin: &Origin<S, E>) -> Result<(), Error> {
        let engine = origin.engine();
        self.control.attach(&mut self.store);
        if engine.get_consume_fuel() && self.store.get_fuel().is_ok_and(|fuel| fuel == 0) {
            self.store.set_fuel(u64::MAX).map_err(Error::Wasmtime)?;
        }
        self.control.begin_call(&mut self.store);
        self.control.set_deadline(&mut self.store);
        match origin {
            Origin::Module { pre, exports } => {
                let instance = pre.instantiate_async(&mut self.store);
                let instance = to_the_end(instance, &self.control)?;
                let instance = instance.map_err(|error| self.failed(error, origin))?;
                self.exports = Some(exports(instance));
                self.stack_pointer = StackPointer::of(instance, pre.module(), &mut self.store);
            }
            Origin::Other { exports, .. } => {
                let exports = async { exports(self.store.as_context_mut()).await };
                let exports = to_the_end(exports, &self.control)?;
                self.exports = Some(exports.map_err(|error| self.failed(error, origin))?);
            }
        }
        Ok(())
    }

    /// Why it could not be made.
    fn failed(&mut self, error: wasmtime::Error, origin: &Origin<S, E>) -> Error {
        if let Some(timeout) = self.control.timed_out() {
            return Error::TimedOut(timeout);
        }
        // What has passed through the guest is a host function's.
        let from_guest = error.is::<WasmBacktrace>();
        match wasm_failed(error, &mut self.store, || origin.name()) {
            Error::Wasmtime(error) if from_guest => Error::Host(error),
            error => error,
        }
    }

    /// Puts the guest's stack pointer where it is between calls.
    pub(crate) fn unwind_stack(&mut self) -> Result<(), Error> {
        match &self.stack_pointer {
            Some(StackPointer { global, at_rest }) => Ok(global.set(&mut self.store, *at_rest)?),
            None => Ok(()),
        }
    }

    pub(crate) fn refuse_if_poisoned(&self) -> Result<(), Error> {
        if self.poisoned { Err(Error::Poisoned) } else { Ok(()) }
    }
}

impl<S: Send + 'static> Guest<S> {
    /// An export of the kind that `select` selects.
    pub(crate) fn export<X>(
        &mut self,
        name: &str,
        expected: &str,
        select: impl Fn(Extern) -> Option<X>,
    ) -> Result<X, Error> {
        let instance = self.exports.ok_or(Error::Poisoned)?;
        let Some(export) = instance.get_export(&mut self.store, name) else {
            return Err(Error::ExportNotFound { export: name.into() });
        };
        let found = match &export {
            Extern::Func(_) => "function",
            Extern::Global(_) => "global",
            Extern::Table(_) => "table",
            Extern::Memory(_) => "memory",
            Extern::SharedMemory(_) => "shared memory",
            Extern::Tag(_) => "tag",
        };
        select(export).ok_or_else(|| {
            Error::ExportKind(Box::new(Mismatch {
                export: name.into(),
                expected: expected.into(),
                found: found.into(),
            }))
        })
    }
}

/// A module, as it stands in errors.
pub(crate) fn module_name(module: &Module) -> Box<str> {
    match module.name() {
        Some(name) => format!("module {name:?}").into(),
        None => "a module without a name".into(),
    }
}

/// Runs what instantiates to its end. A start function is inside a guest as any call is.
fn to_the_end<T, F>(work: F, control: &Arc<Control>) -> Result<wasmtime::Result<T>, Error>
where
    F: std::future::Future<Output = wasmtime::Result<T>>,
{
    in_step(|| block_on(Limited::new(work, control)))
        .map_err(|payload| Error::Panic(Panic::new(payload)))
}

impl StackPointer {
    fn of<S>(instance: wasmtime::Instance, module: &Module, store: &mut Store<S>) -> Option<Self> {
        let export = module.get_export_index("__stack_pointer")?;
        let global = instance.get_module_export(&mut *store, &export)?.into_global()?;
        let is_mutable = global.ty(&*store).mutability() == Mutability::Var;
        is_mutable.then(|| Self { at_rest: global.get(store), global })
    }
}

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

    /// What is made, as it stands in errors.
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
