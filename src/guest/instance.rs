//! [`Instance`]: a guest in its sandbox, home of one store. A call takes the store along, and brings it home when it ends.

use crate::error::{Error, Mismatch, Panic};
use crate::guest::control::{Control, Controlled};
use crate::guest::options::{InstanceOptions, unsupported};
use crate::guest::slice::Slice;
use crate::guest::trap::wasm_failed;
use crate::interrupt::enter;
use crate::lease::{Lease, Leased};
use crate::sync::block_on;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::{
    AsContext, AsContextMut, Engine, Extern, Global, InstancePre, Mutability, Store, StoreContext,
    StoreContextMut, Val, WasmBacktrace,
};

/// An instance of a module, which has one call at a time.
///
/// `S` is the state that its host functions find, as in [`wasmtime::Store`].
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
pub struct Instance<S: 'static> {
    home: Arc<Home<S>>,
    pre: InstancePre<S>,
    control: Arc<Control>,
    /// Makes the state for a new guest.
    state: Option<Arc<dyn Fn() -> S + Send + Sync>>,
}

/// Where the guest of an instance is between calls. In a box, to come and go as one pointer.
pub(super) type Home<S> = Lease<Box<Guest<S>>>;

/// A store with an instance in it.
pub(super) struct Guest<S: 'static> {
    pub(super) store: Store<S>,
    pub(super) control: Arc<Control>,
    /// None after a `reset` that failed.
    instance: Option<wasmtime::Instance>,
    /// How many times it was reset.
    pub(super) generation: u64,
    pub(super) poisoned: bool,
    stack_pointer: Option<StackPointer>,
}

/// The guest's own, which a call that ends before its end leaves where it was.
struct StackPointer {
    global: Global,
    /// Where it is between calls.
    at_rest: Val,
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
        options.check(pre.module().engine())?;
        let store = Store::new(pre.module().engine(), state());
        Ok(Self { state: Some(Arc::new(state)), ..Self::make(pre, store, options)? })
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
        check_engine(pre, &store)?;
        Self::make(pre, store, InstanceOptions::default())
    }

    fn make(
        pre: &InstancePre<S>,
        store: Store<S>,
        options: InstanceOptions,
    ) -> Result<Self, Error> {
        let control = Control::new(store.engine(), options);
        let mut guest = Box::new(Guest {
            store,
            control: control.clone(),
            instance: None,
            generation: 0,
            poisoned: false,
            stack_pointer: None,
        });
        guest.instantiate(pre)?;
        Ok(Self { home: Lease::new(guest), pre: pre.clone(), control, state: None })
    }

    /// The store, for what is done between calls: reading and writing memories, globals and tables, the host's state,
    /// fuel. While the guard is there, the instance makes no calls.
    ///
    /// A poisoned instance can be looked at too.
    ///
    /// # Errors
    ///
    /// [`Error::CallInProgress`] if a call or another guard has it.
    pub fn store(&self) -> Result<StoreGuard<'_, S>, Error> {
        let guest = claim(self.home.clone())?;
        if let Ok(fuel) = guest.store.get_fuel() {
            self.control.set_fuel(fuel);
        }
        Ok(StoreGuard { guest, instance: PhantomData })
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
        slice.check(self.pre.module().engine())?;
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
        if !self.pre.module().engine().get_consume_fuel() {
            return Err(no_fuel());
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
        if !self.control.options().limits_time() {
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
            Some(state) => self.renew(|| Store::new(self.pre.module().engine(), state())),
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
        self.reset_with_store(Store::new(self.pre.module().engine(), state))
    }

    /// The same, in a store that was made and set up by the caller, as for [`with_store`](Self::with_store).
    ///
    /// # Errors
    ///
    /// As [`reset_with`](Self::reset_with), and [`Error::OtherEngine`] if the store and the module have different engines, which
    /// leaves the guest as it was.
    pub fn reset_with_store(&self, store: Store<S>) -> Result<(), Error> {
        check_engine(&self.pre, &store)?;
        self.renew(|| store)
    }

    fn renew(&self, store: impl FnOnce() -> Store<S>) -> Result<(), Error> {
        let mut guest = claim(self.home.clone())?;
        let store = store();
        guest.poisoned = true;
        guest.instance = None;
        guest.stack_pointer = None;
        guest.generation += 1;
        guest.store = store;
        guest.instantiate(&self.pre)?;
        guest.poisoned = false;
        Ok(())
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
    /// made, if the guest exports it, as `__stack_pointer`; otherwise a C or Rust guest loses the part of its
    /// stack that was in use.
    ///
    /// # Errors
    ///
    /// [`Error::CallInProgress`] if a call or a guard has it, and [`Error::Poisoned`] if there is no guest, because a `reset`
    /// failed.
    pub fn clear_poison(&self) -> Result<(), Error> {
        let mut guest = claim(self.home.clone())?;
        if guest.instance.is_none() {
            return Err(Error::Poisoned);
        }
        if guest.poisoned {
            guest.unwind_stack()?;
            guest.poisoned = false;
        }
        Ok(())
    }

    /// The same instance, for a job. It has one call at a time still.
    pub(super) fn same(&self) -> Self {
        let Self { home, pre, control, state } = self;
        Self {
            home: home.clone(),
            pre: pre.clone(),
            control: control.clone(),
            state: state.clone(),
        }
    }

    pub(super) fn control(&self) -> &Control {
        &self.control
    }

    pub(super) fn home(&self) -> &Arc<Home<S>> {
        &self.home
    }
}

fn check_engine<S: 'static>(pre: &InstancePre<S>, store: &Store<S>) -> Result<(), Error> {
    if Engine::same(store.engine(), pre.module().engine()) {
        Ok(())
    } else {
        Err(Error::OtherEngine { module: name_of(pre) })
    }
}

