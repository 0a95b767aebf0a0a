//! The host's side of the kit for guests: the functions that the kit imports. [`add_to_linker`] defines them for modules, and
//! [`add_to_component_linker`] for components.
//!
//! The kit is for those who write guests. It is in the folder `guest-kit` of the repository: a crate for Rust, a header for C, and an interface
//! for components. Its functions let a guest yield, sleep, and say why it panics:
//!
//! | a module imports | a component imports from `wasm-jobs:guest/host` | what happens |
//! |---|---|---|
//! | `env.yield ()` | `yield-now()` | the call [yields](crate::Step::Yielded) |
//! | `env.sleep (nanoseconds: i64)` | `sleep(nanoseconds: u64)` | the call [waits](crate::Step::Waiting) for so long; if that is no time at all, it yields |
//! | `env.panic (address: i32, bytes: i32)` | `panic(message: string)` | the guest traps, and the trap has this [message](crate::Trap::message) |
//!
//! ```
//! use std::time::Duration;
//! use wasm_jobs::{EngineOptions, Instance, ManualClock, Step, engine, guest_kit, wasmtime};
//!
//! const GUEST: &str = r#"(module
//!     (import "env" "sleep" (func $sleep (param i64)))
//!     (import "env" "panic" (func $panic (param i32 i32)))
//!     (memory (export "memory") 1)
//!     (data (i32.const 0) "the berries are gone")
//!     (func (export "eat")
//!         (call $sleep (i64.const 1_000_000_000))
//!         (call $panic (i32.const 0) (i32.const 20))))"#;
//!
//! let engine = engine(&EngineOptions::default())?;
//! let module = wasmtime::Module::new(&engine, wat::parse_str(GUEST)?)?;
//! let mut linker = wasmtime::Linker::<()>::new(&engine);
//! let clock = ManualClock::new(); // or `RealtimeClock`
//! guest_kit::add_to_linker(&mut linker, clock.clone())?;
//!
//! let instance = Instance::new(&linker.instantiate_pre(&module)?, ())?;
//! let mut future = instance.call::<(), ()>("eat", ())?;
//! assert_eq!(future.resume()?, Step::Waiting);
//! clock.tick(Duration::from_secs(1));
//! assert_eq!(future.resume()?, Step::Done);
//! let error = future.try_get_result().unwrap_err();
//! assert_eq!(error.to_string(), "the guest trapped: the berries are gone");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::call::yield_now::yield_now;
use crate::error::Error;
use crate::error::trap::GuestMessage;
use crate::guest::fiber::add_yield;
use crate::guest::host_wait::HostWait;
use crate::guest::waiting::define_waiting;
use crate::wait::clock::{Clock, Sleep};
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::{Caller, Extern, Linker};

/// The most bytes of a guest's message that are kept. A longer message is cut off, and ends with `…` instead.
pub const MAX_MESSAGE: usize = 4096;

/// The module from which modules import the functions.
const MODULE: &str = "env";

/// The interface from which components import the functions.
#[cfg(feature = "component-model")]
const INTERFACE: &str = "wasm-jobs:guest/host@0.1.0";

/// Defines what modules that use the kit import: `env.yield`, `env.sleep` and `env.panic`. All instances of this linker sleep by `clock`.
///
/// A message is read from the memory that the guest exports as `memory`. One in a shared memory, or at an address of 64 bits, cannot be read.
/// Bytes of a message that are not UTF-8 become `U+FFFD`. If a message cannot be read, the trap's message says why instead.
///
/// A guest that was compiled for WASI yields and sleeps by WASI's functions, and needs `wasi::add_to_linker` as well.
///
/// # Errors
///
/// [`Error::Wasmtime`] if the linker has one of these functions already, and does not allow shadowing.
pub fn add_to_linker<S: Send + 'static>(
    linker: &mut Linker<S>,
    clock: impl Clock,
) -> Result<(), Error> {
    let clock: Arc<dyn Clock> = Arc::new(clock);
    add_yield(linker, MODULE, "yield")?;
    define_waiting(linker, MODULE, "sleep", move |_, (nanoseconds,): (u64,), waited| {
        let whole = Duration::from_nanos(nanoseconds);
        let (clock, begun) = (clock.clone(), clock.now());
        HostWait {
            future: match whole.saturating_sub(waited) {
                // A call that was frozen has slept long enough.
                Duration::ZERO if waited > Duration::ZERO => Box::pin(ready(())),
                rest => sleep(&clock, rest),
            },
            waited: move || waited.saturating_add(clock.now().saturating_sub(begun)),
            may_last: whole > Duration::ZERO,
        }
    })?;
    linker.func_wrap(MODULE, "panic", |mut caller: Caller<'_, S>, address: i32, bytes: i32| {
        let message = message_at(&mut caller, address.cast_unsigned(), bytes.cast_unsigned());
        Err::<(), _>(panic(message))
    })?;
    Ok(())
}

