//! Async WebAssembly for job systems.
//!
//! Calling an export of a wasm instance gives a [`Future`]: a call that can stop half-way, at a yield or at an event that it
//! waits for, and be resumed later. While it is stopped it uses no CPU. [`Future::to_job`] splits off a [`FutureRunner`], the
//! half that may travel: any thread pool resumes it until it is done, and the result comes back only through the `Future`,
//! on the thread that made the call. The guest needs no change and no special compilation.
//!
//! Modules, linkers and stores stay [`wasmtime`]'s, and threads stay your pool's.
//!
//! The book, in the folder `docs` of the repository, has a page for each thing that a host does: frames, limits, graphs, WASI, replays
//! and others.
//!
//! # From a module to a result
//!
//! An [`engine`] that can suspend guests is a [`wasmtime::Engine`] like any other; modules and linkers are made with it.
//! An async host function suspends the guest while it waits; [`add_yield`] defines one that only yields.
//!
//! ```
//! use wasm_jobs::{EngineOptions, Instance, add_yield, engine, wasmtime};
//! # fn guest(engine: &wasmtime::Engine) -> Result<Instance<()>, Box<dyn std::error::Error>> {
//! # let wasm = std::fs::read("guests/primes.wasm")?;
//!
//! let module = wasmtime::Module::new(engine, wasm)?;
//! let mut linker = wasmtime::Linker::<()>::new(engine);
//! add_yield(&mut linker, "env", "yield")?;
//! let instance = Instance::new(&linker.instantiate_pre(&module)?, ())?;
//! # Ok(instance)
//! # }
//! # guest(&engine(&EngineOptions::default())?)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! An [`Instance`] has one call at a time. Making a call only claims the instance; the guest runs when the call is resumed,
//! to its next [`Step`]:
//!
//! ```
//! # use wasm_jobs::{EngineOptions, Instance, Step, add_yield, engine, wasmtime};
//! # let engine = engine(&EngineOptions::default())?;
//! # let module = wasmtime::Module::new(&engine, std::fs::read("guests/primes.wasm")?)?;
//! # let mut linker = wasmtime::Linker::<()>::new(&engine);
//! # add_yield(&mut linker, "env", "yield")?;
//! # let instance = Instance::new(&linker.instantiate_pre(&module)?, ())?;
//! # fn draw_frame() {}
//! let mut future = instance.call::<(i32, i32), i32>("count_primes", (0, 10_000))?;
//! while future.resume()? != Step::Done {
//!     draw_frame();
//! }
//! assert_eq!(future.try_get_result()?, Some(1229));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Or a pool resumes it. A [`JobPool`] is rayon's global pool ([`RayonGlobal`]), an `Arc<rayon::ThreadPool>`, or any closure
//! that passes a [`Job`] on. The [`JobHandle`] completes when the job is over. Then the future gives the result.
//!
//! ```
//! # use wasm_jobs::{EngineOptions, Instance, JobPool, RayonGlobal, add_yield, engine, wasmtime};
//! # let engine = engine(&EngineOptions::default())?;
//! # let module = wasmtime::Module::new(&engine, std::fs::read("guests/primes.wasm")?)?;
//! # let mut linker = wasmtime::Linker::<()>::new(&engine);
//! # add_yield(&mut linker, "env", "yield")?;
//! # let instance = Instance::new(&linker.instantiate_pre(&module)?, ())?;
//! let mut future = instance.call::<(i32, i32), i32>("count_primes", (0, 10_000))?;
//! let job = RayonGlobal.submit(future.to_job()?);
//! job.wait();
//! assert_eq!(future.try_get_result()?, Some(1229));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A guest that waits costs nothing: its host function awaits an [`Event`], a [`Clock`] or any other std future, and the call
//! goes on when one of these wakes it. With the feature `wasi`, unmodified programs that sleep and poll wait in the same way. For those who
//! write guests, there is a [kit](guest_kit) to yield, to sleep and to say why a guest panics.
//!
//! A [`Slice`] limits how much a guest computes in one step, and [`InstanceOptions`] limits what it may use in all. By default
//! nothing is limited. [`run_within`] advances many calls within a budget of time.
//!
//! # Wrappers
//!
//! Exports are called by their names and types, or by the methods of a type that [`wrapper!`] writes for a guest when the host is
//! compiled. A component is driven by [`Instance::start`].
//!
//! # Frames and graphs
//!
//! [`Coroutines`] advances async blocks on a frame loop's own thread, each by one step a frame. They await calls, jobs, frames
//! and each other. A job, of a call or of a closure, can run [after](JobPool::submit_after) others, and
//! [`par_map`](Instances::par_map) calls one export with many inputs.
//!
//! Between two calls, [`Instance::store`] reads and writes the guest's memory, globals and tables. With the feature `checkpoint`, a
//! [`Checkpoint`] holds all of the guest's state, to roll back to, to clone, or to write to a file. With the feature `freeze`, a
//! [`Frozen`] holds a call in the middle of the guest's functions, too.
//!
//! The failure of a call is an [`Error`], given in the place of its result. It disturbs no worker, no pool and no other call.
//!
//! # Seeing what happens
//!
//! With the feature `tracing`, calls and closures report to a subscriber of the crate [`tracing`](https://docs.rs/tracing). Each
//! span and event has the target `wasm_jobs` and three fields: `call`, a number; `name`, from [`Future::named`], or else that of
//! the export or of the closure's type; and `instance`, a number, if the call has an instance.
//!
//! | | level | when |
//! |---|---|---|
//! | span `step` | `TRACE` | from entering the call to its next stop. It records how long that took in microseconds, `time_us`, and the `fuel` that its guests have used, if their engine counts it and as far as [it is known](Instance::fuel_remaining) |
//! | `wake` | `TRACE` | a wake has found the call waiting: its job goes into the pool's queue, or its owner is woken |
//! | `steal` | `TRACE` | a job's turn begins on another thread than its last one |
//! | `submit` | `DEBUG` | a call or a closure is submitted to a pool |
//! | `complete`, `fail`, `cancel` | `DEBUG` | a call or a closure has ended: one of these, once. `fail` has the `error` |
//!
//! Without the feature, none of this is compiled. With it and without a subscriber, each step asks whether there is one.
//! A call that was made before there was a subscriber reports no name of an export.
//!
//! # Two layers
//!
//! The call layer knows nothing of wasm: [`Future::new`] takes any std future, and everything about futures, runners, jobs and
//! pools holds for it. The guest layer makes such a future of an export; it is there with the feature `wasm`.
//! In this crate `Future` is always ours; std's is written `std::future::Future`.
//!
//! # Features
//!
//! - `wasm` (default): instances of wasm modules, on wasmtime.
//! - `macros` (default): [`wrapper!`], which writes a type for a guest.
//! - `rayon` (default): [`JobPool`] for rayon's pools.
//! - `component-model`: wasmtime's support for components.
//! - `wasi`: WASI preview 1 and 0.2, on wasmtime-wasi.
//! - `wasi-p3-preview`: WASI 0.3, and components with async functions. [A preview](wasi::p3).
//! - `bytemuck`: structs in a guest's memory, by [`MemoryGuard`].
//! - `prepare`: modules that are [prepared](prepare), whose guests can be stopped at next to no cost.
//! - `checkpoint`: the state of a guest between two calls, as data: [`prepare`], [`Checkpoint`].
//! - `freeze`: a call that is suspended in the middle of its guest's functions, as data: [`Future::freeze`], [`Frozen`], and
//!   [parked calls](InstanceOptions::park_after).
//! - `serde`: `Serialize` and `Deserialize` for the data of `checkpoint`.
//! - `explore`: runs a test in many orders of the steps of guests and host: [`explore`].
//! - `tracing`: spans and events for a subscriber of the crate `tracing`.