/// The name of a module, as it stands in errors.
fn name_of<S: 'static>(pre: &InstancePre<S>) -> Box<str> {
    match pre.module().name() {
        Some(name) => format!("module {name:?}").into(),
        None => "a module without a name".into(),
    }
}

/// Takes the guest for a call, or for looking at it.
pub(super) fn claim<S, H>(home: Arc<H>) -> Result<Leased<Box<Guest<S>>, H>, Error>
where
    S: 'static,
    H: AsRef<Home<S>>,
{
    Leased::try_take(home).ok_or(Error::CallInProgress)
}

impl<S: Send + 'static> Guest<S> {
    fn instantiate(&mut self, pre: &InstancePre<S>) -> Result<(), Error> {
        let engine = pre.module().engine();
        self.control.attach(&mut self.store);
        if engine.get_consume_fuel() && self.store.get_fuel().is_ok_and(|fuel| fuel == 0) {
            self.store.set_fuel(u64::MAX).map_err(Error::Wasmtime)?;
        }
        let Self { store, control, .. } = self;
        control.begin_call(store);
        control.set_deadline(store);
        // The start function is inside a guest as any call is.
        let instance = pre.instantiate_async(store);
        let instance = enter(|| block_on(Controlled::new(instance, control)))
            .map_err(|payload| Error::Panic(Panic::new(payload)))?;
        let instance = instance.map_err(|error| {
            if let Some(timeout) = self.control.timed_out() {
                return Error::TimedOut(timeout);
            }
            // What has passed through the guest is a host function's.
            let from_guest = error.is::<WasmBacktrace>();
            match wasm_failed(error, &mut self.store, || name_of(pre)) {
                Error::Wasmtime(error) if from_guest => Error::Host(error),
                error => error,
            }
        });
        let instance = instance?;
        self.instance = Some(instance);
        self.stack_pointer = pre
            .module()
            .get_export_index("__stack_pointer")
            .and_then(|export| instance.get_module_export(&mut self.store, &export))
            .and_then(Extern::into_global)
            .filter(|global| global.ty(&self.store).mutability() == Mutability::Var)
            .map(|global| StackPointer { global, at_rest: global.get(&mut self.store) });
        Ok(())
    }

    /// Puts the guest's stack pointer where it is between calls.
    fn unwind_stack(&mut self) -> Result<(), Error> {
        match &self.stack_pointer {
            Some(StackPointer { global, at_rest }) => Ok(global.set(&mut self.store, *at_rest)?),
            None => Ok(()),
        }
    }

    pub(super) fn refuse_if_poisoned(&self) -> Result<(), Error> {
        if self.poisoned { Err(Error::Poisoned) } else { Ok(()) }
    }

    /// An export of the kind that `select` selects.
    pub(super) fn export<X>(
        &mut self,
        name: &str,
        expected: &str,
        select: impl Fn(Extern) -> Option<X>,
    ) -> Result<X, Error> {
        let instance = self.instance.ok_or(Error::Poisoned)?;
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

/// The store of an [`Instance`] between two calls, from [`Instance::store`].
///
/// It stands for the store wherever wasmtime asks for one.
///
/// ```
/// # use wasm_jobs::{EngineOptions, Instance, engine, wasmtime};
/// # let engine = engine(&EngineOptions::default())?;
/// # let wasm = wat::parse_str(r#"(module (memory (export "memory") 1) (global (export "lives") (mut i32) (i32.const 3)))"#)?;
/// # let module = wasmtime::Module::new(&engine, wasm)?;
/// # let linker = wasmtime::Linker::<u32>::new(&engine);
/// # let instance = Instance::new(&linker.instantiate_pre(&module)?, 7)?;
/// let mut store = instance.store()?;
/// store.memory("memory")?.write(&mut store, 16, b"hello")?;
/// store.global("lives")?.set(&mut store, wasmtime::Val::I32(9))?;
/// *store.data_mut() += 1;
/// # assert_eq!(store.memory("memory")?.data(&store)[16..21], *b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct StoreGuard<'a, S: 'static> {
    guest: Leased<Box<Guest<S>>>,
    instance: PhantomData<&'a Instance<S>>,
}

