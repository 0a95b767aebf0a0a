//! Async WebAssembly for job systems.
//!
//! Calling an export of a wasm instance gives a [`Future`]: a call that can stop half-way, at a yield or at an event that it
//! waits for, and be resumed later. While it is stopped it uses no CPU. [`Future::to_job`] splits off a [`FutureRunner`], the
//! half that may travel: any thread pool resumes it until it is done, and the result comes back only through the `Future`,
//! on the thread that made the call. The guest needs no change and no special compilation.
//!
//! The rest of what is needed is [`wasmtime`]'s, its modules, linkers and stores, and the pool's own.
//!
//! # From a module to a result
//!
//! An [`engine`] that can suspend guests is a [`wasmtime::Engine`] like any other; modules and linkers are made with it.
//! A host function suspends the guest by being an ordinary async function, or comes from [`add_yield`].
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
//! An [`Instance`] has one call at a time. Making one only claims the instance; the guest runs when the call is resumed,
//! to its next [`Step`]:
//!
//! ```
//! # use wasm_jobs::{EngineOptions, Instance, Step, add_yield, engine, wasmtime};
//! # let engine = engine(&EngineOptions::default())?;
//! # let module = wasmtime::Module::new(&engine, std::fs::read("guests/primes.wasm")?)?;
//! # let mut linker = wasmtime::Linker::<()>::new(&engine);
//! # add_yield(&mut linker, "env", "yield")?;
//! # let instance = Instance::new(&linker.instantiate_pre(&module)?, ())?;
//! # fn next_frame() {}
//! let mut future = instance.call::<(i32, i32), i32>("count_primes", (0, 10_000))?;
//! while future.resume()? != Step::Done {
//!     next_frame();
//! }
//! assert_eq!(future.try_get_result()?, Some(1229));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Or a pool does it. A [`JobPool`] is rayon's global pool ([`RayonGlobal`]), an `Arc<rayon::ThreadPool>`, or any closure
//! that passes a [`Job`] on. The [`JobHandle`] tells when the job is over; the future, at any stop, gives the result once
//! there is one.
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
//! goes on when that wakes it. With the feature `wasi`, programs that sleep and poll wait like that too, unmodified.
//!
//! A guest that computes for too long is stopped at the end of its [`Slice`], and what it may do and have in all is in its
//! [`InstanceOptions`]. [`run_within`] advances many calls within a budget of time.
//!
//! # Wrappers
//!
//! Exports are called by their names and types, or by the methods of a type that [`wrapper!`] writes for a guest when the host is
//! compiled. A component is driven by [`Instance::start`].
//!
//! # Frames and graphs
//!
//! [`Coroutines`] are async blocks that a frame loop advances on its own thread, each by one step a frame; they await calls, jobs,
//! frames and each other. Jobs, of calls and of closures, run [after](JobPool::submit_after) others; and
//! [`par_map`](Instances::par_map) calls one export with many inputs.
//!
//! Between two calls the guest's memory, globals and tables are there to be read and written, through
//! [`Instance::store`].
//!
//! When a call fails, its failure comes from where its result would have come from, as an [`Error`], and no worker, no pool
//! and no other call is disturbed.
//!
//! # Seeing what happens
//!
//! With the feature `tracing`, a subscriber of the crate [`tracing`](https://docs.rs/tracing) is told what the calls do. All of it
//! has the target `wasm_jobs`, the number of the `call`, its `name`, which is that of its export or what
//! [`Future::named`] says, and the number of its `instance`, if it has one.
//!
//! | | level | when |
//! |---|---|---|
//! | span `step` | `TRACE` | from entering the call to its next stop; records the time that took, `time_us`, and the `fuel` that its guests have used, if their engine counts it and as far as [it is known](Instance::fuel_remaining) |
//! | `wake` | `TRACE` | a wake has found the call waiting, and its job goes into the pool's queue, or its owner is woken |
//! | `steal` | `TRACE` | a job has a turn on another thread than before |
//! | `submit` | `DEBUG` | a call or a closure is handed over to a pool |
//! | `complete`, `fail`, `cancel` | `DEBUG` | a call or a closure has ended: one of these, once. `fail` has the `error` |
//!
//! Without the feature, this costs nothing; with it and without a subscriber, some ten nanoseconds a step.
//! Calls that were made before there was a subscriber do not know the name of their export.
//!
//! # Two layers
//!
//! The call layer knows nothing of wasm: [`Future::new`] takes any std future, and everything about futures, runners, jobs and
//! pools holds for it. Without the feature `wasm` it is all there is. The guest layer makes such a future of an export.
//! In this crate `Future` is always ours; std's is written `std::future::Future`.
//!
//! # Features
//!
//! - `wasm` (default): instances of wasm modules, on wasmtime.
//! - `macros` (default): [`wrapper!`], which writes a type for a guest.
//! - `rayon` (default): [`JobPool`] for rayon's pools.
//! - `component-model`: wasmtime's support for components.
//! - `wasi`: WASI preview 1, on wasmtime-wasi.
//! - `tracing`: spans and events for a subscriber of the crate `tracing`.

