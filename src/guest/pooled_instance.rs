//! [`PooledInstance`]: an instance that was checked out from an `instance_pool`; and [`OnReturn`], what happens to it when it comes back.

use crate::call::future::SendFuture;
use crate::error::Error;
use crate::error::trap::Trap;
#[cfg(feature = "freeze")]
use crate::guest::freeze::frozen::Frozen;
#[cfg(feature = "freeze")]
use crate::guest::freeze::output::CallOutput;
use crate::guest::instance::Instance;
use crate::guest::origin::BoxFuture;
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::Ordering::Relaxed;
#[cfg(feature = "wasi-p3-preview")]
use wasmtime::component::Accessor;
use wasmtime::{StoreContextMut, WasmParams, WasmResults};

/// What happens to an instance that comes back to its [`InstancePool`](crate::InstancePool).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnReturn {
    /// The guest stays as it is, poisoned or not.
    Keep,
    /// The guest stays as it is, unless it is [poisoned](Instance#poisoning). Then the next caller gets a new one.
    #[default]
    ResetIfPoisoned,
    /// The next caller gets a new guest, so that no request sees what another has left in memory.
    Reset,
}

/// An [`Instance`] that was checked out from an [`InstancePool`](crate::InstancePool). Dropping it returns the guest to the pool: at once, or
/// when the call in progress ends.
///
/// It has the functions of an [`Instance`]. [`call`](Self::call), [`try_call`](Self::try_call), [`start`](Self::start) and, with the feature
/// `freeze`, `thaw` give [`SendFuture`]s, because such an instance is for owners that travel.
///
/// A [`Func`](crate::Func) of it is of no use once the guest has gone back: its calls are refused with
/// [`Error::GivenBack`](crate::Error::GivenBack).
///
/// ```
/// # use wasm_jobs::{EngineOptions, Error, Instance, InstancePool, engine, wasmtime};
/// # let engine = engine(&EngineOptions::default())?;
/// # let module = wasmtime::Module::new(&engine, wat::parse_str(r#"(module (func (export "run")))"#)?)?;
/// # let pre = wasmtime::Linker::<()>::new(&engine).instantiate_pre(&module)?;
/// let pool = InstancePool::new(1, move || Instance::new(&pre, ()))?;
/// let instance = pool.try_get()?;
/// let run = instance.func::<(), ()>("run")?;
/// let mut future = run.call(())?;
/// drop(instance);
/// assert_eq!(pool.stats().out, 1, "its call is in progress");
/// future.wait()?;
/// assert_eq!(pool.stats().out, 0);
/// assert!(matches!(run.call(()), Err(Error::GivenBack)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PooledInstance<S: 'static, E: 'static = wasmtime::Instance> {
    instance: Instance<S, E>,
}

impl<S: 'static, E: 'static> PooledInstance<S, E> {
    /// The instance has a loan.
    pub(super) fn new(instance: Instance<S, E>) -> Self {
        Self { instance }
    }

    /// The instance as a plain one, for what takes an [`Instance`], such as a wrapper. It still goes back when it is dropped.
    #[must_use]
    pub fn into_instance(self) -> Instance<S, E> {
        self.instance
    }

    /// Gives the instance back, and has the pool make a new one in its place, whatever [`OnReturn`] says.
    pub fn discard(self) {
        self.instance.recipe.is_discarded.store(true, Relaxed);
    }
}

impl<S: Send + 'static, E: Send + Sync + 'static> PooledInstance<S, E> {
    /// Makes a call as [`Instance::start`] does, whose owner may travel.
    ///
    /// # Errors
    ///
    /// As [`Instance::start`].
    pub fn start<T: Send + 'static>(
        &self,
        work: impl for<'a> FnOnce(StoreContextMut<'a, S>, &'a E) -> BoxFuture<'a, T> + Send + 'static,
    ) -> Result<SendFuture<T>, Error> {
        Ok(self.instance.start(work)?.into_send())
    }

    /// Makes a call as [`Instance::start_concurrent`] does, whose owner may travel.
    ///
    /// # Errors
    ///
    /// As [`Instance::start_concurrent`].
    #[cfg(feature = "wasi-p3-preview")]
    pub fn start_concurrent<T: Send + 'static>(
        &self,
        work: impl for<'a> FnOnce(&'a Accessor<S>, &'a E) -> BoxFuture<'a, T> + Send + 'static,
    ) -> Result<SendFuture<T>, Error> {
        Ok(self.instance.start_concurrent(work)?.into_send())
    }
}

impl<S: Send + 'static> PooledInstance<S> {
    /// Makes a call as [`Instance::call`] does, whose owner may travel.
    ///
    /// # Errors
    ///
    /// As [`Instance::call`].
    pub fn call<P, R>(&self, export: &str, params: P) -> Result<SendFuture<R>, Error>
    where
        P: WasmParams + Sync + 'static,
        R: WasmResults + Sync + 'static,
    {
        Ok(self.instance.call(export, params)?.into_send())
    }

    /// Makes a call as [`Instance::try_call`] does, whose owner may travel.
    ///
    /// # Errors
    ///
    /// As [`Instance::try_call`].
    pub fn try_call<P, R>(
        &self,
        export: &str,
        params: P,
    ) -> Result<SendFuture<Result<R, Trap>>, Error>
    where
        P: WasmParams + Sync + 'static,
        R: WasmResults + Sync + 'static,
    {
        Ok(self.instance.try_call(export, params)?.into_send())
    }

    /// Brings the guest to the middle of a call as [`Instance::thaw`] does. The owner of the call may travel.
    ///
    /// ```
    /// # use wasm_jobs::{EngineOptions, Instance, InstancePool, PrepareOptions, SendFuture, Step, add_yield, engine, prepare_with, wasmtime};
    /// # let engine = engine(&EngineOptions::default())?;
    /// # let mut linker = wasmtime::Linker::<()>::new(&engine);
    /// # add_yield(&mut linker, "env", "yield")?;
    /// # let wasm = wat::parse_str(r#"(module (import "env" "yield" (func $yield))
    /// #     (func (export "double") (param i32) (result i32) (call $yield) (i32.mul (local.get 0) (i32.const 2))))"#)?;
    /// # let pre = prepare_with(&engine, wasm, &PrepareOptions::default().freezable(true))?.instantiate_pre(&linker)?;
    /// let pool = InstancePool::new(2, move || Instance::new(&pre, ()))?;
    /// let mut future: SendFuture<i32> = pool.try_get()?.call("double", 21)?;
    /// assert_eq!(future.resume()?, Step::Yielded);
    /// let frozen = future.freeze()?; // its instance goes back to the pool, which resets it
    ///
    /// let mut future: SendFuture<i32> = pool.try_get()?.thaw(&frozen)?;
    /// assert_eq!(future.wait()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Instance::thaw`].
    #[cfg(feature = "freeze")]
    pub fn thaw<T, How>(&self, frozen: &Frozen<T>) -> Result<SendFuture<T>, Error>
    where
        T: CallOutput<How>,
    {
        Ok(self.instance.thaw(frozen)?.into_send())
    }
}

impl<S: 'static, E: 'static> Deref for PooledInstance<S, E> {
    type Target = Instance<S, E>;

    fn deref(&self) -> &Instance<S, E> {
        &self.instance
    }
}

impl<S: 'static, E: 'static> fmt::Debug for PooledInstance<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PooledInstance").field(&self.instance).finish()
    }
}