impl<S: Send + 'static> StoreGuard<'_, S> {
    /// The host's state.
    #[must_use]
    pub fn data(&self) -> &S {
        self.guest.store.data()
    }

    /// The host's state.
    #[must_use]
    pub fn data_mut(&mut self) -> &mut S {
        self.guest.store.data_mut()
    }

    /// wasmtime's own instance, for exports that have no function here.
    ///
    /// # Errors
    ///
    /// [`Error::Poisoned`] if there is no guest, because a [`reset`](Instance::reset) failed.
    pub fn instance(&self) -> Result<wasmtime::Instance, Error> {
        self.guest.instance.ok_or(Error::Poisoned)
    }

    /// An exported memory.
    ///
    /// # Errors
    ///
    /// [`Error::ExportNotFound`] and [`Error::ExportKind`] if there is none of that name.
    pub fn memory(&mut self, export: &str) -> Result<wasmtime::Memory, Error> {
        self.guest.export(export, "memory", Extern::into_memory)
    }

    /// An exported global.
    ///
    /// # Errors
    ///
    /// [`Error::ExportNotFound`] and [`Error::ExportKind`] if there is none of that name.
    pub fn global(&mut self, export: &str) -> Result<wasmtime::Global, Error> {
        self.guest.export(export, "global", Extern::into_global)
    }

    /// An exported table.
    ///
    /// # Errors
    ///
    /// [`Error::ExportNotFound`] and [`Error::ExportKind`] if there is none of that name.
    pub fn table(&mut self, export: &str) -> Result<wasmtime::Table, Error> {
        self.guest.export(export, "table", Extern::into_table)
    }

    /// The fuel that is left, in wasmtime's units: about one an instruction.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if the engine was made without [`EngineOptions::fuel`](crate::EngineOptions::fuel).
    pub fn fuel(&self) -> Result<u64, Error> {
        self.guest.store.get_fuel().map_err(|_| no_fuel())
    }

    /// Sets the fuel that is left. A guest that uses it up traps with
    /// [`OutOfFuel`](wasmtime::Trap::OutOfFuel). With [`InstanceOptions::fuel`], the next call sets it again.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if the engine was made without [`EngineOptions::fuel`](crate::EngineOptions::fuel).
    pub fn set_fuel(&mut self, fuel: u64) -> Result<(), Error> {
        self.guest.store.set_fuel(fuel).map_err(|_| no_fuel())?;
        self.guest.control.set_fuel(fuel);
        Ok(())
    }
}

fn no_fuel() -> Error {
    unsupported("fuel", "fuel")
}

impl<S: 'static> AsContext for StoreGuard<'_, S> {
    type Data = S;

    fn as_context(&self) -> StoreContext<'_, S> {
        self.guest.store.as_context()
    }
}

impl<S: 'static> AsContextMut for StoreGuard<'_, S> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, S> {
        self.guest.store.as_context_mut()
    }
}

impl<S: fmt::Debug + 'static> fmt::Debug for StoreGuard<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreGuard").field("data", self.guest.store.data()).finish_non_exhaustive()
    }
}

impl<S: 'static> fmt::Debug for Instance<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("module", &self.pre.module().name())
            .field("home", &self.home)
            .finish()
    }
}
