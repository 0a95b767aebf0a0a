//! [`Func`]: an export, looked up and checked once for many calls; and the functions of [`Instance`] that make calls.

use crate::call::future::Future;
use crate::error::Error;
use crate::error::trap::Trap;
use crate::guest::export::{Claimed, Export};
use crate::guest::fiber;
use crate::guest::home::{Away, claim, with_guest};
use crate::guest::instance::Instance;
use std::fmt;
use std::sync::Arc;
use wasmtime::{WasmParams, WasmResults};

/// An exported function of one [`Instance`], with its signature: what a [`TypedFunc`](wasmtime::TypedFunc) is to a store.
///
/// It stays valid after [`Instance::reset`]: the next call looks the function up in the new guest, once for all clones.
///
/// ```
/// # use wasm_jobs::{EngineOptions, Instance, engine, wasmtime};
/// # let engine = engine(&EngineOptions::default())?;
/// # let wasm = wat::parse_str(r#"(module (func (export "square") (param i32) (result i32)
/// #     local.get 0 local.get 0 i32.mul))"#)?;
/// # let module = wasmtime::Module::new(&engine, wasm)?;
/// # let linker = wasmtime::Linker::<()>::new(&engine);
/// let instance = Instance::new(&linker.instantiate_pre(&module)?, ())?;
/// let square = instance.func::<i32, i32>("square")?;
/// for n in 0..10 {
///     assert_eq!(square.call(n)?.wait()?, n * n);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Func<P, R, S: 'static = ()> {
    export: Arc<Export<P, R, S>>,
}

impl<P, R, S> Func<P, R, S>
where
    P: WasmParams + Sync + 'static,
    R: WasmResults + Sync + 'static,
    S: Send + 'static,
{
    /// Makes a call. This only claims the instance; the guest runs when the future is resumed.
    ///
    /// # Errors
    ///
    /// - [`Error::CallInProgress`] if a call or a guard has the instance;
    /// - [`Error::Poisoned`] if an earlier call ended without returning;
    /// - after a reset, those of [`Instance::func`], if the new guest has no such function.
    #[inline]
    pub fn call(&self, params: P) -> Result<Future<R>, Error> {
        Ok(fiber::future(self.claim()?, params))
    }

    #[inline]
    pub(crate) fn claim(&self) -> Result<Claimed<P, R, S>, Error> {
        self.export.claim()
    }

    /// Makes a call as [`call`](Self::call) does, but its result has a trap as a value. All other failures are still errors.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub fn try_call(&self, params: P) -> Result<Future<Result<R, Trap>>, Error> {
        Ok(fiber::try_future(self.claim()?, params))
    }

    /// The name of the export.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.export.name
    }
}

impl<S: Send + 'static> Instance<S> {
    /// Makes a call of an exported function: looks it up, checks its signature, and claims the instance. The guest runs when the
    /// future is resumed. The future stays on this thread; [`Future::to_job`] splits off a runner for other threads.
    ///
    /// # Errors
    ///
    /// - [`Error::CallInProgress`] if a call, which goes on undisturbed, or a guard has the instance;
    /// - [`Error::Poisoned`] if an earlier call ended without returning;
    /// - [`Error::ExportNotFound`], [`Error::ExportKind`] and [`Error::Signature`] if there is no such function.
    pub fn call<P, R>(&self, export: &str, params: P) -> Result<Future<R>, Error>
    where
        P: WasmParams + Sync + 'static,
        R: WasmResults + Sync + 'static,
    {
        Ok(fiber::future(self.claim(export)?, params))
    }

    /// Makes a call as [`call`](Self::call) does, but its result has a trap as a value. All other failures, such as a timeout, are
    /// still errors.
    ///
    /// A trap [poisons](Self#poisoning) the instance all the same.
    ///
    /// ```
    /// # use wasm_jobs::{EngineOptions, Instance, engine, wasmtime};
    /// # let engine = engine(&EngineOptions::default())?;
    /// # let wasm = wat::parse_str(r#"(module (func (export "divide") (param i32 i32) (result i32)
    /// #     local.get 0 local.get 1 i32.div_s))"#)?;
    /// # let module = wasmtime::Module::new(&engine, wasm)?;
    /// # let linker = wasmtime::Linker::<()>::new(&engine);
    /// # let instance = Instance::new(&linker.instantiate_pre(&module)?, ())?;
    /// let end = instance.try_call::<(i32, i32), i32>("divide", (1, 0))?.wait()?;
    /// let trap = end.expect_err("nothing can be divided by zero");
    /// assert_eq!(trap.code(), wasmtime::Trap::IntegerDivisionByZero);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub fn try_call<P, R>(&self, export: &str, params: P) -> Result<Future<Result<R, Trap>>, Error>
    where
        P: WasmParams + Sync + 'static,
        R: WasmResults + Sync + 'static,
    {
        Ok(fiber::try_future(self.claim(export)?, params))
    }

    fn claim<P, R>(&self, export: &str) -> Result<Claimed<P, R, S>, Error>
    where
        P: WasmParams + Sync + 'static,
        R: WasmResults + Sync + 'static,
    {
        let mut guest: Away<S> = claim(self.home())?;
        guest.refuse_if_poisoned()?;
        let export = Export::look_up(self.home(), &mut guest, export.into())?;
        Ok(guest.via(export))
    }

    /// Looks an exported function up, and checks its signature, for many calls.
    ///
    /// This needs the guest's store for a moment, so it is refused while a call has the store. It refuses no call itself: a call that
    /// another thread makes in that moment waits.
    ///
    /// # Errors
    ///
    /// - [`Error::CallInProgress`] if a call or a guard has the instance;
    /// - [`Error::Poisoned`] if there is no guest, because a [`reset`](Self::reset) failed;
    /// - [`Error::ExportNotFound`], [`Error::ExportKind`] and [`Error::Signature`] if there is no such function.
    pub fn func<P, R>(&self, export: &str) -> Result<Func<P, R, S>, Error>
    where
        P: WasmParams + Sync + 'static,
        R: WasmResults + Sync + 'static,
    {
        with_guest(self.home(), |guest| {
            Ok(Func { export: Export::look_up(self.home(), guest, export.into())? })
        })
    }

    /// Looks up several functions of one type.
    #[cfg(feature = "macros")]
    pub(crate) fn funcs<P, R>(&self, exports: &[&str]) -> Result<Vec<Func<P, R, S>>, Error>
    where
        P: WasmParams + Sync + 'static,
        R: WasmResults + Sync + 'static,
    {
        with_guest(self.home(), |guest| {
            let mut look_up = |&export: &&str| Export::look_up(self.home(), guest, export.into());
            exports.iter().map(|export| Ok(Func { export: look_up(export)? })).collect()
        })
    }
}

impl<P, R, S: 'static> Clone for Func<P, R, S> {
    fn clone(&self) -> Self {
        Self { export: self.export.clone() }
    }
}

impl<P, R, S: 'static> fmt::Debug for Func<P, R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Func").field("name", &self.export.name).finish_non_exhaustive()
    }
}
