//! [`Instance`]: a guest in its sandbox. A call takes the guest, with its store, and brings it [home](Home) when it ends. What can
//! be read meanwhile, its `control`, is shared with the guest.

use crate::call::future::Future;
use crate::error::Error;
use crate::guest::fiber;
use crate::guest::guest::{Guest, Start};
use crate::guest::home::{Away, Home, claim, with_guest};
use crate::guest::limit::control::Control;
use crate::guest::limit::options::InstanceOptions;
use crate::guest::linked::Linked;
use crate::guest::loan::Loan;
use crate::guest::origin::{BoxFuture, Origin};
use crate::guest::recipe::Recipe;
use crate::guest::store::guard::StoreGuard;
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use wasmtime::{Engine, Store, StoreContextMut};

/// An instance of a module, which has one call at a time.
///
/// It owns its [`wasmtime::Store`], whose state is the `S`. Host functions find that state, as with wasmtime. `E` is what the instance
/// exports: for a module, a [`wasmtime::Instance`]; for a component or anything else, see [`with_exports`](Self::with_exports).
///
/// A call has the store from the moment it is made until it ends. Meanwhile another call, or [`store`](Self::store), is refused with
/// [`Error::CallInProgress`]. What refuses a call is a call, a [guard](StoreGuard), a [reset](Self::reset), a checkpoint or a rollback in progress, and nothing else.
/// [`is_poisoned`](Self::is_poisoned), [`fuel_remaining`](Self::fuel_remaining) and [`time_used`](Self::time_used) can be read at any
/// time.
///
/// # Poisoning
///
/// A call that has begun may end without returning: by a trap, an exit, a timeout, an error or a panic of the host, or because it was
/// dropped or cancelled. The guest's memory may then be half-way through a change. The instance is poisoned, as a
/// [`std::sync::Mutex`] would be, and makes no calls until it is [reset](Self::reset), or [declared fit](Self::clear_poison). With the feature
/// `checkpoint`, it can also be rolled back to a checkpoint that was made before the call.
///
/// wasmtime reports two kinds of traps only to their caller, so they poison nothing:
///
/// - a trap in a call that you make by wasmtime's own functions, through a [`StoreGuard`]: call [`StoreGuard::poison`] then;
/// - a trap in a call that a host function makes of its guest, if the host function swallows it: return it as the host
///   function's own error instead. (A swallowed timeout is noticed: the call fails with [`Error::TimedOut`].)
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
    pub(super) home: Arc<Home<S, E>>,
    pub(super) recipe: Arc<Recipe<S, E>>,
    /// `Some` if it was checked out from an [`InstancePool`](crate::InstancePool).
    pub(super) _loan: Option<Loan<S, E>>,
}

