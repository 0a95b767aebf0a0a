//! [`Instance`]: a guest in its sandbox, home of one store. A call takes the store along, and brings it home when it ends.

use crate::call::future::Future;
use crate::call::lease::Lease;
use crate::error::Error;
use crate::guest::fiber;
use crate::guest::guest::{BoxFuture, Guest, Home, Origin, claim};
use crate::guest::limit::control::Control;
use crate::guest::limit::options::{InstanceOptions, unsupported};
use crate::guest::limit::slice::Slice;
use crate::guest::store::guard::StoreGuard;
use crate::guest::store::memory::MemoryGuard;
use crate::guest::store::table::TableGuard;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::{Engine, InstancePre, Store, StoreContextMut};

/// An instance of a module, which has one call at a time.
///
/// `S` is the state that its host functions find, as in [`wasmtime::Store`]. `E` is what it exports: for a module, wasmtime's own
/// instance; for a component or anything else, see [`with_exports`](Self::with_exports).
///
/// A call has the store of the instance from the moment it is made until it ends: meanwhile there is no other call, and
/// no [`store`](Self::store). After a call that ended before its end, by a trap, an exit, an error or a panic of the host, or by
/// being dropped or cancelled half-way, the guest's memory may be half-way through something. The instance is then
/// poisoned, and makes no calls until it is [reset](Self::reset), or [declared fit](Self::clear_poison).
///
/// ```
/// use wasm_jobs::{EngineOptions, Error, Instance, JobPool, RayonGlobal, engine, wasmtime};
///
/// let engine = engine(&EngineOptions::default())?;
/// let wasm = wat::parse_str(r#"(module (func (export "answer") (result i32) i32.const 42))"#)?;
/// let module = wasmtime::Module::new(&engine, wasm)?;
/// let linker = wasmtime::Linker::<()>::new(&engine);
/// let instance = Instance::new(&linker.instantiate_pre(&module)?, ())?;
///
/// let mut future = instance.call::<(), i32>("answer", ())?;
/// assert!(matches!(instance.call::<(), i32>("answer", ()), Err(Error::CallInProgress)));
/// RayonGlobal.submit(future.to_job()?).wait();
/// assert_eq!(future.try_get_result()?, Some(42));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Instance<S: 'static, E: 'static = wasmtime::Instance> {
    home: Arc<Home<S, E>>,
    origin: Origin<S, E>,
    control: Arc<Control>,
    /// Makes the state for a new guest.
    state: Option<Arc<dyn Fn() -> S + Send + Sync>>,
}

