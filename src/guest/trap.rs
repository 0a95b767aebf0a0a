//! How a guest fails: turns wasmtime's errors into [`Error`]s. A call that fails gets its error here, and so does a guest that
//! cannot be made.

use crate::error::Error;
use crate::error::trap::Trap;
use crate::guest::limit::call_time::CallTime;
use crate::guest::limit::control::Control;
use crate::timed_out::{TimedOut, Timeout};
use std::time::Duration;
use wasmtime::{
    AsContextMut as _, GcHeapOutOfMemory, PoolConcurrencyLimitError, RootScope, Store,
    ThrownException, UnknownImportError, WasmBacktrace,
};

/// What was attempted, for the message of its error.
#[derive(Clone, Copy)]
pub(crate) enum Attempt<'a> {
    /// A call of this export.
    Export(&'a str),
    /// A call by `Instance::start`.
    Start,
    /// Instantiating the origin of this name.
    Instantiate(&'a str),
}

impl Attempt<'_> {
    fn name(self) -> Box<str> {
        match self {
            Self::Export(name) => format!("export {name:?}").into(),
            Self::Start => "a call by `Instance::start`".into(),
            Self::Instantiate(name) => name.into(),
        }
    }

    /// Whether an error for which wasmtime has no type comes from a host function. In a call, all of them do; while instantiating,
    /// those with a backtrace do, because they have passed through the guest.
    fn blames_host(self, error: &wasmtime::Error) -> bool {
        !matches!(self, Self::Instantiate(_)) || error.is::<WasmBacktrace>()
    }
}

/// The [`Error`] for wasmtime's error of a call, or of instantiating.
pub(crate) fn failure<S: Send + 'static>(
    error: wasmtime::Error,
    store: &mut Store<S>,
    control: &Control,
    attempt: Attempt<'_>,
) -> Error {
    // Takes an exception out of the store, whatever the error is, because the next one must not find it there. The scope unroots
    // it, because otherwise it would stay on the store's heap until the store is dropped.
    let _ = RootScope::new(&mut *store).as_context_mut().take_pending_exception();
    if let Some(limit) = control.timed_out() {
        return timed_out(limit, control, attempt, Begun::Yes);
    }
    if error.is::<ThrownException>() {
        return Error::UncaughtException;
    }
    if error.is::<GcHeapOutOfMemory<()>>() {
        return Error::GcHeapOutOfMemory(error);
    }
    if error.is::<PoolConcurrencyLimitError>() {
        let pool = store.engine().get_pooling_config();
        let instances = pool.map_or(0, |pool| match pool.get_max_core_instances_per_component() {
            u32::MAX => pool.get_total_core_instances(),
            // The pool is for components of several core instances each.
            _ => pool.get_total_component_instances(),
        });
        return Error::TooManyInstances { name: attempt.name(), instances, source: error };
    }
    match Error::from(error) {
        Error::Wasmtime(error) if attempt.blames_host(&error) => Error::Host(error),
        Error::Wasmtime(error) => Error::Wasmtime(error.context(attempt.name())),
        error => error,
    }
}

/// Whether anything of the guest has run.
pub(crate) enum Begun {
    Yes,
    No,
}

/// The error of a call that exceeded a limit in time.
#[cold]
pub(crate) fn timed_out(
    limit: Timeout,
    control: &Control,
    attempt: Attempt<'_>,
    begun: Begun,
) -> Error {
    let begun = matches!(begun, Begun::Yes);
    Error::TimedOut(Box::new(TimedOut {
        name: attempt.name(),
        limit,
        after: control.time().map_or(Duration::MAX, |time| time.timeout(limit)),
        ran: control.time().filter(|_| begun).map_or(Duration::ZERO, CallTime::used),
        begun,
    }))
}

/// Lets `?` convert the errors of wasmtime's own functions, such as those that make a module or a global.
impl From<wasmtime::Error> for Error {
    fn from(error: wasmtime::Error) -> Self {
        if let Some(&code) = error.downcast_ref::<wasmtime::Trap>() {
            return Self::Trap(Trap::new(code, error));
        }
        #[cfg(feature = "wasi")]
        if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
            return Self::Exit(exit.0);
        }
        if let Some(import) = error.downcast_ref::<UnknownImportError>() {
            return Self::MissingImport {
                module: import.module().into(),
                name: import.name().into(),
            };
        }
        Self::Wasmtime(error)
    }
}