impl<S: Send + 'static> Instance<S> {
    /// Instantiates a module, and runs its start function to the end, on this thread. The thread sleeps while the start function
    /// waits. A start function that never ends blocks it for ever, because nothing can cancel that: give an untrusted module a
    /// timeout, by [`with_options`](Self::with_options). In an async task, do this where blocking is allowed.
    ///
    /// # Errors
    ///
    /// - [`Error::TooManyInstances`] if the engine's pool is full;
    /// - [`Error::Trap`], [`Error::UncaughtException`], [`Error::Host`] or [`Error::Panic`] if the start function fails, or
    ///   `Error::Exit` if it ends the program;
    /// - [`Error::Wasmtime`] for all else that wasmtime refuses.
    pub fn new(pre: &impl Linked<S>, state: S) -> Result<Self, Error> {
        let origin = Origin::module(pre);
        let store = Store::new(origin.engine(), state);
        Self::make(origin, store, InstanceOptions::default(), None, Start::Run, |_| Ok(()))
    }

    /// Instantiates a module within limits. `state` makes the state of the store, for this guest and for each that
    /// [`reset`](Self::reset) makes. Instantiating counts as a call, even without a start function.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and:
    ///
    /// - [`Error::Unsupported`] if the engine was not made for one of the options;
    /// - [`Error::TimedOut`] if the start function runs for longer than a call may;
    /// - [`Error::Wasmtime`] if the module begins with more memory or larger tables than it may have.
    pub fn with_options(
        pre: &impl Linked<S>,
        options: InstanceOptions,
        state: impl Fn() -> S + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let (origin, state) = (Origin::module(pre), Arc::new(state));
        options.check(origin.engine(), origin.stops())?;
        let store = Store::new(origin.engine(), state());
        Self::make(origin, store, options, Some(state), Start::Run, |_| Ok(()))
    }

    /// Instantiates a module within limits, with this one state, as [`new`](Self::new) does without limits.
    ///
    /// [`reset`](Self::reset) then gives [`Error::NoStateFactory`], because a new guest needs another state:
    /// [`reset_with`](Self::reset_with) takes one.
    ///
    /// ```
    /// # use wasm_jobs::{EngineOptions, Error, Instance, InstanceOptions, engine, wasmtime};
    /// # let engine = engine(&EngineOptions::default())?;
    /// # let module = wasmtime::Module::new(&engine, wat::parse_str("(module)")?)?;
    /// # let pre = wasmtime::Linker::<String>::new(&engine).instantiate_pre(&module)?;
    /// let name = String::from("Ada"); // moved, and not cloned
    /// let instance = Instance::with_state(&pre, InstanceOptions::default().memory(1 << 20), name)?;
    /// assert!(matches!(instance.reset(), Err(Error::NoStateFactory)));
    /// instance.reset_with(String::from("Grace"))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`with_options`](Self::with_options).
    pub fn with_state(
        pre: &impl Linked<S>,
        options: InstanceOptions,
        state: S,
    ) -> Result<Self, Error> {
        let origin = Origin::module(pre);
        options.check(origin.engine(), origin.stops())?;
        let store = Store::new(origin.engine(), state);
        Self::make(origin, store, options, None, Start::Run, |_| Ok(()))
    }

    /// Instantiates a module in a store that the caller has made and set up, for example with a limiter.
    ///
    /// The store must be new, because the instances of a store are freed together with it. This replaces the store's epoch deadline
    /// callback; if the engine counts fuel, its call hook, and so for some modules whose calls can be frozen; and with a slice of fuel, its yield interval. With a slice of fuel and an
    /// asynchronous limiter, fuel in use while the limiter suspends the guest is counted twice.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and [`Error::OtherEngine`] if the store and the module have different engines.
    pub fn with_store(pre: &impl Linked<S>, store: Store<S>) -> Result<Self, Error> {
        let origin = Origin::module(pre);
        origin.check_engine(store.engine())?;
        Self::make(origin, store, InstanceOptions::default(), None, Start::Run, |_| Ok(()))
    }
}

