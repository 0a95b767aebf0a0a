//! What becomes of a call ([`Outcome`]), and what is told of it to everyone but its owner ([`JobOutcome`]).

use crate::error::Error;

/// The result of a call, or its failure. Every call moves it about, so the rare error is behind a pointer.
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
