//! [`StoreGuard`]: the store of an instance between two calls.

use crate::error::{Error, Mismatch};
use crate::guest::guest::Guest;
use crate::guest::home::{Away, Home};
use crate::guest::limit::options::unsupported;
use crate::guest::store::global::GlobalType;
use crate::guest::types::global_type;
use std::fmt;
use std::marker::PhantomData;
use wasmtime::{AsContext, AsContextMut, Extern, StoreContext, StoreContextMut};

/// The store of an [`Instance`](crate::Instance) between two calls, from [`Instance::store`](crate::Instance::store).
///
/// wasmtime's functions take it wherever they take a store.
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
pub struct StoreGuard<'a, S: 'static, E: 'static = wasmtime::Instance> {
    guest: Away<S, E>,
    /// The instance outlives it.
    instance: PhantomData<&'a Home<S, E>>,
}

impl<S: Send + 'static, E: Send + Sync + 'static> StoreGuard<'_, S, E> {
    pub(crate) fn new(mut guest: Away<S, E>) -> Self {
        guest.ignore_flag();
        Self { guest, instance: PhantomData }
    }

    /// The state of the store.
    #[must_use]
    pub fn data(&self) -> &S {
        self.guest.store.data()
    }

    /// The state of the store, to be changed.
    #[must_use]
    pub fn data_mut(&mut self) -> &mut S {
        self.guest.store.data_mut()
    }

    /// The store and its exports, to call the exports directly: the methods of a struct that `bindgen!` has written take both.
    ///
    /// Such a call is wasmtime's own, and no call of the instance. It has no slice of time and no limits in time, and neither an
    /// [`increment_epoch`](wasmtime::Engine::increment_epoch) nor a [flag](crate::EngineOptions::stop_flags) stops it. A trap in it does not poison the instance, because
    /// wasmtime reports it only to the caller: if the guest may now be half-way through a change, call [`poison`](Self::poison).
    ///
    /// wasmtime refuses synchronous calls in the store of a guest that imports asynchronous functions, or that has had a slice of
    /// [fuel](crate::Slice::Fuel): there, use `call_async`.
    ///
    /// ```
    /// # use wasm_jobs::{EngineOptions, Instance, InstanceOptions, engine, wasmtime};
    /// # let engine = engine(&EngineOptions::default())?;
    /// # let wasm = wat::parse_str(r#"(module (func (export "answer") (result i32) (i32.const 42)))"#)?;
    /// # let pre = wasmtime::Linker::<()>::new(&engine).instantiate_pre(&wasmtime::Module::new(&engine, wasm)?)?;
    /// struct Exports { answer: wasmtime::TypedFunc<(), i32> }
    ///
    /// let instance = Instance::with_exports(&engine, InstanceOptions::default(), || (), move |mut store| {
    ///     let pre = pre.clone();
    ///     Box::pin(async move {
    ///         let instance = pre.instantiate_async(&mut store).await?;
    ///         Ok(Exports { answer: instance.get_typed_func(&mut store, "answer")? })
    ///     })
    /// })?;
    /// let mut guard = instance.store()?;
    /// let (store, exports) = guard.parts()?;
    /// assert_eq!(exports.answer.call(store, ())?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Poisoned`] if there are none, because a [`reset`](crate::Instance::reset) failed.
    pub fn parts(&mut self) -> Result<(StoreContextMut<'_, S>, &E), Error> {
        let Guest { store, exports, control, .. } = &mut **self.guest;
        control.set_deadline(store);
        Ok((store.as_context_mut(), exports.as_ref().ok_or(Error::Poisoned)?))
    }

    /// The exports that were made for this store.
    ///
    /// # Errors
    ///
    /// [`Error::Poisoned`] if there are none, because a [`reset`](crate::Instance::reset) failed.
    pub fn exports(&self) -> Result<&E, Error> {
        self.guest.exports.as_ref().ok_or(Error::Poisoned)
    }

    /// [Poisons](crate::Instance#poisoning) the instance, as a trap in one of its calls does.
    ///
    /// ```
    /// # use wasm_jobs::{EngineOptions, Error, Instance, engine, wasmtime};
    /// # let engine = engine(&EngineOptions::default())?;
    /// # let wasm = wat::parse_str(r#"(module (func (export "trap") (unreachable)))"#)?;
    /// # let pre = wasmtime::Linker::<()>::new(&engine).instantiate_pre(&wasmtime::Module::new(&engine, wasm)?)?;
    /// let instance = Instance::new(&pre, ())?;
    /// let mut store = instance.store()?;
    /// let trap = store.instance()?.get_typed_func::<(), ()>(&mut store, "trap")?;
    /// if trap.call(&mut store, ()).is_err() {
    ///     store.poison();
    /// }
    /// drop(store);
    /// assert!(instance.is_poisoned());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn poison(&mut self) {
        self.guest.control.poison().set();
    }

    /// The fuel that is left, in wasmtime's units: about one an instruction.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if the engine was made without [`EngineOptions::fuel`](crate::EngineOptions::fuel).
    pub fn fuel(&self) -> Result<u64, Error> {
        self.guest.store.get_fuel().map_err(|_| no_fuel())
    }

    /// Sets the fuel that is left, in wasmtime's units. A guest that uses it up traps with
    /// [`OutOfFuel`](wasmtime::Trap::OutOfFuel). With
    /// [`InstanceOptions::fuel`](crate::InstanceOptions::fuel), the next call sets it again.
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

