//! WASI, feature `wasi`: unmodified programs run as calls that use no CPU while they wait. Modules import preview 1, by [`add_to_linker`];
//! components import WASI 0.2, by [`add_to_component_linker`], and are run as a [`Command`]. [WASI 0.3](p3) is
//! a preview, by the feature `wasi-p3-preview`.
//!
//! # Preview 1
//!
//! The functions are [`wasmtime_wasi`]'s, except those for time, for yielding and for the program's end:
//!
//! - `sched_yield` yields: the call's step ends as [`Step::Yielded`](crate::Step::Yielded).
//! - `poll_oneoff`, and so `sleep`, `nanosleep`, `poll` and `select`, suspends the call until the first of its events, as
//!   [`Step::Waiting`](crate::Step::Waiting). If a deadline has passed already when the guest asks, and no descriptor is
//!   ready, the call yields once, so that no guest can keep its worker by sleeping for no time at all.
//! - All times are read from the guest's own [`Clock`](crate::Clock). With a [`ManualClock`](crate::ManualClock), no real time
//!   gets into the guest, and a tick wakes a guest that sleeps. The guest's monotonic clock reads [`Clock::now`](crate::Clock::now)
//!   plus [`MONOTONIC_START`], so that it never reads zero, at which some programs refuse to start.
//! - `proc_exit(0)` ends a call without results successfully; any other exit is [`Error::Exit`](crate::Error::Exit).
//!
//! To run a program, call its `_start`. Like a process it runs once: after `proc_exit`, even with zero, the instance is
//! poisoned, because the guest was stopped in the middle of its code.
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
//! The host needs no tokio runtime. wasmtime-wasi has a runtime of its own, whose threads start when a guest first uses a real
//! file, or asks for a socket; they read and write the file while the call waits. On a thread that is inside a tokio runtime of the host, wasmtime-wasi
//! uses that runtime; if it is shut down before the file is read, the call fails with [`Error::Panic`](crate::Error::Panic). A
//! stream of the host that needs a runtime's timers or sockets must enter that runtime itself.
//!
//! When a guest writes to the process's own standard output, the thread that runs the guest does the writing.
//!
//! # Errors that guests see
//!
//! They are wasmtime-wasi's and the specification's. A pointer that leads out of the guest's memory, or that is not
//! aligned, is `EFAULT` in `poll_oneoff` and the functions of the clock; in the other functions it ends the call, as
//! [`Error::Host`](crate::Error::Host). `poll_oneoff` without subscriptions is `EINVAL`, and so is an unknown clock; the clocks of
//! CPU time count as unknown. A time that does not fit into 64 bits of nanoseconds is `EOVERFLOW`.

// The feature has the module that the documentation links to.
#![cfg_attr(not(feature = "wasi-p3-preview"), allow(rustdoc::broken_intra_doc_links))]

// `preview2` defines WASI 0.2 in the linker of a component, with `pollables`; `p3` defines WASI 0.3, and `command` runs programs of both; what both define is in `common`. `preview1`
// defines the functions of preview 1 in the linker of a module. It calls `poll`, which leaves descriptors to `descriptors`; all three use `clocks`,
// `memory` and `failure`.
//
// With the feature `checkpoint`, a context becomes data, `saved`. `sources` is what that needs to know: a `generator` of random numbers, the `Lines`,
// what was `given`, and what is `opened`, which the functions of `opening` record. `files` are open files as data, and `reopening` opens them again. A
// restored guest goes by a `shifted` clock.
mod clocks;
mod command;
mod common;
mod ctx;
mod descriptors;
mod failure;
#[cfg(feature = "checkpoint")]
mod files;
#[cfg(feature = "checkpoint")]
mod generator;
#[cfg(feature = "checkpoint")]
mod given;
mod lines;
mod memory;
#[cfg(feature = "checkpoint")]
mod opened;
#[cfg(feature = "checkpoint")]
mod opening;
#[cfg(feature = "wasi-p3-preview")]
pub mod p3;
mod poll;
#[cfg(feature = "freeze")]
mod poll_saved;
mod pollables;
mod polled;
mod preview1;
mod preview2;
#[cfg(feature = "checkpoint")]
mod reopening;
#[cfg(feature = "checkpoint")]
mod saved;
#[cfg(feature = "checkpoint")]
mod saved_bytes;
#[cfg(feature = "serde")]
mod saved_serde;
#[cfg(feature = "checkpoint")]
mod saved_state;
#[cfg(feature = "checkpoint")]
mod shifted;
#[cfg(feature = "checkpoint")]
mod sources;
#[cfg(feature = "wasi-p3-preview")]
pub(crate) mod tokio_runtime;

pub use clocks::MONOTONIC_START;
pub use command::{Command, CommandPre, Program};
pub use ctx::{WasiCtx, WasiCtxBuilder};
#[cfg(feature = "checkpoint")]
pub use files::OpenFile;
pub use lines::Lines;
pub use preview1::add_to_linker;
pub use preview2::{WasiView, add_to_component_linker};
#[cfg(feature = "checkpoint")]
pub use saved::WasiSaved;
pub use wasmtime_wasi::FsPerms;
pub use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};