// The private tour, from the top to the bottom. A file imports from its own folder and from those below it.
//
// `explore/` runs a test in many orders: its pool chooses which job takes the next step.
//
// `guest/` takes a guest from its instance and makes a call's work of one of its exports. `pool/` runs that work on other people's threads:
// a job is one turn of a call or a closure, and a handle waits for its end. `frame/` is for the owner's thread: coroutines and budgets.
//
// `call/` is one call. A `future` owns the work, and steps it or lends it to a `runner`. `task` is what the two share, and takes the steps.
// `state` decides which thread is in charge. `turn` is what a pool's queue holds.
//
// `wait/` is everything that waits: latches, countdowns, events, clocks. `step/` is what a thread knows of the step that it is in; guests
// ask it whether they have to stop.
//
// Below all that: `error` and `outcome`, plain data; `sync`, the primitives, which are loom's when a model is checked; `trace`, which reports
// to a subscriber; `unwind`, where panics end.

mod call;
mod error;
#[cfg(feature = "explore")]
pub mod explore;
mod frame;
#[cfg(feature = "wasm")]
mod guest;
mod outcome;
mod pool;
mod step;
mod sync;
#[cfg(feature = "wasm")]
mod timed_out;
mod trace;
mod unwind;
mod wait;

pub use call::future::{Future, SendFuture};
pub use call::into_send::IntoSend;
pub use call::owner::{LocalOwner, SendOwner};
pub use call::runner::FutureRunner;
pub use call::step::Step;
pub use call::turn::Job;
pub use call::yield_now::{YieldNow, yield_now};
pub use error::Error;
#[cfg(feature = "wasm")]
pub use error::Mismatch;
#[cfg(feature = "freeze")]
pub use error::cannot_freeze::CannotFreeze;
pub use error::panic::Panic;
#[cfg(feature = "wasm")]
pub use error::trap::Trap;
pub use frame::coroutine::Coroutine;
pub use frame::coroutines::{Coroutines, TickReport};
pub use frame::frames::{Frames, frames, next_frame, sleep};
pub use frame::run_within::{FrameReport, run_within};
#[cfg(feature = "wasm")]
pub use guest::kit as guest_kit;
#[cfg(feature = "wasi")]
pub use guest::wasi;
#[cfg(feature = "freeze")]
pub use guest::{
    CallOutput, Frozen, FrozenFrame, FrozenValue, FrozenWait, ResumableParams, ResumableResults,
    SourceLocation, func_wrap_resumable,
};
#[cfg(feature = "checkpoint")]
pub use guest::{Checkpoint, CheckpointSize, HostState, RefCodec};
#[cfg(feature = "macros")]
pub use guest::{Embedded, GuestModule, ModuleSource};
#[cfg(feature = "wasm")]
pub use guest::{
    EngineOptions, Func, GlobalType, Instance, InstanceOptions, InstancePool, Instances, Linked,
    MemoryGuard, OnReturn, OwnedRef, ParMap, ParMapJob, Plain, PoolStats, PooledInstance, Slice,
    Stops, StoreGuard, TableGuard, add_yield, engine, request_yields,
};
#[cfg(feature = "prepare")]
pub use guest::{PrepareOptions, Prepared, PreparedPre, prepare, prepare_with};
pub use outcome::JobOutcome;
pub use pool::JobPool;
pub use pool::after::IntoJob;
pub use pool::handle::JobHandle;
#[cfg(feature = "rayon")]
pub use pool::rayon::RayonGlobal;
#[cfg(feature = "wasm")]
pub use timed_out::{TimedOut, Timeout};
pub use wait::access::AccessQueue;
pub use wait::clock::{Clock, ManualClock, RealtimeClock, Sleep};
pub use wait::event::Event;
#[cfg(feature = "prepare")]
pub use wasm_jobs_transform as transform;
#[cfg(feature = "wasm")]
pub use wasmtime;
#[cfg(feature = "wasi")]
pub use wasmtime_wasi;