/// Defines what components that use the kit import: the interface `wasm-jobs:guest/host`. All instances of this linker sleep by `clock`.
///
/// A component whose message is not a string in its memory breaks the rules of components. Its call fails with [`Error::Host`].
///
/// A guest that was compiled for WASI 0.2 yields and sleeps by WASI's functions, and needs `wasi::add_to_component_linker` as well. A guest that
/// was compiled for WASI 0.3 needs `wasi::p3::add_to_linker`, and sleeps by `clock`.
///
/// # Errors
///
/// [`Error::Wasmtime`] if the linker has the interface already, and does not allow shadowing.
#[cfg(feature = "component-model")]
pub fn add_to_component_linker<S: Send + 'static>(
    linker: &mut wasmtime::component::Linker<S>,
    clock: impl Clock,
) -> Result<(), Error> {
    use wasmtime::component::WasmStr;

    let clock: Arc<dyn Clock> = Arc::new(clock);
    let mut host = linker.instance(INTERFACE)?;
    host.func_wrap_async("yield-now", |_, ()| {
        Box::new(async {
            yield_now().await;
            Ok(())
        })
    })?;
    host.func_wrap_async("sleep", move |_, (nanoseconds,): (u64,)| {
        let sleep = sleep(&clock, Duration::from_nanos(nanoseconds));
        Box::new(async move {
            sleep.await;
            Ok(())
        })
    })?;
    host.func_wrap("panic", |store, (message,): (WasmStr,)| {
        let message = shortened(message.to_str(&store)?.as_bytes());
        Err::<(), _>(panic(message))
    })?;
    Ok(())
}

/// Sleeps from now on. A guest that sleeps for no time at all yields, so that it cannot keep its worker by doing so again and again.
fn sleep(clock: &Arc<dyn Clock>, duration: Duration) -> Sleep {
    match duration {
        Duration::ZERO => Box::pin(yield_now()),
        _ => clock.sleep(duration),
    }
}

/// The trap of a guest that panics. It has the code of `unreachable`, by which guests without the kit panic.
fn panic(message: String) -> wasmtime::Error {
    wasmtime::Error::from(wasmtime::Trap::UnreachableCodeReached).context(GuestMessage(message))
}

/// The message at an address of the guest's memory. If it cannot be read, the guest traps all the same, and the message says why.
fn message_at<S>(caller: &mut Caller<'_, S>, address: u32, bytes: u32) -> String {
    let memory = match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => memory,
        Some(Extern::SharedMemory(_)) => return "(its message is in a shared memory)".to_owned(),
        _ => return "(its message cannot be read: no memory named \"memory\")".to_owned(),
    };
    let memory = memory.data(&*caller);
    // An address and a length of 32 bits each fit into 64 bits together.
    let (start, end) = (u64::from(address), u64::from(address) + u64::from(bytes));
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    match range.and_then(|(start, end)| memory.get(start..end)) {
        Some(message) => shortened(message),
        None => "(its message lies outside its memory)".to_owned(),
    }
}

/// The text of these bytes, up to [`MAX_MESSAGE`]. Bytes that are not UTF-8 become `U+FFFD`.
fn shortened(message: &[u8]) -> String {
    let Some(kept) = message.get(..MAX_MESSAGE).filter(|_| message.len() > MAX_MESSAGE) else {
        return String::from_utf8_lossy(message).into_owned();
    };
    // The cut may go through a character. What is left of it goes, too.
    let whole = match std::str::from_utf8(kept) {
        Err(error) if error.error_len().is_none() => &kept[..error.valid_up_to()],
        _ => kept,
    };
    format!("{}…", String::from_utf8_lossy(whole))
}
