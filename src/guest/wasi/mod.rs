//! WASI preview 1, feature `wasi`: unmodified WASI programs as calls that cost nothing while they wait.
//!
//! This is [`wasmtime_wasi`], but for what concerns time, yielding and the program's end:
//!
//! - `sched_yield` yields: the call's step ends as [`Step::Yielded`](crate::Step::Yielded).
//! - `poll_oneoff`, and so `sleep`, `nanosleep`, `poll` and `select`, suspends the call until the first of its events, as
//!   [`Step::Waiting`](crate::Step::Waiting). If a time has come before the guest asked for it, and nothing else has, the call
//!   yields once, so that no guest can keep its worker by sleeping for no time at all.
//! - All times are those of the guest's own [`Clock`](crate::Clock). With a [`ManualClock`](crate::ManualClock), no real time
//!   gets into the guest, and a sleeping one is woken by a tick.
//! - `proc_exit(0)` is a success, for a call without results; any other code is [`Error::Exit`].
//!
//! A program runs by a call of its `_start`. Like a process it runs once: after `proc_exit`, with zero too, the instance is
//! poisoned, for the guest was left where it stood.
//!
//! ```
//! use wasm_jobs::wasi::{self, MemoryOutputPipe, WasiCtx, WasiCtxBuilder};
//! use wasm_jobs::{EngineOptions, Instance, JobPool, RayonGlobal, engine, wasmtime};
//!
//! let engine = engine(&EngineOptions::default())?;
//! let mut linker = wasmtime::Linker::<WasiCtx>::new(&engine);
//! wasi::add_to_linker(&mut linker, |ctx| ctx)?;
//! let module = wasmtime::Module::from_file(&engine, "guests/wasi/nap.wasm")?;
//!
//! let stdout = MemoryOutputPipe::new(64 * 1024);
//! let ctx = WasiCtxBuilder::new().args(["nap", "20"]).stdout(stdout.clone()).build()?;
//! let instance = Instance::new(&linker.instantiate_pre(&module)?, ctx)?;
//! let mut main = instance.call::<(), ()>("_start", ())?;
//! RayonGlobal.submit(main.to_job()?).wait(); // no thread of rayon sleeps with the guest
//! main.try_get_result()?;
//! assert_eq!(stdout.contents(), "slept for 20 ms\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Threads
//!
//! No tokio runtime is needed. wasmtime-wasi has one of its own, whose threads start when a guest first uses a real file,
//! and read and write there while the call waits. On a thread that is inside a runtime of the host's, that one is used;
//! if it is shut down before the file is read, the call fails with [`Error::Panic`]. A stream of the host's own that needs the
//! timers or sockets of a runtime must see to that itself.
//!
//! What a guest writes to the process's own standard output is written by the thread that runs the guest.
//!
//! # Errors that guests see
//!
//! They are wasmtime-wasi's and the specification's. A pointer that leads out of the guest's memory, or that is not
//! aligned, is `EFAULT` in `poll_oneoff` and the functions of the clock; in the other functions it ends the call, as
//! [`Error::Host`]. `EINVAL` is for a clock that is unknown, which the clocks of CPU time are, and for no subscriptions at all.

mod ctx;
mod lines;
mod poll;

pub use ctx::{WasiCtx, WasiCtxBuilder};
pub use lines::Lines;
pub use wasmtime_wasi::FsPerms;
pub use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};

use crate::call::yield_now::yield_now;
use crate::error::Error;
use crate::wait::clock::Clock;
use std::time::{Duration, SystemTime};
use wasmtime::{Caller, Extern, Linker};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p1::types::{Clockid, Errno};
use wiggle::{GuestError, GuestMemory, GuestPtr, GuestType};

const MODULE: &str = "wasi_snapshot_preview1";

/// Defines WASI preview 1 in a linker. `ctx` finds the guest's context in the state of its store.
///
/// # Errors
///
/// [`Error::Wasmtime`] if the linker has one of the functions already, and does not allow shadowing.
pub fn add_to_linker<S: Send + 'static>(
    linker: &mut Linker<S>,
    ctx: impl Fn(&mut S) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    wasmtime_wasi::p1::add_to_linker_async(linker, move |state| ctx(state).p1())?;

    // The linker has no other way to say whether shadowing is allowed in it.
    let allows_shadowing = define_yield(linker).is_ok();
    linker.allow_shadowing(true);
    let defined = define_ours(linker, ctx);
    linker.allow_shadowing(allows_shadowing);
    Ok(defined?)
}