impl<S: Send + 'static, E: Send + Sync + 'static> Instance<S, E> {
    /// Makes an instance of something other than a module, most often of a component. `exports` instantiates it in the store that it
    /// is given, and returns its exports, for example the struct that wasmtime's `bindgen!` writes. Calls are made with
    /// [`start`](Self::start).
    ///
    /// [`reset`](Self::reset) calls `exports` and `state` again.
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
    /// As [`with_options`](Self::with_options). An error of `exports` itself is an [`Error::Wasmtime`] too.
    pub fn with_exports(
        engine: &Engine,
        options: InstanceOptions,
        state: impl Fn() -> S + Send + Sync + 'static,
        exports: impl for<'a> Fn(StoreContextMut<'a, S>) -> BoxFuture<'a, E> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let origin = Origin::Other { engine: engine.clone(), exports: Arc::new(exports) };
        options.check(engine, origin.stops())?;
        let store = Store::new(engine, state());
        Self::make(origin, store, options, Some(Arc::new(state)), Start::Run, |_| Ok(()))
    }

    /// Makes an instance as [`with_exports`](Self::with_exports) does, without limits, and with this one state.
    #[cfg(feature = "wasi")]
    pub(crate) fn with_exports_and_state(
        engine: &Engine,
        state: S,
        exports: impl for<'a> Fn(StoreContextMut<'a, S>) -> BoxFuture<'a, E> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let origin = Origin::Other { engine: engine.clone(), exports: Arc::new(exports) };
        let store = Store::new(engine, state);
        Self::make(origin, store, InstanceOptions::default(), None, Start::Run, |_| Ok(()))
    }

    /// Makes a call that runs `work` with the exports. `work` may call the guest several times; to this instance, all of that is one
    /// call, which is resumed and submitted like any other. `work` is called at the first step.
    ///
    /// An error of `work` poisons the instance, and a success does not, even if a call of the guest trapped or was dropped half-way.
    /// So return a trap as the error of `work`. A failure that leaves the guest intact belongs in `T`.
    ///
    /// See [`with_exports`](Self::with_exports) for an example.
    ///
    /// # Errors
    ///
    /// [`Error::CallInProgress`] if a call or a guard has the instance, and [`Error::Poisoned`] if an earlier call ended without
    /// returning.
    pub fn start<T: Send + 'static>(
        &self,
        work: impl for<'a> FnOnce(StoreContextMut<'a, S>, &'a E) -> BoxFuture<'a, T> + Send + 'static,
    ) -> Result<Future<T>, Error> {
        let guest: Away<S, E> = claim(&self.home)?;
        guest.refuse_if_poisoned()?;
        Ok(fiber::start(guest, work))
    }

    /// `begin` has the guest before anybody else.
    pub(crate) fn make(
        origin: Origin<S, E>,
        store: Store<S>,
        options: InstanceOptions,
        state: Option<Arc<dyn Fn() -> S + Send + Sync>>,
        start: Start,
        begin: impl FnOnce(&mut Guest<S, E>) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        #[cfg(feature = "freeze")]
        let origin = origin.with_park_after(options.park_after)?;
        let control = Control::new(store.engine(), options);
        let mut guest = Guest::new(store, control.clone(), &origin, start)?;
        if let Err(error) = begin(&mut guest) {
            guest.end();
            return Err(error);
        }
        let engine = origin.engine().clone();
        let is_discarded = AtomicBool::new(false);
        let recipe = Recipe { engine, origin: Mutex::new(origin), control, state, is_discarded };
        Ok(Self { home: Home::new(guest), recipe: Arc::new(recipe), _loan: None })
    }

    /// Gives access to the store between calls: to memories, globals and tables, the host's state, and fuel. While the guard exists,
    /// the instance makes no calls.
    ///
    /// The store of a poisoned instance is accessible too.
    ///
    /// # Errors
    ///
    /// [`Error::CallInProgress`] if a call or another guard has the store.
    pub fn store(&self) -> Result<StoreGuard<'_, S, E>, Error> {
        Ok(StoreGuard::new(claim(&self.home)?))
    }

    /// Whether the instance is [poisoned](Self#poisoning), and so makes no calls until `reset` or `clear_poison` succeeds.
    ///
    /// A call in progress does not count. This may be asked at any time, from any thread, and disturbs no call.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.recipe.control.poison().is_set()
    }

    /// Declares the guest fit for calls, although a call ended without returning.
    ///
    /// The guest's memory stays as it is. If a module exports its stack pointer as `__stack_pointer`, this sets it to its value when
    /// the guest was made; otherwise a C or Rust guest loses the part of its stack that was in use. This sets no stack pointer in an
    /// instance [with exports](Self::with_exports) of its own.
    ///
    /// A component cannot be declared fit: wasmtime does not enter it again after a trap, an error of a host function, or a call that
    /// was dropped half-way, and the next call traps with `CannotEnterComponent`. Only a [`reset`](Self::reset) helps.
    ///
    /// # Errors
    ///
    /// [`Error::CallInProgress`] if a call or a guard has the guest, and [`Error::Poisoned`] if there is no guest, because a `reset`
    /// failed.
    pub fn clear_poison(&self) -> Result<(), Error> {
        with_guest(&self.home, Guest::clear_poison)
    }

    /// A second handle of the same instance, for a job. The instance still has one call at a time.
    pub(crate) fn share(&self) -> Self {
        Self { home: self.home.clone(), recipe: self.recipe.clone(), _loan: None }
    }

    pub(crate) fn control(&self) -> &Arc<Control> {
        &self.recipe.control
    }

    pub(crate) fn home(&self) -> &Arc<Home<S, E>> {
        &self.home
    }
}

impl<S: 'static, E> fmt::Debug for Instance<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("of", &self.recipe.origin.lock().name())
            .field("home", &self.home)
            .finish()
    }
}