impl<S: Send + 'static> Instance<S> {
    /// Instantiates a module, and runs its start function to the end: this thread sleeps while that waits. One that never ends
    /// keeps this thread, and nothing cancels it; a module of strangers needs a limit, by
    /// [`with_options`](Self::with_options).
    ///
    /// # Errors
    ///
    /// - [`Error::TooManyInstances`] if the engine's pool is full;
    /// - [`Error::Trap`], [`Error::UncaughtException`], [`Error::Host`] or [`Error::Panic`] if the start function fails, or
    ///   `Error::Exit` if it ends the program;
    /// - [`Error::Wasmtime`] for what else wasmtime refuses.
    pub fn new(pre: &InstancePre<S>, state: S) -> Result<Self, Error> {
        Self::with_store(pre, Store::new(pre.module().engine(), state))
    }

    /// The same within limits, and with a function that makes the state of the host, for this guest and for those that are made
    /// by [`reset`](Self::reset). Instantiating counts as a call, also if there is no start function.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); [`Error::Unsupported`] if the engine was not made for one of the options;
    /// [`Error::TimedOut`] if the start function runs for longer than a call may; and [`Error::Wasmtime`] if the module begins
    /// with more memory or larger tables than it may have.
    pub fn with_options(
        pre: &InstancePre<S>,
        options: InstanceOptions,
        state: impl Fn() -> S + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let (origin, state) = (Origin::module(pre), Arc::new(state));
        options.check(origin.engine())?;
        let store = Store::new(origin.engine(), state());
        Self::make(origin, store, options, Some(state))
    }

    /// The same, in a store that was made and set up by the caller: with a limiter, for instance.
    ///
    /// The store must be new, for instances of a store are freed together with it. What it does at its epoch deadline is
    /// set here, and if the engine counts fuel, its call hook, and with a slice of fuel, its yield interval. Fuel that
    /// is in use while an asynchronous limiter suspends the guest's growing is counted twice if there is a slice of fuel.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and [`Error::OtherEngine`] if the store and the module have different engines.
    pub fn with_store(pre: &InstancePre<S>, store: Store<S>) -> Result<Self, Error> {
        let origin = Origin::module(pre);
        origin.check_engine(&store)?;
        Self::make(origin, store, InstanceOptions::default(), None)
    }

    /// An exported memory, to be read and written between calls.
    ///
    /// # Errors
    ///
    /// [`Error::CallInProgress`] if a call or a guard has the store, and [`Error::ExportNotFound`] and [`Error::ExportKind`] if
    /// there is no memory of that name.
    pub fn memory(&self, export: &str) -> Result<MemoryGuard<'_, S>, Error> {
        MemoryGuard::new(self.store()?, export)
    }

    /// An exported table, to be read and written between calls.
    ///
    /// # Errors
    ///
    /// As [`memory`](Self::memory).
    pub fn table(&self, export: &str) -> Result<TableGuard<'_, S>, Error> {
        TableGuard::new(self.store()?, export)
    }
}