/// What the code that `wrapper!` writes uses of this crate.
#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod __wrapper {
    pub use crate::guest::wrapper::{
        PreparedModule, check, compile, compile_freezable, compile_prepared, link, link_freezable,
        look_up,
    };
    pub use wasm_jobs_macros::wrapper;
}

/// Writes a type for a guest, with a method for each of its exports.
#[cfg(feature = "macros")]
#[doc = include_str!("../docs/wrappers.md")]
#[macro_export]
macro_rules! wrapper {
    ($($declaration:tt)*) => {
        $crate::__wrapper::wrapper! { $crate => $($declaration)* }
    };
}

/// What the loom models need of the private parts.
#[cfg(wasm_jobs_loom)]
#[doc(hidden)]
pub mod model {
    pub use crate::call::lease::{Lease, Leased};
    pub use crate::pool::tickets::{Queue, Workers};
    pub use crate::step::interrupt::{Interrupter, Interruptible, is_cancelled};
    pub use crate::step::stop::{Setters, YieldRequests, reasons};
    pub use crate::wait::stock::{Count, Stock, Take, Taken};

    use crate::call::future::Future;
    use crate::call::step::Step;
    use crate::error::Error;
    use crate::pool::handle::JobHandle;
    use crate::trace::Traced;
    use crate::wait::block::{Sleeper, Wanted};
    use std::sync::Arc;

