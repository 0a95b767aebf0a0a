//! [`define_waiting`]: defines a host function of this library's in which a guest waits. With the feature `freeze`, it is resumable.

use crate::error::Error;
use crate::guest::host_wait::HostWait;
use std::time::Duration;
use wasmtime::{Caller, Linker};

#[cfg(feature = "freeze")]
use crate::guest::freeze::plain::{ResumableParams as Params, ResumableResults as Results};
#[cfg(feature = "freeze")]
use crate::guest::freeze::resumable::define;
#[cfg(not(feature = "freeze"))]
use wasmtime::{WasmRet as Results, WasmTyList as Params};

/// Defines a host function. `begin` begins the wait of a guest that has waited for some time already.
pub(crate) fn define_waiting<S, P, F, W>(
    linker: &mut Linker<S>,
    module: &str,
    name: &str,
    begin: impl Fn(&mut Caller<'_, S>, P, Duration) -> HostWait<F, W> + Send + Sync + 'static,
) -> Result<(), Error>
where
    S: Send + 'static,
    P: Params + 'static,
    F: std::future::Future<Output: Results> + Send + Unpin + 'static,
    W: Fn() -> Duration + Send + Sync + 'static,
{
    #[cfg(feature = "freeze")]
    define(linker, module, name, begin)?;
    #[cfg(not(feature = "freeze"))]
    linker.func_wrap_async(module, name, move |mut caller, params: P| {
        Box::new(begin(&mut caller, params, Duration::ZERO).future)
    })?;
    Ok(())
}