impl<S: Send + 'static, E: Send + Sync + 'static> Instance<S, E> {
    /// An instance that is more than one of a module: of a component, most often. `exports` instantiates, in the store that it is
    /// given, and gives what there is to call, an `E`: the struct that wasmtime's `bindgen!` writes, for one. Calls are
    /// made with [`start`](Self::start).
    ///
    /// It is called again by [`reset`](Self::reset), as `state` is.
    ///
    /// ```
    /// # #[cfg(feature = "component-model")] {
    /// use wasm_jobs::{EngineOptions, Instance, InstanceOptions, engine};
    /// use wasm_jobs::wasmtime::component::{Component, Linker};
    ///
    /// let engine = engine(&EngineOptions::default())?;
    /// let component = Component::new(&engine, wat::parse_str(r#"
    ///     (component
    ///         (core module $m (func (export "double") (param i32) (result i32) (i32.shl (local.get 0) (i32.const 1))))
    ///         (core instance $i (instantiate $m))
    ///         (func (export "double") (param "n" u32) (result u32) (canon lift (core func $i "double"))))
    /// "#)?)?;
    /// let pre = Linker::<()>::new(&engine).instantiate_pre(&component)?;
    /// let instance = Instance::with_exports(&engine, InstanceOptions::default(), || (), move |store| {
    ///     let pre = pre.clone();
    ///     Box::pin(async move { pre.instantiate_async(store).await })
    /// })?;
    ///
    /// let mut future = instance.start(|mut store, exports| Box::pin(async move {
    ///     let double = exports.get_typed_func::<(u32,), (u32,)>(&mut store, "double")?;
    ///     Ok(double.call_async(&mut store, (21,)).await?.0)
    /// }))?;
    /// assert_eq!(future.wait()?, 42);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`with_options`](Self::with_options). An error of `exports` that is none of wasmtime's is [`Error::Wasmtime`] too.
    pub fn with_exports(
        engine: &Engine,
        options: InstanceOptions,
        state: impl Fn() -> S + Send + Sync + 'static,
        exports: impl for<'a> Fn(StoreContextMut<'a, S>) -> BoxFuture<'a, E> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let origin = Origin::Other { engine: engine.clone(), exports: Arc::new(exports) };
        options.check(engine)?;
        let store = Store::new(engine, state());
        Self::make(origin, store, options, Some(Arc::new(state)))
    }

    /// Makes a call that is whatever `work` does with the exports, be it one call of the guest or several: it is one call of this
    /// instance, to be resumed and submitted as any other. `work` is called at the first step.
    ///
    /// An error that it gives ends the call before its end, and so poisons the instance; failures that leave the guest well
    /// are part of `T`. So a trap must be given on as the error, and a call of the guest not be dropped half-way: if `work`
    /// makes a value of it and succeeds, the instance counts as fit.
    ///
    /// See [`with_exports`](Self::with_exports) for an example.
    ///
    /// # Errors
    ///
    /// [`Error::CallInProgress`] if the instance has a call, and [`Error::Poisoned`] if the one before ended before its
    /// end.
    pub fn start<T: Send + 'static>(
        &self,
        work: impl for<'a> FnOnce(StoreContextMut<'a, S>, &'a E) -> BoxFuture<'a, T> + Send + 'static,
    ) -> Result<Future<T>, Error> {
        let guest = claim(self.home.clone())?;
        guest.refuse_if_poisoned()?;
        Ok(fiber::start(guest, work))
    }

    fn make(
        origin: Origin<S, E>,
        store: Store<S>,
        options: InstanceOptions,
        state: Option<Arc<dyn Fn() -> S + Send + Sync>>,
    ) -> Result<Self, Error> {
        let control = Control::new(store.engine(), options);
        let guest = Guest::new(store, control.clone(), &origin)?;
        Ok(Self { home: Lease::new(guest), origin, control, state })
    }

    /// The store, for what is done between calls: reading and writing memories, globals and tables, the host's state,
    /// fuel. While the guard is there, the instance makes no calls.
    ///
    /// A poisoned instance can be looked at too.
    ///
    /// # Errors
    ///
    /// [`Error::CallInProgress`] if a call or another guard has it.
    pub fn store(&self) -> Result<StoreGuard<'_, S, E>, Error> {
        let mut guest = claim(self.home.clone())?;
        if let Ok(fuel) = guest.store.get_fuel() {
            self.control.set_fuel(fuel);
        }
        // For the synchronous calls of the guard's owner.
        self.control.set_deadline(&mut guest.store);
        Ok(StoreGuard::new(guest))
    }

    /// Sets how much the guest may do in one step, from the next step on. Until then it is that of the
    /// [options](InstanceOptions::slice).
    ///
    /// It may be set at any time, also while the instance has a call, and stays when the instance is reset.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for a slice of time if the engine was made without
    /// [`EngineOptions::epoch_interruption`](crate::EngineOptions::epoch_interruption), and for a slice of fuel if it was made
    /// without [`EngineOptions::fuel`](crate::EngineOptions::fuel).
    pub fn set_slice(&self, slice: Slice) -> Result<(), Error> {
        slice.check(self.origin.engine())?;
        self.control.set_slice(slice);
        Ok(())
    }

    /// How much the guest may do in one step.
    #[must_use]
    pub fn slice(&self) -> Slice {
        self.control.slice()
    }

    /// The fuel that is left to the call in progress, as of its last stop; or that the last one has left.
    ///
    /// A guest that was stopped by the epoch, at the end of a slice of time for one, keeps the count to itself; then this is
    /// what was left when it last called a host function or began the step.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if the engine was made without [`EngineOptions::fuel`](crate::EngineOptions::fuel).
    pub fn fuel_remaining(&self) -> Result<u64, Error> {
        if !self.origin.engine().get_consume_fuel() {
            return Err(unsupported("fuel", "fuel"));
        }
        match self.store() {
            Ok(store) => store.fuel(),
            Err(_) => Ok(self.control.fuel()),
        }
    }

    /// How long the call in progress has run, in the steps that have ended; or the last call, if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if that is not measured: it is with a timeout, or
    /// with [`InstanceOptions::measure_time`].
    pub fn time_used(&self) -> Result<Duration, Error> {
        if !self.control.options().measures_time() {
            return Err(Error::Unsupported {
                what: "the time used",
                why: "it is not measured: see `InstanceOptions::measure_time`".into(),
            });
        }
        Ok(self.control.time_used())
    }

    /// Makes the guest anew, in a new store, with a state by the function that
    /// [`with_options`](Self::with_options) was given. The old one is dropped first, so that a full pool has room.
    ///
    /// # Errors
    ///
    /// [`Error::CallInProgress`] if a call has it, which goes on undisturbed; [`Error::Unsupported`] if there is no such function;
    /// and the errors of [`new`](Self::new). After one of the latter there is no guest: the instance stays poisoned until a
    /// reset succeeds.
    pub fn reset(&self) -> Result<(), Error> {
        match &self.state {
            Some(state) => self.renew(|| Store::new(self.origin.engine(), state())),
            None => Err(Error::Unsupported {
                what: "a reset of an instance that was made with one state",
                why: "use `Instance::reset_with`, or make it by `Instance::with_options`".into(),
            }),
        }
    }

    /// The same with this state, whichever way the instance was made.
    ///
    /// What was set up in a store of the caller's own, a limiter for one, is gone with it: see
    /// [`reset_with_store`](Self::reset_with_store).
    ///
    /// # Errors
    ///
    /// As [`reset`](Self::reset).
    pub fn reset_with(&self, state: S) -> Result<(), Error> {
        self.reset_with_store(Store::new(self.origin.engine(), state))
    }

    /// The same, in a store that was made and set up by the caller, as for [`with_store`](Self::with_store).
    ///
    /// # Errors
    ///
    /// As [`reset_with`](Self::reset_with), and [`Error::OtherEngine`] if the store and the module have different engines, which
    /// leaves the guest as it was.
    pub fn reset_with_store(&self, store: Store<S>) -> Result<(), Error> {
        self.origin.check_engine(&store)?;
        self.renew(|| store)
    }

    fn renew(&self, store: impl FnOnce() -> Store<S>) -> Result<(), Error> {
        claim(self.home.clone())?.renew(store, &self.origin)
    }

    /// Did a call end before its end, since the last `reset` or `clear_poison`?
    ///
    /// Like every look at the guest, this has it for a moment, in which a call from another thread is refused.
    ///
    /// # Errors
    ///
    /// [`Error::CallInProgress`] if a call or a guard has it.
    pub fn is_poisoned(&self) -> Result<bool, Error> {
        Ok(claim(self.home.clone())?.poisoned)
    }

    /// Declares the guest fit for calls, in spite of a call that ended before its end.
    ///
    /// Whatever the guest had written to its memory stays. Its stack pointer is put back to where it was when the guest was
    /// made, if it was made of a module, and that exports it, as `__stack_pointer`; otherwise a C or Rust guest loses the part
    /// of its stack that was in use. An instance [with exports](Self::with_exports) of its own is not looked into.
    ///
    /// A component is another matter: wasmtime does not enter it again after a trap, an error of a host function, or a call that
    /// was dropped half-way, and the next call traps with `CannotEnterComponent`. Only a [`reset`](Self::reset) helps.
    ///
    /// # Errors
    ///
    /// [`Error::CallInProgress`] if a call or a guard has it, and [`Error::Poisoned`] if there is no guest, because a `reset`
    /// failed.
    pub fn clear_poison(&self) -> Result<(), Error> {
        let mut guest = claim(self.home.clone())?;
        if guest.exports.is_none() {
            return Err(Error::Poisoned);
        }
        if guest.poisoned {
            guest.unwind_stack()?;
            guest.poisoned = false;
        }
        Ok(())
    }

    /// The same instance, for a job. It has one call at a time still.
    pub(crate) fn same(&self) -> Self {
        let Self { home, origin, control, state } = self;
        Self {
            home: home.clone(),
            origin: origin.clone(),
            control: control.clone(),
            state: state.clone(),
        }
    }

    pub(crate) fn control(&self) -> &Control {
        &self.control
    }

    pub(crate) fn home(&self) -> &Arc<Home<S, E>> {
        &self.home
    }
}

impl<S: 'static, E> fmt::Debug for Instance<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("of", &self.origin.name())
            .field("home", &self.home)
            .finish()
    }
}
