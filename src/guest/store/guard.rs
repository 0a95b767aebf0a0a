//! [`StoreGuard`]: the store of an instance between two calls.

use crate::call::lease::Leased;
use crate::error::{Error, Mismatch};
use crate::guest::Instance;
use crate::guest::guest::Guest;
use crate::guest::limit::options::unsupported;
use std::fmt;
use std::marker::PhantomData;
use wasmtime::{
    AsContext, AsContextMut, Extern, Mutability, RefType, StoreContext, StoreContextMut, Val,
    ValType,
};

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
pub struct StoreGuard<'a, S: 'static, E: 'static = wasmtime::Instance> {
    guest: Leased<Box<Guest<S, E>>>,
    instance: PhantomData<&'a Instance<S, E>>,
}

impl<S: Send + 'static, E: Send + Sync + 'static> StoreGuard<'_, S, E> {
    pub(crate) fn new(guest: Leased<Box<Guest<S, E>>>) -> Self {
        Self { guest, instance: PhantomData }
    }

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

    /// The store and its exports, to call these between calls: the methods of a struct that `bindgen!` has written take both.
    ///
    /// Such a call has no time slice and no limits in time, and an [`increment_epoch`](wasmtime::Engine::increment_epoch) does not stop
    /// it. wasmtime refuses synchronous calls in the store of a guest that imports asynchronous functions, or that has had a
    /// slice of [fuel](crate::Slice::Fuel): there, use `call_async`.
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
    /// [`Error::Poisoned`] if there are none, because a [`reset`](Instance::reset) failed.
    pub fn parts(&mut self) -> Result<(StoreContextMut<'_, S>, &E), Error> {
        let Guest { store, exports, .. } = &mut **self.guest;
        Ok((store.as_context_mut(), exports.as_ref().ok_or(Error::Poisoned)?))
    }

    /// The exports, as they were made for this store.
    ///
    /// # Errors
    ///
    /// [`Error::Poisoned`] if there are none, because a [`reset`](Instance::reset) failed.
    pub fn exports(&self) -> Result<&E, Error> {
        self.guest.exports.as_ref().ok_or(Error::Poisoned)
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
    /// wasmtime's own instance, for exports that have no function here.
    ///
    /// # Errors
    ///
    /// [`Error::Poisoned`] if there is no guest, because a [`reset`](Instance::reset) failed.
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

    /// What is in an exported global.
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
    /// [`Error::ExportNotFound`] and [`Error::ExportKind`] if there is no global of that name, and [`Error::Signature`] if it is
    /// of another type.
    pub fn get_global<T: GlobalType>(&mut self, export: &str) -> Result<T, Error> {
        let global = self.global(export)?;
        let value = global.get(&mut *self);
        T::from_val(value).ok_or_else(|| self.other_type::<T>(export, &global))
    }

    /// Changes what is in an exported global.
    ///
    /// # Errors
    ///
    /// As [`get_global`](Self::get_global), and [`Error::Signature`] too if it cannot be changed.
    pub fn set_global<T: GlobalType>(&mut self, export: &str, value: T) -> Result<(), Error> {
        let global = self.global(export)?;
        global.set(&mut *self, value.into_val()).map_err(|_| {
            let found = global_type(&global.ty(&*self));
            Error::Signature(Box::new(Mismatch {
                export: export.into(),
                expected: format!("mut {}", T::NAME),
                found,
            }))
        })
    }

    fn other_type<T: GlobalType>(&self, export: &str, global: &wasmtime::Global) -> Error {
        Error::Signature(Box::new(Mismatch {
            export: export.into(),
            expected: T::NAME.into(),
            found: global_type(&global.ty(self)),
        }))
    }
}

/// What a global of a number holds: `i32`, `i64`, `f32`, `f64`, or a [`V128`](wasmtime::V128).
pub trait GlobalType: sealed::GlobalType {}

mod sealed {
    use wasmtime::Val;

    pub trait GlobalType: Sized {
        const NAME: &'static str;
        fn from_val(value: Val) -> Option<Self>;
        fn into_val(self) -> Val;
    }
}

macro_rules! global_types {
    ($($type:ty, $name:literal, $get:ident;)*) => {$(
        impl GlobalType for $type {}

        impl sealed::GlobalType for $type {
            const NAME: &'static str = $name;

            fn from_val(value: Val) -> Option<Self> {
                value.$get()
            }

            fn into_val(self) -> Val {
                self.into()
            }
        }
    )*};
}

global_types! {
    i32, "i32", i32;
    i64, "i64", i64;
    f32, "f32", f32;
    f64, "f64", f64;
    wasmtime::V128, "v128", v128;
}

/// A type, in the words of the text format.
pub(crate) fn global_type(ty: &wasmtime::GlobalType) -> String {
    let mutability = if ty.mutability() == Mutability::Var { "mut " } else { "" };
    format!("{mutability}{}", val_type(ty.content()))
}

pub(crate) fn val_type(ty: &ValType) -> String {
    match ty {
        ValType::Ref(ty) if RefType::eq(ty, &RefType::FUNCREF) => "funcref".into(),
        ValType::Ref(ty) if RefType::eq(ty, &RefType::EXTERNREF) => "externref".into(),
        ty => ty.to_string(),
    }
}

fn no_fuel() -> Error {
    unsupported("fuel", "fuel")
}

impl<S: 'static, E> AsContext for StoreGuard<'_, S, E> {
    type Data = S;

    fn as_context(&self) -> StoreContext<'_, S> {
        self.guest.store.as_context()
    }
}

impl<S: 'static, E> AsContextMut for StoreGuard<'_, S, E> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, S> {
        self.guest.store.as_context_mut()
    }
}

impl<S: fmt::Debug + 'static, E> fmt::Debug for StoreGuard<'_, S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreGuard").field("data", self.guest.store.data()).finish_non_exhaustive()
    }
}