impl<S: Send + 'static> StoreGuard<'_, S> {
    /// wasmtime's own instance, for exports that no other method gives.
    ///
    /// # Errors
    ///
    /// [`Error::Poisoned`] if there is no guest, because a [`reset`](crate::Instance::reset) failed.
    pub fn instance(&self) -> Result<wasmtime::Instance, Error> {
        self.exports().copied()
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

    /// An exported memory that is shared with threads.
    ///
    /// # Errors
    ///
    /// [`Error::ExportNotFound`] and [`Error::ExportKind`] if there is none of that name.
    pub fn shared_memory(&mut self, export: &str) -> Result<wasmtime::SharedMemory, Error> {
        self.guest.export(export, "shared memory", Extern::into_shared_memory)
    }

    /// The value of an exported global.
    ///
    /// ```
    /// # use wasm_jobs::{EngineOptions, Instance, engine, wasmtime};
    /// # let engine = engine(&EngineOptions::default())?;
    /// # let wasm = wat::parse_str(r#"(module (global (export "lives") (mut i32) (i32.const 3)))"#)?;
    /// # let module = wasmtime::Module::new(&engine, wasm)?;
    /// # let linker = wasmtime::Linker::<()>::new(&engine);
    /// # let instance = Instance::new(&linker.instantiate_pre(&module)?, ())?;
    /// let mut store = instance.store()?;
    /// let lives: i32 = store.get_global("lives")?;
    /// store.set_global("lives", lives - 1)?;
    /// # assert_eq!(store.get_global::<i32>("lives")?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::ExportNotFound`] and [`Error::ExportKind`] if there is no global of that name, and [`Error::WrongType`] if it is
    /// of another type.
    pub fn get_global<T: GlobalType>(&mut self, export: &str) -> Result<T, Error> {
        let global = self.global(export)?;
        let value = global.get(&mut *self);
        T::from_val(value).ok_or_else(|| self.wrong_type(export, T::NAME.into(), &global))
    }

    /// Sets the value of an exported global.
    ///
    /// # Errors
    ///
    /// As [`get_global`](Self::get_global), and [`Error::WrongType`] too if the global is immutable.
    pub fn set_global<T: GlobalType>(&mut self, export: &str, value: T) -> Result<(), Error> {
        let global = self.global(export)?;
        global
            .set(&mut *self, value.into_val())
            .map_err(|_| self.wrong_type(export, format!("mut {}", T::NAME), &global))
    }

    fn wrong_type(&self, export: &str, expected: String, global: &wasmtime::Global) -> Error {
        let found = global_type(&global.ty(self));
        Error::WrongType(Box::new(Mismatch { export: export.into(), expected, found }))
    }
}

fn no_fuel() -> Error {
    unsupported("fuel", "fuel")
}

/// Notes the fuel that is left for [`Instance::fuel_remaining`](crate::Instance::fuel_remaining). From now on, the guest can be stopped again.
impl<S: 'static, E: 'static> Drop for StoreGuard<'_, S, E> {
    fn drop(&mut self) {
        self.guest.heed_flag();
        if let Ok(fuel) = self.guest.store.get_fuel() {
            self.guest.control.set_fuel(fuel);
        }
    }
}

impl<S: 'static, E> AsContext for StoreGuard<'_, S, E> {
    type Data = S;

    fn as_context(&self) -> StoreContext<'_, S> {
        self.guest.store.as_context()
    }
}

impl<S: 'static, E> AsContextMut for StoreGuard<'_, S, E> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, S> {
        let Guest { store, control, .. } = &mut **self.guest;
        // The user may call the guest with the context.
        control.set_deadline(store);
        store.as_context_mut()
    }
}

impl<S: fmt::Debug + 'static, E> fmt::Debug for StoreGuard<'_, S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreGuard").field("data", self.guest.store.data()).finish_non_exhaustive()
    }
}
