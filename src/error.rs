//! [`Error`]: everything that can go wrong, by the name of what a user did or met.

use parking_lot::Mutex;
use std::any::Any;
use std::fmt;

/// What went wrong.
///
/// The failures of a call ([`Trap`](Self::Trap), [`Host`](Self::Host), [`Panic`](Self::Panic), …) come from where its result
/// would have come from; the others from the function that was misused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The instance has a call in progress, which goes on undisturbed.
    #[error("the instance has a call in progress: bring it to its end, or drop its future")]
    CallInProgress,

    /// The right to resume is with a [`FutureRunner`](crate::FutureRunner) or a job.
    #[error("the call is with a runner or a job: wait for it, or drop the runner")]
    InJob,

    /// A call gives its result once.
    #[error("the result of the call was taken already: a call gives its result once")]
    ResultTaken,

    /// The call was [cancelled](crate::Future::cancel).
    #[error("the call was cancelled")]
    Cancelled,

    /// A job that the call was to run [after](crate::JobPool::submit_after_ok) has failed, so it was not run.
    #[error("a job that the call depends on has failed, so the call was not run")]
    DependencyFailed,

    /// The host panicked inside the call.
    #[error("the host panicked inside the call: {0}")]
    Panic(Panic),

    /// The work of a [`Future::new`](crate::Future::new) failed in a way of its own.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),

    /// The guest trapped.
    #[cfg(feature = "wasm")]
    #[error(transparent)]
    Trap(Trap),

    /// The call has taken longer than its [`InstanceOptions`](crate::InstanceOptions) allow.
    #[cfg(feature = "wasm")]
    #[error("the call has exceeded {0}: see `InstanceOptions`")]
    TimedOut(Timeout),

    /// The guest threw an exception, and nothing in it caught that.
    #[cfg(feature = "wasm")]
    #[error("the guest threw an exception and did not catch it")]
    UncaughtException,

    /// The guest ended itself, by `proc_exit` with this code.
    ///
    /// With the code zero that is no failure: a call without results, as of a program's `_start`, has then succeeded. Only
    /// a call that owes a result fails with it, and an instance whose start function exits.
    #[cfg(feature = "wasi")]
    #[error("the guest exited with code {0}")]
    Exit(i32),

    /// A directory of a [`WasiCtx`](crate::wasi::WasiCtx) cannot be opened.
    #[cfg(feature = "wasi")]
    #[error("directory {path:?}: {source}")]
    Directory {
        /// Where it is in the host.
        path: std::path::PathBuf,
        /// What the system says.
        source: wasmtime::Error,
    },

    /// A host function failed.
    #[cfg(feature = "wasm")]
    #[error("a host function failed: {}", .0.root_cause())]
    Host(#[source] wasmtime::Error),

    /// An earlier call ended before its end, so the guest's memory may be half-way through something.
    #[cfg(feature = "wasm")]
    #[error(
        "an earlier call on the instance failed, exited or was dropped, which may have left its memory half-way through something: \
         reset the instance, or clear the poison"
    )]
    Poisoned,

    /// The module has no such export.
    #[cfg(feature = "wasm")]
    #[error("export {export:?}: the module has no export of that name")]
    ExportNotFound {
        /// The name that was asked for.
        export: Box<str>,
    },

    /// The export is something else: a memory, when a function was asked for.
    #[cfg(feature = "wasm")]
    #[error("export {:?}: it is a {}, and was asked for as a {}", .0.export, .0.found, .0.expected)]
    ExportKind(Box<Mismatch>),

    /// The function has another signature.
    #[cfg(feature = "wasm")]
    #[error("export {:?}: its type is {}, and it was asked for as {}", .0.export, .0.found, .0.expected)]
    Signature(Box<Mismatch>),

    /// There is no such place in the memory or the table.
    #[cfg(feature = "wasm")]
    #[error("out of bounds: {count} bytes or elements from {at} on, where there are {size}")]
    OutOfBounds {
        /// Where: the address of a byte, or the index of an element.
        at: u64,
        /// How many from there on.
        count: u64,
        /// How many there are.
        size: u64,
    },

    /// The linker has nothing for one of the module's imports.
    #[cfg(feature = "wasm")]
    #[error(
        "import {module:?} {name:?}: the linker defines nothing of that name, and the module needs it"
    )]
    MissingImport {
        /// The first part of the import's name.
        module: Box<str>,
        /// The second part of the import's name.
        name: Box<str>,
    },

    /// The engine's pool is full.
    #[cfg(feature = "wasm")]
    #[error(
        "{name}: the engine's pool holds {instances} instances and what they need, and is full: drop one, or make an \
         engine with a larger pool (`EngineOptions::pooling`)"
    )]
    TooManyInstances {
        /// What there is no room for: the module, or the export whose call needs a stack.
        name: Box<str>,
        /// How many instances the pool holds.
        instances: u32,
        /// What of the pool is used up.
        source: wasmtime::Error,
    },

    /// The engine, or this machine, lacks what is asked for.
    #[cfg(feature = "wasm")]
    #[error("{what} is not supported: {why}")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
        /// Why it cannot be had, or what can be done.
        why: Box<str>,
    },

    /// The module and its store, or its linker, were made by different engines.
    #[cfg(feature = "wasm")]
    #[error("{module}: its engine is not that of its store or linker: make them with one engine")]
    OtherEngine {
        /// Which module.
        module: Box<str>,
    },

    /// Something else that wasmtime refuses, a module that is not valid for one.
    #[cfg(feature = "wasm")]
    #[error("{}", .0.root_cause())]
    Wasmtime(#[source] wasmtime::Error),
}

