//! [`CannotFreeze`]: why a call cannot become data.

use std::fmt;

/// Why a call cannot be [frozen](crate::Future::freeze). It goes on, as if it had been resumed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CannotFreeze {
    /// The work is not the call of an export of a module that was prepared by [`PrepareOptions::freezable`](crate::PrepareOptions::freezable).
    NotPrepared,
    /// The call has ended, before or in the step that was taken. Its result, or its failure, can be taken.
    Ended,
    /// The call has yielded once more, and has not come to a place where it can be frozen. [`try_freeze`](crate::Future::try_freeze) gives this; and
    /// [`freeze`](crate::Future::freeze), for a parked call that was woken and that waits for a place in the engine's pool.
    Running,
    /// The call waits in a host function that is not [resumable](crate::func_wrap_resumable).
    HostFunction {
        /// The functions of which it can be one: those that the module imports, and that are not resumable. Each is `module.name`.
        imports: Box<[Box<str>]>,
    },
    /// The call waits in a [resumable](crate::func_wrap_resumable) host function, but not in a way that can be data.
    Waiting {
        /// The function, as `module.name`.
        import: Box<str>,
        /// What it waits for.
        what: &'static str,
    },
    /// A host function has called the guest back, and that call waits.
    Nested,
    /// A function is on the stack that cannot be saved: it is of another module; or it waits in a function that
    /// [`PrepareOptions::waits_in`](crate::PrepareOptions::waits_in) has left out.
    Function {
        /// The name of the function, or its index.
        name: Box<str>,
    },
    /// As many functions are on the stack as the engine shows in a backtrace, or more. See [`EngineOptions::backtrace_frames`](crate::EngineOptions::backtrace_frames).
    TooDeep {
        /// How many functions the engine shows.
        frames: usize,
    },
    /// The call could become data, but it could not go on after that, as it has to for a [checkpoint](crate::Future::checkpoint).
    CannotGoOn {
        /// Why not.
        why: Box<str>,
    },
    /// The guest refers to something that is no data.
    Reference {
        /// Where the reference is.
        place: Box<str>,
        /// Why it is no data.
        why: Box<str>,
    },
}

impl fmt::Display for CannotFreeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPrepared => f.write_str(
                "it is not the call of an export of a module that was compiled with `PrepareOptions::freezable`",
            ),
            Self::Ended => f.write_str("it has ended"),
            Self::Running => f.write_str("it has not come to a place where it can be frozen"),
            Self::HostFunction { imports } => {
                f.write_str("it waits in a host function that is not resumable: ")?;
                match &**imports {
                    [] => f.write_str("one that no import names"),
                    [import] => f.write_str(import),
                    imports => write!(f, "one of {}", imports.join(", ")),
                }
            }
            Self::Waiting { import, what } => write!(f, "{import} waits for {what}"),
            Self::Nested => f.write_str("it was called by a host function of another call of the guest, which waits for it"),
            Self::Function { name } => write!(f, "function {name} is on its stack, and cannot be saved"),
            Self::TooDeep { frames } => write!(
                f,
                "{frames} or more functions are on its stack, and the engine shows no more: see `EngineOptions::backtrace_frames`"
            ),
            Self::CannotGoOn { why } => write!(f, "it could not go on: {why}"),
            Self::Reference { place, why } => write!(f, "{place}: {why}"),
        }
    }
}
