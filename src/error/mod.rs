//! [`Error`]: everything that can go wrong. It is plain data; every layer makes errors.

#[cfg(feature = "freeze")]
pub(crate) mod cannot_freeze;
pub(crate) mod panic;
#[cfg(feature = "wasm")]
pub(crate) mod trap;

#[cfg(feature = "freeze")]
use crate::error::cannot_freeze::CannotFreeze;
use crate::error::panic::Panic;
#[cfg(feature = "wasm")]
use crate::error::trap::Trap;
#[cfg(feature = "wasm")]
use crate::timed_out::TimedOut;
#[cfg(feature = "wasm")]
use std::time::Duration;

/// What went wrong.
///
/// The [`Future`](crate::Future) of a call gives the call's failure, such as [`Trap`](Self::Trap), [`Host`](Self::Host) or
/// [`Panic`](Self::Panic), in the place of its result. Every other error comes from the function that was misused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The instance is in use: it has a call, which goes on undisturbed, or a guard has its store, or it is being reset.
    ///
    /// A call counts from the moment it is made, resumed or not, until it ends or its [`Future`](crate::Future) is dropped.
    #[error(
        "the instance has a call in progress, or a guard has its store: bring the call to its end, or drop its future or the guard"
    )]
    CallInProgress,

    /// A [`FutureRunner`](crate::FutureRunner) or a job has the right to resume the call.
    #[error("a runner or a job has the right to resume the call: wait for it, or drop the runner")]
    InJob,

    /// The result, or the failure, of the call was taken already.
    #[error("the result of the call was taken already: a call gives its result once")]
    ResultTaken,

    /// The call was [cancelled](crate::Future::cancel).
    #[error("the call was cancelled")]
    Cancelled,

    /// The call was not run, because a job that it was to run [after](crate::JobPool::submit_after_ok) has failed or was cancelled.
    #[error("a job that the call depends on has failed or was cancelled, so the call was not run")]
    DependencyFailed,

    /// The host panicked inside the call: a host function, or the work of a [`Future::new`](crate::Future::new).
    #[error("the host panicked inside the call: {0}")]
    Panic(Panic),

    /// The work of a [`Future::new`](crate::Future::new) failed with an error of its own, made by [`Error::other`].
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),

    /// The guest trapped.
    #[cfg(feature = "wasm")]
    #[error(transparent)]
    Trap(Trap),

    /// The call exceeded a time limit of its [`InstanceOptions`](crate::InstanceOptions).
    #[cfg(feature = "wasm")]
    #[error(transparent)]
    TimedOut(Box<TimedOut>),

    /// The guest threw an exception and did not catch it.
    #[cfg(feature = "wasm")]
    #[error("the guest threw an exception and did not catch it")]
    UncaughtException,

    /// The guest exited, by `proc_exit` or `wasi:cli/exit`, with this code.
    ///
    /// A call without results, such as one of a program's `_start`, succeeds if the code is zero. A call with results, and an instance
    /// whose start function exits, fail with any code.
    #[cfg(feature = "wasi")]
    #[error("the guest exited with code {0}")]
    Exit(i32),

    /// A directory of a [`WasiCtx`](crate::wasi::WasiCtx) cannot be opened.
    #[cfg(feature = "wasi")]
    #[error("directory {path:?}: {source}")]
    Directory {
        /// The directory's path on the host.
        path: std::path::PathBuf,
        /// The system's error.
        source: wasmtime::Error,
    },

    /// A host function returned this error.
    #[cfg(feature = "wasm")]
    #[error("a host function failed: {}", .0.root_cause())]
    Host(#[source] wasmtime::Error),

    /// The heap for the guest's exceptions is full. It counts towards [`InstanceOptions::memory`](crate::InstanceOptions::memory).
    #[cfg(feature = "wasm")]
    #[error("the guest keeps more exceptions than its memory has room for: {}", .0.root_cause())]
    GcHeapOutOfMemory(#[source] wasmtime::Error),

    /// The instance is [poisoned](crate::Instance#poisoning): an earlier call failed, exited or was dropped half-way, so the guest's
    /// memory may be half-way through something.
    #[cfg(feature = "wasm")]
    #[error(
        "an earlier call on the instance failed, exited or was dropped, which may have left its memory half-way through something: \
         reset the instance, roll it back to a checkpoint, or clear the poison"
    )]
    Poisoned,

    /// The module has no such export.
    #[cfg(feature = "wasm")]
    #[error("export {export:?}: the module has no export of that name")]
    ExportNotFound {
        /// The name that was looked up.
        export: Box<str>,
    },

    /// The export is of another kind: for example a memory, when a function was asked for.
    #[cfg(feature = "wasm")]
    #[error("export {:?}: it is a {}, and was asked for as a {}", .0.export, .0.found, .0.expected)]
    ExportKind(Box<Mismatch>),

    /// The exported function has another signature.
    #[cfg(feature = "wasm")]
    #[error("export {:?}: its type is {}, and it was asked for as {}", .0.export, .0.found, .0.expected)]
    Signature(Box<Mismatch>),

    /// The exported global is of another type, or is immutable.
    #[cfg(feature = "wasm")]
    #[error("export {:?}: it is a global of type {}, and was asked for as {}", .0.export, .0.found, .0.expected)]
    WrongType(Box<Mismatch>),

    /// The access reaches beyond the end of the memory or the table.
    #[cfg(feature = "wasm")]
    #[error("out of bounds: {count} bytes or elements from {at} on, where there are {size}")]
    OutOfBounds {
        /// The address of the first byte, or the index of the first element.
        at: u64,
        /// The number of bytes or elements.
        count: u64,
        /// The size of the memory in bytes, or of the table in elements.
        size: u64,
    },

    /// The address of a typed slice is not a multiple of the type's alignment.
    #[cfg(feature = "bytemuck")]
    #[error(
        "misaligned: address {at} is not a multiple of {align}, which the type needs; `read_vec` and `write_slice` copy at any address"
    )]
    Misaligned {
        /// The address.
        at: u64,
        /// The alignment of the type in bytes.
        align: usize,
    },

    /// The linker defines nothing for one of the module's imports.
    #[cfg(feature = "wasm")]
    #[error(
        "import {module:?} {name:?}: the linker defines nothing of that name, and the module needs it{}", of_a_prepared_module(.module)
    )]
    MissingImport {
        /// The module that the import names.
        module: Box<str>,
        /// The name within that module.
        name: Box<str>,
    },

    /// The engine's pool of instances is full.
    #[cfg(feature = "wasm")]
    #[error(
        "{name}: the engine's pool holds {instances} instances and what they need, and is full: drop one, or make an \
         engine with a larger pool (`EngineOptions::pooling`)"
    )]
    TooManyInstances {
        /// What did not fit: the module, or the export whose call needs a stack.
        name: Box<str>,
        /// The number of instances that the pool holds.
        instances: u32,
        /// wasmtime's error, which says what has run out.
        source: wasmtime::Error,
    },

    /// The instance went back to its [`InstancePool`](crate::InstancePool), and a [`Func`](crate::Func) of it is of no more use.
    #[cfg(feature = "wasm")]
    #[error(
        "the instance went back to its pool: get one from the pool, and look the function up there"
    )]
    GivenBack,

    /// All instances of an [`InstancePool`](crate::InstancePool) are in use, and none came back in time.
    #[cfg(feature = "wasm")]
    #[error(
        "all instances of the pool ({out}) are out, and {waiting} other callers wait for one: wait longer than {waited:?}, or make a \
         larger pool"
    )]
    AllInstancesOut {
        /// The number of instances that are out.
        out: usize,
        /// The number of other callers that wait for one.
        waiting: usize,
        /// How long this caller has waited.
        waited: Duration,
    },

    /// An [`InstancePool`](crate::InstancePool) of no instances.
    #[cfg(feature = "wasm")]
    #[error("a pool of no instances serves nobody: make it for at least one")]
    EmptyPool,

    /// [`par_map`](crate::Instances::par_map) was given inputs, and no instances.
    #[cfg(feature = "wasm")]
    #[error("there are inputs, and no instances to call: make at least one instance")]
    NoInstances,

    /// [`reset`](crate::Instance::reset) has no state for a new guest, because the instance was made with one state and not with a
    /// function that makes states.
    #[cfg(feature = "wasm")]
    #[error(
        "the instance was made with one state, and a new guest needs another: use `Instance::reset_with`, or make the instance by \
         `Instance::with_options`"
    )]
    NoStateFactory,

    /// The engine, or this machine, does not support what is asked for.
    #[cfg(feature = "wasm")]
    #[error("{what} is not supported: {why}")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
        /// Why it is not supported, or what to do.
        why: Box<str>,
    },

    /// The module and its store, or its linker, were made by different engines.
    #[cfg(feature = "wasm")]
    #[error("{module}: its engine is not that of its store or linker: make them with one engine")]
    OtherEngine {
        /// Which module.
        module: Box<str>,
    },

    /// The module was not [prepared](crate::prepare), or it was prepared by another version of this library.
    #[cfg(feature = "prepare")]
    #[error(
        "{module}: it was not prepared by this version of the library: compile the original module by `prepare`"
    )]
    NotPrepared {
        /// Which module.
        module: Box<str>,
    },

    /// Calls of the module cannot be [frozen](crate::Future::freeze), because it was not prepared for that.
    #[cfg(feature = "freeze")]
    #[error(
        "{module}: its calls cannot be frozen: compile it by `prepare_with` and `PrepareOptions::freezable(true)`, or take it by \
         `Prepared::from_module_with`"
    )]
    NotFreezable {
        /// Which module.
        module: Box<str>,
    },

    /// The module cannot be [prepared](crate::prepare).
    #[cfg(feature = "prepare")]
    #[error("the module cannot be prepared: {0}")]
    Prepare(#[source] wasm_jobs_transform::Error),

    /// The [`Checkpoint`](crate::Checkpoint), the frozen call or the compiled module is not of this module. The wasm has to be the same, byte for byte. For frozen calls, so do the
    /// `PrepareOptions`.
    ///
    /// `Prepared::from_module_with` and `set_twins_module` also give this if the first module and the second one are exchanged.
    #[cfg(feature = "checkpoint")]
    #[error(
        "{module}: the checkpoint, the frozen call or the compiled module is not of this module: the wasm has to be the same, byte for \
         byte, and so do the `PrepareOptions`; if it was compiled ahead of time, see that the first module and the second are not exchanged"
    )]
    OtherModule {
        /// The module that it was to be used with; or, for a module that was compiled ahead of time, that module.
        module: Box<str>,
    },

    /// The bytes of a [`Checkpoint`](crate::Checkpoint), or of the saved state of a WASI context, are damaged or of another version; or no guest of
    /// the module can be in the state of the checkpoint; or that has an object of the host's, and there is no [`RefCodec`](crate::RefCodec).
    #[cfg(feature = "checkpoint")]
    #[error("the checkpoint is not valid: {why}")]
    InvalidCheckpoint {
        /// What is wrong.
        why: Box<str>,
    },

    /// A part of the host's saved state does not fit the state that it is restored to.
    #[cfg(feature = "checkpoint")]
    #[error("{what} cannot be restored: {why}")]
    CannotRestore {
        /// The part.
        what: Box<str>,
        /// Why not, or what to do.
        why: Box<str>,
    },

    /// A part of the guest's or the host's state cannot be saved.
    #[cfg(feature = "checkpoint")]
    #[error("{what} cannot be saved: {why}")]
    CannotSave {
        /// What cannot be saved: for example `global 3`, or `element 1 of table 0`. The numbers are indices of the module.
        what: Box<str>,
        /// Why.
        why: Box<str>,
    },

    /// The call cannot be [frozen](crate::Future::freeze). It goes on, as if it had been resumed.
    #[cfg(feature = "freeze")]
    #[error("the call cannot be frozen: {0}")]
    CannotFreeze(CannotFreeze),

    /// The bytes of a [`Frozen`](crate::Frozen) call are damaged or of another version; or no call of the module can be in this state.
    #[cfg(feature = "freeze")]
    #[error("the frozen call is not valid: {why}")]
    InvalidFrozen {
        /// What is wrong.
        why: Box<str>,
    },

    /// wasmtime refused something else: for example an invalid module.
    #[cfg(feature = "wasm")]
    #[error("{0:#}")]
    Wasmtime(#[source] wasmtime::Error),
}

impl Error {
    /// Makes an error of the caller's own, for the work of a [`Future::new`](crate::Future::new).
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }
}

/// What to do about a missing import that `prepare` has added.
#[cfg(feature = "wasm")]
fn of_a_prepared_module(_import: &str) -> &'static str {
    #[cfg(feature = "prepare")]
    if _import == wasm_jobs_transform::FLAGS_MODULE {
        return ": link a prepared module by `Prepared::instantiate_pre`";
    }
    ""
}

/// An export whose type is not the one that was asked for.
#[cfg(feature = "wasm")]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mismatch {
    /// The name of the export.
    pub export: String,
    /// The type that was asked for.
    pub expected: String,
    /// The type of the export.
    pub found: String,
}