// The private tour, from the top to the bottom. A file imports from its own folder and from those below it.
//
// `guest/` makes the work of a call out of an export, having taken the guest out of its lease. `pool/` has other people's threads do that
// work: a job is one turn of a call or a closure, a handle waits for its end. `frame/` is the owner's own thread: coroutines and budgets.
//
// `call/` is one call. A `future` owns the work, and steps it or lends it to a `runner`; what the two share, and how a step is done,
// is in `task`; which of them is in charge, in `state`; what a queue holds of it, in `turn`.
//
// `wait/` is everything that waits, and is told: latches, countdowns, events, clocks. `step/` is what a thread knows of the step that it is
// in, and so how work is stopped that would go on.
//
// Below all that: `error` and `outcome`, plain data; `sync`, the primitives, which are loom's when a model is checked; `trace`, what is told to a
// subscriber; `unwind`, where panics end.

mod call;
mod error;
mod frame;
#[cfg(feature = "wasm")]
mod guest;
mod outcome;
mod pool;
mod step;
mod sync;
mod trace;
mod unwind;
mod wait;

pub use call::future::Future;
pub use call::runner::FutureRunner;
pub use call::step::Step;
pub use call::turn::Job;
pub use call::yield_now::{YieldNow, yield_now};
pub use error::{Error, Panic};
#[cfg(feature = "wasm")]
pub use error::{Mismatch, TimedOut, Timeout, Trap};
pub use frame::coroutine::Coroutine;
pub use frame::coroutines::{Coroutines, TickReport};
pub use frame::frames::{Frames, frames, next_frame, sleep};
pub use frame::run_within::{FrameReport, run_within};
#[cfg(feature = "wasi")]
pub use guest::wasi;
#[cfg(feature = "macros")]
pub use guest::{Embedded, ModuleSource};
#[cfg(feature = "wasm")]
pub use guest::{
    EngineOptions, Func, GlobalType, Instance, InstanceOptions, Instances, MemoryGuard, OwnedRef,
    ParMap, ParMapJob, Plain, Slice, StoreGuard, TableGuard, add_yield, engine,
};
pub use outcome::JobOutcome;
pub use pool::JobPool;
pub use pool::after::IntoJob;
pub use pool::handle::JobHandle;
#[cfg(feature = "rayon")]
pub use pool::rayon::RayonGlobal;
pub use wait::clock::{Clock, ManualClock, RealtimeClock, Sleep};
pub use wait::event::Event;
#[cfg(feature = "wasm")]
pub use wasmtime;
#[cfg(feature = "wasi")]
pub use wasmtime_wasi;

/// What `wrapper!` writes leads here.
#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod __wrapper {
    pub use crate::guest::wrapper::{check, link, look_up};
    pub use wasm_jobs_macros::wrapper;
}

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

    use crate::call::future::Future;
    use crate::error::Error;
    use crate::pool::handle::JobHandle;
    use crate::trace::Traced;
    use crate::wait::block::Sleeper;
    use std::sync::Arc;

    /// A call whose running steps are interrupted in this way.
    pub fn interruptible<T: Send + 'static>(
        work: impl std::future::Future<Output = Result<T, Error>> + Send + 'static,
        interrupter: &'static dyn Interrupter,
    ) -> Future<T> {
        Future::from_parts(work, Some(interrupter), Traced::new())
    }

    /// Waits for a job as a worker that serves this queue does.
    pub fn wait_and_help<W: Workers>(handle: &JobHandle, queue: &Arc<Queue>, workers: &W) {
        let sleeper = Sleeper::new();
        let mut handle = handle.clone();
        while !handle.is_complete_or_wakes(sleeper.waker()) {
            queue.help(workers, &sleeper, handle.task_address());
        }
    }
}

#[cfg(all(doctest, feature = "macros", feature = "rayon", feature = "wasi"))]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../tests/compile-fail.md")]
struct CompileFail;
