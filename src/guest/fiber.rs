//! How a call of a guest is suspended: on a stack of its own, by wasmtime's fibers. A claimed guest comes in, and a
//! [`Future`](crate::Future) goes out whose work has the guest until the call ends. Only this file knows how the work suspends;
//! `running` begins and ends it.

use crate::call::future::Future;
use crate::call::yield_now::yield_now;
use crate::error::Error;
use crate::error::trap::Trap;
#[cfg(feature = "wasi-p3-preview")]
use crate::guest::apart::Apart;
use crate::guest::export::Claimed;
#[cfg(feature = "freeze")]
use crate::guest::freeze::going_on::{go_on, parking};
#[cfg(feature = "freeze")]
use crate::guest::freeze::output::CallOutput;
#[cfg(feature = "freeze")]
use crate::guest::freeze::rewind::NewRewind;
#[cfg(feature = "freeze")]
use crate::guest::freeze::savable_steps::{SavableCall, SavableSteps};
use crate::guest::guest::Guest;
use crate::guest::home::Away;
use crate::guest::host_wait::HostWait;
use crate::guest::limit::limited::Limited;
use crate::guest::origin::BoxFuture;
use crate::guest::running::Running;
use crate::guest::trap::Attempt;
use crate::guest::trap_as_value::TrapAsValue;
use crate::guest::waiting::define_waiting;
use crate::outcome::Outcome;
use crate::step::interrupt::Interrupter;
use crate::trace::Traced;
#[cfg(feature = "freeze")]
use std::sync::Arc;
use std::time::Duration;
#[cfg(feature = "freeze")]
use wasmtime::TypedFunc;
use wasmtime::{AsContextMut, Linker, StoreContextMut, WasmParams, WasmResults};

/// The work of a call whose results are `R`.
pub(crate) trait CallWork<R>:
    std::future::Future<Output = Outcome<R>> + Send + 'static
{
}

impl<R, F> CallWork<R> for F where F: std::future::Future<Output = Outcome<R>> + Send + 'static {}

/// Makes the future of a call of an export.
#[inline]
pub(crate) fn future<S, P, R>(mut guest: Claimed<P, R, S>, params: P) -> Future<R>
where
    S: Send + 'static,
    P: WasmParams + Sync + 'static,
    R: WasmResults + Sync + 'static,
{
    let (interrupter, traced) = interrupter_and_trace(&mut guest);
    #[cfg(feature = "freeze")]
    if guest.control.park_after().is_some() {
        guest.begin_call();
        let export = guest.parts().1;
        let (name, function) = (export.name.clone(), export.func.clone());
        let call = parking(None, guest, name, function, params);
        return Future::from_parts(call, Some(interrupter), traced);
    }
    Future::from_parts(call(guest, params), Some(interrupter), traced)
}

/// Makes the future of a call of an export, whose result has a trap as a value.
pub(crate) fn try_future<S, P, R>(mut guest: Claimed<P, R, S>, params: P) -> Future<Result<R, Trap>>
where
    S: Send + 'static,
    P: WasmParams + Sync + 'static,
    R: WasmResults + Sync + 'static,
{
    let (interrupter, traced) = interrupter_and_trace(&mut guest);
    Future::from_parts(TrapAsValue::new(call(guest, params)), Some(interrupter), traced)
}

/// The interrupter of the call's steps, and the call's name in traces.
#[inline]
fn interrupter_and_trace<S, P, R>(
    guest: &mut Claimed<P, R, S>,
) -> (&'static dyn Interrupter, Traced)
where
    S: Send + 'static,
{
    let (guest, export) = guest.parts();
    (guest.control.stopper().interrupter(), Traced::export(&export.name, guest.control.number()))
}

/// The work of a call of an export.
pub(crate) fn call<S, P, R>(mut guest: Claimed<P, R, S>, params: P) -> impl CallWork<R>
where
    S: Send + 'static,
    P: WasmParams + Sync + 'static,
    R: WasmResults + Sync + 'static,
{
    guest.begin_call();
    async move {
        let (inside, export) = guest.parts();
        #[cfg(feature = "freeze")]
        let savable = SavableCall::of(inside);
        let mut running = Running::begin(inside, Attempt::Export(&export.name))?;
        let (store, control, _) = running.parts();
        let call = Limited::new(export.func.call_async(store, params), control);
        #[cfg(feature = "freeze")]
        {
            let (ended, saved) = SavableSteps::new(call, &savable, control).await;
            match saved {
                None => running.end(ended),
                Some(saved) => {
                    let name = export.name.clone();
                    let stopped = running.stop(ended, saved, &name)?;
                    // In a box, because few calls come here.
                    Box::pin(go_on(&mut guest, &name, stopped)).await
                }
            }
        }
        #[cfg(not(feature = "freeze"))]
        {
            let ended = call.await;
            running.end(ended)
        }
    }
}

/// The work of a call that was frozen, and whose guest is rewound once `function` is called.
#[cfg(feature = "freeze")]
pub(crate) fn thawed<S, T, How>(
    mut guest: Away<S>,
    export: Arc<str>,
    function: TypedFunc<(), T::Results>,
    rewind: NewRewind,
) -> Future<T>
where
    S: Send + 'static,
    T: CallOutput<How>,
{
    guest.begin_call();
    let interrupter = guest.control.stopper().interrupter();
    let traced = Traced::export(&export, guest.control.number());
    let call = T::work(parking(Some(rewind), guest, export, function, ()));
    Future::from_parts(call, Some(interrupter), traced)
}

/// Makes the future of a call that runs the user's `work` with the exports.
pub(crate) fn start<S, E, T>(
    mut guest: Away<S, E>,
    work: impl for<'a> FnOnce(StoreContextMut<'a, S>, &'a E) -> BoxFuture<'a, T> + Send + 'static,
) -> Future<T>
where
    S: Send + 'static,
    E: Send + Sync + 'static,
    T: Send + 'static,
{
    guest.begin_call();
    let Guest { control, .. } = &**guest;
    let (interrupter, traced) =
        (control.stopper().interrupter(), Traced::of_instance(control.number()));
    let call = async move {
        #[cfg(feature = "wasi-p3-preview")]
        let may_run_event_loop = guest.may_run_event_loop;
        let mut running = Running::begin(&mut **guest, Attempt::Start)?;
        let (store, control, exports) = running.parts();
        let work = async { work(store.as_context_mut(), exports).await };
        #[cfg(feature = "wasi-p3-preview")]
        let work = Apart::new(work, may_run_event_loop);
        let ended = Limited::new(work, control).await;
        running.end(ended)
    };
    Future::from_parts(call, Some(interrupter), traced)
}

/// Defines a host function, without parameters and results, by which the guest [yields](crate::Step::Yielded). The guest goes on in
/// the next step of its call.
///
/// The [kit for guests](crate::guest_kit) has one, as `env.yield`, beside one that sleeps and one that tells why a guest panics.
///
/// To have a guest wait for something, define an async host function with [`Linker::func_wrap_async`].
///
/// # Errors
///
/// [`Error::Wasmtime`] if the linker already has something of that name.
pub fn add_yield<S: Send + 'static>(
    linker: &mut Linker<S>,
    module: &str,
    name: &str,
) -> Result<(), Error> {
    define_waiting(linker, module, name, |_, (): (), _| HostWait {
        future: yield_now(),
        waited: || Duration::ZERO,
        may_last: false,
    })
}
