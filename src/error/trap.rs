//! [`Trap`]: why and where a guest was stopped.

use std::fmt;

/// The guest did something that wasm forbids, or [panicked](Self::message), and was stopped there.
pub struct Trap {
    code: wasmtime::Trap,
    /// wasmtime's error: the code, with the backtrace as its context.
    error: wasmtime::Error,
}

impl Trap {
    pub(crate) fn new(code: wasmtime::Trap, error: wasmtime::Error) -> Self {
        Self { code, error }
    }

    /// The kind of the trap.
    #[must_use]
    pub fn code(&self) -> wasmtime::Trap {
        self.code
    }

    /// What the guest said when it panicked, by the function of the [kit for guests](crate::guest_kit). `None` for every other trap.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.error.downcast_ref().map(|GuestMessage(message)| message.as_str())
    }

    /// Where the guest was, with the names of its functions if the module has them. `None` if the engine collects no backtraces.
    #[must_use]
    pub fn backtrace(&self) -> Option<&wasmtime::WasmBacktrace> {
        self.error.downcast_ref()
    }
}

/// What a guest said when it panicked. It is a context of the trap's error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct GuestMessage(pub(crate) String);

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(message) = self.message() {
            return write!(f, "the guest trapped: {message}");
        }
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

/// The function of a frame, and its place in the source if that is known.
#[cfg(feature = "explore")]
pub(crate) fn describe_frame(frame: &wasmtime::FrameInfo) -> String {
    let symbol = frame.symbols().first();
    let name = symbol.and_then(|symbol| symbol.name()).or_else(|| frame.func_name());
    let mut text = match name {
        Some(name) => format!("{:#}", rustc_demangle::demangle(name)),
        None => format!("function {}", frame.func_index()),
    };
    if let Some(symbol) = symbol
        && let (Some(file), Some(line)) = (symbol.file(), symbol.line())
    {
        text.push_str(&format!(" ({file}:{line})"));
    }
    text
}

impl fmt::Debug for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}

impl std::error::Error for Trap {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let error: &(dyn std::error::Error + Send + Sync) = self.error.as_ref();
        Some(error)
    }
}
