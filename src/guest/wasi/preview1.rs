//! [`add_to_linker`]: defines the functions of WASI preview 1 in a linker. Most are wasmtime-wasi's; those that concern time, yielding
//! and the program's end are here, except `poll_oneoff`, which is in `poll`.

use crate::call::yield_now::{YieldNow, yield_now};
use crate::error::Error;
#[cfg(feature = "freeze")]
use crate::guest::freeze::resumable::register;
use crate::guest::host_wait::HostWait;
use crate::guest::waiting::define_waiting;
use crate::guest::wasi::clocks::GuestClock;
use crate::guest::wasi::ctx::WasiCtx;
use crate::guest::wasi::failure::{Failure, errno};
use crate::guest::wasi::memory::{pointer, with_memory};
#[cfg(feature = "checkpoint")]
use crate::guest::wasi::opening::define_opening;
use crate::guest::wasi::poll::poll_oneoff;
#[cfg(feature = "freeze")]
use crate::guest::wasi::poll_saved::again;
use crate::guest::wasi::polled::{MODULE, POLL_ONEOFF, Parameters};
use crate::wait::clock::Clock;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use wasmtime::{Caller, Linker};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p1::types::{Clockid, Errno};

/// Defines WASI preview 1 in a linker. `ctx` finds the guest's context in the state of its store.
///
/// # Errors
///
/// [`Error::Wasmtime`] if the linker has one of the functions already, and does not allow shadowing.
pub fn add_to_linker<S: Send + 'static>(
    linker: &mut Linker<S>,
    ctx: impl Fn(&mut S) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    wasmtime_wasi::p1::add_to_linker_async(linker, move |state| ctx(state).preview1())?;

    // Defining a function a second time shows whether the linker allows shadowing. It cannot be asked.
    let allows_shadowing = define_sched_yield(linker).is_ok();
    linker.allow_shadowing(true);
    let defined = define_ours(linker, ctx);
    linker.allow_shadowing(allows_shadowing);
    defined
}

fn define_sched_yield<S: Send + 'static>(linker: &mut Linker<S>) -> Result<(), Error> {
    define_waiting(linker, MODULE, "sched_yield", |_, (): (), _| HostWait {
        future: SchedYield(yield_now()),
        waited: || Duration::ZERO,
        may_last: false,
    })
}

/// A yield that tells the guest of its success.
struct SchedYield(YieldNow);

impl Future for SchedYield {
    type Output = i32;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<i32> {
        Pin::new(&mut self.0).poll(context).map(|()| Errno::Success as i32)
    }
}

/// Defines the functions that differ from wasmtime-wasi's.
fn define_ours<S: Send + 'static>(
    linker: &mut Linker<S>,
    ctx: impl Fn(&mut S) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    define_sched_yield(linker)?;
    linker.func_wrap_async(
        MODULE,
        POLL_ONEOFF,
        move |mut caller: Caller<'_, S>, parameters: Parameters| {
            Box::new(async move { errno(poll_oneoff(&mut caller, ctx, parameters).await) })
        },
    )?;
    #[cfg(feature = "freeze")]
    register(linker, MODULE, POLL_ONEOFF, again(ctx))?;
    linker.func_wrap(
        MODULE,
        "clock_time_get",
        move |mut caller: Caller<'_, S>, id: i32, _precision: i64, time: i32| {
            errno(clock_time_get(&mut caller, ctx, id, time))
        },
    )?;
    linker.func_wrap(
        MODULE,
        "clock_res_get",
        move |mut caller: Caller<'_, S>, id: i32, resolution: i32| {
            errno(clock_res_get(&mut caller, ctx, id, resolution))
        },
    )?;
    // wasmtime-wasi's `proc_exit` accepts no code above 125.
    linker.func_wrap(MODULE, "proc_exit", |code: i32| -> wasmtime::Result<()> {
        Err(I32Exit(code).into())
    })?;
    #[cfg(feature = "checkpoint")]
    define_opening(linker, MODULE, ctx)?;
    Ok(())
}

fn clock_time_get<S>(
    caller: &mut Caller<'_, S>,
    ctx: impl Fn(&mut S) -> &mut WasiCtx,
    id: i32,
    time: i32,
) -> Result<(), Failure> {
    let guest_clock = GuestClock::new(Clockid::try_from(id)?)?;
    let now = guest_clock.read(ctx(caller.data_mut()).clock());
    write_time(caller, time, now)
}

fn clock_res_get<S>(
    caller: &mut Caller<'_, S>,
    ctx: impl Fn(&mut S) -> &mut WasiCtx,
    id: i32,
    resolution: i32,
) -> Result<(), Failure> {
    GuestClock::new(Clockid::try_from(id)?)?;
    let shortest = ctx(caller.data_mut()).clock().resolution();
    write_time(caller, resolution, shortest)
}

/// Writes a time in nanoseconds, as all times of WASI are.
fn write_time<S>(caller: &mut Caller<'_, S>, to: i32, time: Duration) -> Result<(), Failure> {
    let nanoseconds = u64::try_from(time.as_nanos()).map_err(|_| Errno::Overflow)?;
    with_memory(caller, |memory| Ok(memory.write(pointer(to), nanoseconds)?))
}
