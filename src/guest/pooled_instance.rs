//! [`PooledInstance`]: an instance that was checked out from an `instance_pool`. Its guest leaves its home for the pool when
//! this is dropped, and [`OnReturn`] says what happens to it there.

use crate::guest::instance::Instance;
use std::fmt;
use std::ops::Deref;

/// What happens to an instance that comes back to its [`InstancePool`](crate::InstancePool).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnReturn {
    /// It stays as it is, poisoned or not.
    Keep,
    /// It stays as it is, unless it is [poisoned](Instance#poisoning).
    #[default]
    ResetIfPoisoned,
    /// It is thrown away, and the next caller gets a new one: no request sees what another has left in the guest.
    Reset,
}

/// An [`Instance`] that was checked out from an [`InstancePool`](crate::InstancePool). Dropping it gives the instance back.
///
/// A [`Func`](crate::Func) of it is of no use after that: its calls are refused with [`Error::GivenBack`](crate::Error::GivenBack).
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
    /// The home of the instance must be one that it can be recalled from.
    pub(super) fn new(instance: Instance<S, E>) -> Self {
        Self { instance }
    }
}

impl<S: 'static, E: 'static> Deref for PooledInstance<S, E> {
    type Target = Instance<S, E>;

    fn deref(&self) -> &Instance<S, E> {
        &self.instance
    }
}

impl<S: 'static, E: 'static> Drop for PooledInstance<S, E> {
    fn drop(&mut self) {
        self.instance.home.recall();
    }
}

impl<S: 'static, E: 'static> fmt::Debug for PooledInstance<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PooledInstance").field(&self.instance).finish()
    }
}