    /// Takes a step of a call that its owner asks to become data.
    pub fn step_anyway<T: Send + 'static, O>(future: &mut Future<T, O>) -> Result<Step, Error> {
        future.step_anyway()
    }

    /// A call whose running steps `interrupter` interrupts.
    pub fn interruptible<T: Send + 'static>(
        work: impl std::future::Future<Output = Result<T, Error>> + Send + 'static,
        interrupter: &'static dyn Interrupter,
    ) -> Future<T> {
        Future::from_parts(work, Some(interrupter), Traced::new())
    }

    /// Takes from a stock in the way of a worker that serves `queue`.
    pub fn take_and_help<X, W: Workers>(
        mut take: Take<X>,
        queue: &Arc<Queue>,
        workers: &W,
    ) -> Taken<X> {
        let sleeper = Sleeper::new();
        loop {
            match take.take_or_wakes(sleeper.waker()) {
                Some(taken) => return taken,
                None => queue.help(workers, &sleeper, Wanted::Turns),
            }
        }
    }

    /// Waits for a job in the way of a worker that serves `queue`.
    pub fn wait_and_help<W: Workers>(handle: &JobHandle, queue: &Arc<Queue>, workers: &W) {
        let sleeper = Sleeper::new();
        let mut handle = handle.clone();
        while !handle.is_complete_or_wakes(sleeper.waker()) {
            queue.help(workers, &sleeper, handle.wanted());
        }
    }
}

/// The README and the book: each Rust block is a test. The exception is the guest's block in `guest-kit.md`, which `guest-kit` tests as the
/// example of `set_panic_hook`. The page on wrappers is tested as the documentation of [`wrapper!`].
#[cfg(all(
    doctest,
    feature = "checkpoint",
    feature = "macros",
    feature = "rayon",
    feature = "wasi-p3-preview"
))]
mod book {
    macro_rules! pages {
        ($($name:ident: $path:literal,)*) => {$(
            #[doc = include_str!(concat!("../", $path))]
            struct $name;
        )*};
    }

    pages! {
        Readme: "README.md",
        FirstCall: "docs/first-call.md",
        Jobs: "docs/jobs.md",
        Frames: "docs/frames.md",
        Waiting: "docs/waiting.md",
        Limits: "docs/limits.md",
        Graphs: "docs/graphs.md",
        Wasi: "docs/wasi.md",
        WasiComponents: "docs/wasi-components.md",
        WasiP3: "docs/wasi-p3.md",
        Components: "docs/components.md",
        GuestKit: "docs/guest-kit.md",
        Failures: "docs/failures.md",
        Tracing: "docs/tracing.md",
        Replays: "docs/replays.md",
        Rollback: "docs/rollback.md",
        Stops: "docs/stops.md",
        Undo: "docs/undo.md",
    }

    #[cfg(feature = "explore")]
    pages! {
        Races: "docs/races.md",
    }

    #[cfg(feature = "freeze")]
    pages! {
        SaveGames: "docs/save-games.md",
        Sleepers: "docs/sleepers.md",
        WhatCannotBeFrozen: "docs/what-cannot-be-frozen.md",
    }
}

#[cfg(doctest)]
#[doc = include_str!("../tests/compile-fail.md")]
struct CompileFail;
