//! [`Outcome`]: the result of a call, which its owner gets. [`JobOutcome`]: the part of it that everyone else sees.

use crate::error::Error;

/// The result of a call, or its failure. Each call moves it several times, so the error, which is large and rare, is boxed.
pub(crate) type Outcome<T> = Result<T, Box<Error>>;

/// How a job ended, from [`JobHandle::outcome`](crate::JobHandle::outcome).
///
/// The outcomes are ordered, the worst last. A handle of [all](crate::JobHandle::all) of some jobs has the worst of their outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum JobOutcome {
    /// Its call gave a value, or its closure returned.
    Succeeded,
    /// It was cancelled through a handle or by its [`Future`](crate::Future), or that was dropped, or its pool dropped the
    /// [`Job`](crate::Job).
    Cancelled,
    /// Its call gave an error, its closure panicked, or it was not run because a job that it depends on did not succeed.
    Failed,
}

impl JobOutcome {
    /// The outcome of a call with this result.
    pub(crate) fn of<T>(result: &Outcome<T>) -> Self {
        match result {
            Ok(_) => Self::Succeeded,
            Err(error) if matches!(**error, Error::Cancelled) => Self::Cancelled,
            Err(_) => Self::Failed,
        }
    }

    /// The outcome as a byte, which is never zero.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Succeeded => 1,
            Self::Cancelled => 2,
            Self::Failed => 3,
        }
    }

    #[inline]
    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Succeeded),
            2 => Some(Self::Cancelled),
            3 => Some(Self::Failed),
            _ => None,
        }
    }
}
