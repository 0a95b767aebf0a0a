//! How a call of an export is suspended: on a stack of its own, by wasmtime's fibers. What comes out is the work of a
//! [`Future`](crate::Future); nothing outside this file knows how it stops and goes on.

use crate::call::future::Future;
use crate::call::lease::Leased;
use crate::call::yield_now::yield_now;
use crate::error::{Error, Trap};
use crate::guest::func::Claimed;
use crate::guest::guest::{BoxFuture, Guest, Home};
use crate::guest::limit::limited::Limited;
use crate::guest::trap::wasm_failed;
use crate::step::interrupt::Interrupter;
use crate::trace::Traced;
use wasmtime::{AsContextMut, Linker, StoreContextMut, WasmParams, WasmResults};

/// The work of a call whose results are `R`.
pub(crate) trait Work<R>:
    std::future::Future<Output = Result<R, Error>> + Send + 'static
{
}

impl<R, F> Work<R> for F where F: std::future::Future<Output = Result<R, Error>> + Send + 'static {}

/// The call.
#[inline]
pub(crate) fn future<S, P, R>(mut guest: Claimed<P, R, S>, params: P) -> Future<R>
where
    S: Send + 'static,
    P: WasmParams + Sync + 'static,
    R: WasmResults + Sync + 'static,
{
    let (ticker, traced) = seen_from_outside(&mut guest);
    Future::from_parts(call(guest, params), Some(ticker), traced)
}

/// The call, whose result may be a trap.
pub(crate) fn try_future<S, P, R>(mut guest: Claimed<P, R, S>, params: P) -> Future<Result<R, Trap>>
where
    S: Send + 'static,
    P: WasmParams + Sync + 'static,
    R: WasmResults + Sync + 'static,
{
    let (ticker, traced) = seen_from_outside(&mut guest);
    let call = call(guest, params);
    let with_trap = async {
        match call.await {
            Ok(results) => Ok(Ok(results)),
            Err(Error::Trap(trap)) => Ok(Err(trap)),
            Err(error) => Err(error),
        }
    };
    Future::from_parts(with_trap, Some(ticker), traced)
}

/// How the call is interrupted, and what it is called.
#[inline]
fn seen_from_outside<S, P, R>(guest: &mut Claimed<P, R, S>) -> (&'static dyn Interrupter, Traced) {
    let (guest, export) = guest.parts();
    (guest.control.interrupter(), Traced::export(&export.name, guest.control.number()))
}

/// The call, as work that has the guest until it ends.
pub(crate) fn call<S, P, R>(mut guest: Claimed<P, R, S>, params: P) -> impl Work<R>
where
    S: Send + 'static,
    P: WasmParams + Sync + 'static,
    R: WasmResults + Sync + 'static,
{
    let Guest { store, control, .. } = &mut **guest;
    control.begin_call(store);
    async move {
        // Until the guest has proved well: a trap leaves here by `Err`, a host panic by unwinding, and a call that is given up
        // by being dropped.
        let (guest, export) = guest.parts();
        if let Some(timeout) = guest.control.is_too_late() {
            return Err(Error::TimedOut(timeout));
        }
        guest.poisoned = true;
        let Guest { store, control, .. } = &mut **guest;
        control.set_deadline(store);
        let call = export.func.call_async(store, params);
        match Limited::new(call, control).await {
            Ok(results) => {
                guest.poisoned = false;
                Ok(results)
            }
            Err(error) => failed(error, guest, || format!("export {:?}", export.name).into()),
        }
    }
}

/// What the user does with the guest's exports, as a call.
pub(crate) fn start<S, E, T>(
    mut guest: Leased<Box<Guest<S, E>>, Home<S, E>>,
    work: impl for<'a> FnOnce(StoreContextMut<'a, S>, &'a E) -> BoxFuture<'a, T> + Send + 'static,
) -> Future<T>
where
    S: Send + 'static,
    E: Send + Sync + 'static,
    T: Send + 'static,
{
    let Guest { store, control, .. } = &mut **guest;
    control.begin_call(store);
    let (ticker, traced) = (control.interrupter(), Traced::of_instance(control.number()));
    let call = async move {
        let guest = &mut *guest;
        if let Some(timeout) = guest.control.is_too_late() {
            return Err(Error::TimedOut(timeout));
        }
        // As above.
        guest.poisoned = true;
        let Guest { store, control, exports, .. } = &mut **guest;
        let Some(exports) = exports else { unreachable!("only a poisoned guest has none") };
        control.set_deadline(store);
        let call = async { work(store.as_context_mut(), exports).await };
        match Limited::new(call, control).await {
            Ok(result) => {
                // The work may have made a value of the trap that this was.
                if let Some(timeout) = guest.control.timed_out() {
                    return Err(Error::TimedOut(timeout));
                }
                guest.poisoned = false;
                Ok(result)
            }
            Err(error) => failed(error, guest, || "what was started on an instance".into()),
        }
    };
    Future::from_parts(call, Some(ticker), traced)
}

/// What comes of a call that ended before its end.
fn failed<S: Send + 'static, E, R: 'static>(
    error: wasmtime::Error,
    guest: &mut Guest<S, E>,
    name: impl FnOnce() -> Box<str>,
) -> Result<R, Error> {
    if let Some(timeout) = guest.control.timed_out() {
        return Err(Error::TimedOut(timeout));
    }
    match wasm_failed(error, &mut guest.store, name) {
        Error::Wasmtime(error) => Err(Error::Host(error)),
        #[cfg(feature = "wasi")]
        Error::Exit(0) => no_results().ok_or(Error::Exit(0)),
        error => Err(error),
    }
}

/// The results of a function that has none; nothing for any other.
#[cfg(feature = "wasi")]
fn no_results<R: 'static>() -> Option<R> {
    let mut none = Some(());
    (&mut none as &mut dyn std::any::Any).downcast_mut::<Option<R>>()?.take()
}

/// Defines a host function without parameters or results that suspends the guest: its call has
/// [yielded](crate::Step::Yielded), and goes on with the next step.
///
/// Host functions that wait for something are ordinary async Rust, by [`Linker::func_wrap_async`].
///
/// # Errors
///
/// [`Error::Wasmtime`] if the linker has something of that name already.
pub fn add_yield<S: Send + 'static>(
    linker: &mut Linker<S>,
    module: &str,
    name: &str,
) -> Result<(), Error> {
    linker.func_wrap_async(module, name, |_, ()| Box::new(yield_now()))?;
    Ok(())
}