fn define_yield<S: Send + 'static>(linker: &mut Linker<S>) -> wasmtime::Result<()> {
    linker.func_wrap_async(MODULE, "sched_yield", |_, ()| {
        Box::new(async {
            yield_now().await;
            Errno::Success as i32
        })
    })?;
    Ok(())
}

/// Defines what is to be otherwise than in wasmtime-wasi.
fn define_ours<S: Send + 'static>(
    linker: &mut Linker<S>,
    ctx: impl Fn(&mut S) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> wasmtime::Result<()> {
    define_yield(linker)?;
    linker.func_wrap_async(
        MODULE,
        "poll_oneoff",
        move |mut caller: Caller<'_, S>, parameters: poll::Parameters| {
            Box::new(async move { errno(poll::poll_oneoff(&mut caller, ctx, parameters).await) })
        },
    )?;
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
    // wasmtime-wasi's knows codes below 126 only.
    linker.func_wrap(MODULE, "proc_exit", |code: i32| -> wasmtime::Result<()> {
        Err(I32Exit(code).into())
    })?;
    Ok(())
}

fn clock_time_get<S>(
    caller: &mut Caller<'_, S>,
    ctx: impl Fn(&mut S) -> &mut WasiCtx,
    id: i32,
    time: i32,
) -> Result<(), Failure> {
    let clock = ctx(caller.data_mut()).clock();
    let now = match Clockid::try_from(id)? {
        Clockid::Realtime => since_1970(clock.wall_time()),
        Clockid::Monotonic => clock.now(),
        Clockid::ProcessCputimeId | Clockid::ThreadCputimeId => return Err(Errno::Inval.into()),
    };
    write_time(caller, time, now)
}

fn clock_res_get<S>(
    caller: &mut Caller<'_, S>,
    ctx: impl Fn(&mut S) -> &mut WasiCtx,
    id: i32,
    resolution: i32,
) -> Result<(), Failure> {
    let shortest = match Clockid::try_from(id)? {
        Clockid::Realtime | Clockid::Monotonic => ctx(caller.data_mut()).clock().resolution(),
        Clockid::ProcessCputimeId | Clockid::ThreadCputimeId => return Err(Errno::Inval.into()),
    };
    write_time(caller, resolution, shortest)
}

/// In nanoseconds, as all times of WASI are.
fn write_time<S>(caller: &mut Caller<'_, S>, to: i32, time: Duration) -> Result<(), Failure> {
    let nanoseconds = u64::try_from(time.as_nanos()).map_err(|_| Errno::Overflow)?;
    with_memory(caller, |memory| Ok(memory.write(pointer(to), nanoseconds)?))
}

/// Why a function of WASI fails.
enum Failure {
    /// The guest is told.
    Errno(Errno),
    /// The guest ends.
    Host(wasmtime::Error),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<GuestError> for Failure {
    fn from(error: GuestError) -> Self {
        Self::Errno(match error {
            GuestError::PtrOverflow
            | GuestError::PtrOutOfBounds { .. }
            | GuestError::PtrNotAligned { .. } => Errno::Fault,
            _ => Errno::Inval,
        })
    }
}

fn errno(outcome: Result<(), Failure>) -> wasmtime::Result<i32> {
    match outcome {
        Ok(()) => Ok(Errno::Success as i32),
        Err(Failure::Errno(errno)) => Ok(errno as i32),
        Err(Failure::Host(error)) => Err(error),
    }
}

/// The guest's memory, which is where every WASI program has it: in the export `memory`.
fn with_memory<S, R>(
    caller: &mut Caller<'_, S>,
    code: impl FnOnce(&mut GuestMemory<'_>) -> Result<R, Failure>,
) -> Result<R, Failure> {
    match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => code(&mut GuestMemory::Unshared(memory.data_mut(caller))),
        Some(Extern::SharedMemory(memory)) => code(&mut GuestMemory::Shared(memory.data())),
        _ => Err(Failure::Host(wasmtime::Error::msg("a WASI guest must export its memory"))),
    }
}

fn pointer<T>(address: i32) -> GuestPtr<T>
where
    T: GuestType,
{
    GuestPtr::new(address.cast_unsigned())
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