impl Error {
    /// An error of the caller's own, for the work of a [`Future::new`](crate::Future::new).
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }
}

/// An export that is not what it was asked for as.
#[cfg(feature = "wasm")]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mismatch {
    /// Its name.
    pub export: String,
    /// What it was asked for as.
    pub expected: String,
    /// What it is.
    pub found: String,
}

/// What comes of a call. It is moved about for every call, so the rare error is behind a pointer.
pub(crate) type Outcome<T> = Result<T, Box<Error>>;

/// What became of a job that is over, from [`JobHandle::outcome`](crate::JobHandle::outcome).
///
/// The outcomes are in the order of how bad they are: the handle [of all](crate::JobHandle::all) of some jobs has the worst of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum JobOutcome {
    /// Its call came to a value, or its closure returned.
    Succeeded,
    /// It was cancelled, through a handle or by the owner of its call, who may simply have dropped the
    /// [`Future`](crate::Future); or its pool dropped it.
    Cancelled,
    /// Its call came to an error, its closure panicked, or it was not run because a job that it depends on had not succeeded.
    Failed,
}

impl JobOutcome {
    /// That of a call with this result.
    pub(crate) fn of<T>(result: &Outcome<T>) -> Self {
        match result {
            Ok(_) => Self::Succeeded,
            Err(error) if matches!(**error, Error::Cancelled) => Self::Cancelled,
            Err(_) => Self::Failed,
        }
    }

    /// A byte that is not zero.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Succeeded => 1,
            Self::Cancelled => 2,
            Self::Failed => 3,
        }
    }

    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Succeeded),
            2 => Some(Self::Cancelled),
            3 => Some(Self::Failed),
            _ => None,
        }
    }
}

/// A panic of the host inside a call: what it was called with.
///
/// Whoever holds it may go on panicking with [`std::panic::resume_unwind`] and [`into_payload`](Self::into_payload).
pub struct Panic {
    /// In a mutex to be `Sync`, as errors are expected to be.
    payload: Box<Mutex<Box<dyn Any + Send>>>,
}

impl Panic {
    pub(crate) fn new(payload: Box<dyn Any + Send>) -> Self {
        Self { payload: Box::new(Mutex::new(payload)) }
    }

    /// The message, if the panic had one that is text.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        let payload = self.payload.lock();
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| payload.downcast_ref::<String>().cloned())
    }

    /// The value that the panic was called with.
    #[must_use]
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        self.payload.into_inner()
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message().as_deref().unwrap_or("with a value that is not text"))
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Panic").field(&self.message()).finish()
    }
}

/// The guest did what wasm forbids, and was stopped there.
#[cfg(feature = "wasm")]
pub struct Trap {
    code: wasmtime::Trap,
    /// The code, with the backtrace as its context.
    error: wasmtime::Error,
}

#[cfg(feature = "wasm")]
impl Trap {
    pub(crate) fn new(code: wasmtime::Trap, error: wasmtime::Error) -> Self {
        Self { code, error }
    }

    /// What the guest did.
    #[must_use]
    pub fn code(&self) -> wasmtime::Trap {
        self.code
    }

    /// Where it did so, with the names of the functions if the module has them; none if the engine collects no
    /// backtraces.
    #[must_use]
    pub fn backtrace(&self) -> Option<&wasmtime::WasmBacktrace> {
        self.error.downcast_ref()
    }
}

#[cfg(feature = "wasm")]
impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the guest trapped: {}", self.code)?;
        match self.backtrace().and_then(|backtrace| backtrace.frames().first()) {
            Some(frame) => match frame.func_name() {
                Some(name) => write!(f, ", in function {name:?}"),
                None => write!(f, ", in function {}", frame.func_index()),
            },
            None => Ok(()),
        }
    }
}

#[cfg(feature = "wasm")]
impl fmt::Debug for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}

#[cfg(feature = "wasm")]
impl std::error::Error for Trap {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let error: &(dyn std::error::Error + Send + Sync) = self.error.as_ref();
        Some(error)
    }
}

/// Which limit in time a call has exceeded.
#[cfg(feature = "wasm")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Timeout {
    /// [`InstanceOptions::running_timeout`](crate::InstanceOptions::running_timeout)
    Running,
    /// [`InstanceOptions::elapsed_timeout`](crate::InstanceOptions::elapsed_timeout)
    Elapsed,
}

#[cfg(feature = "wasm")]
impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "the time that it may run",
            Self::Elapsed => "the time that may pass until its end",
        })
    }
}
