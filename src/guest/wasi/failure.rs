//! [`Failure`]: why a function of WASI fails. The functions return it; [`errno`] turns it into what the guest gets.

use wasmtime_wasi::p1::types::Errno;
use wiggle::GuestError;

pub(crate) enum Failure {
    /// The function returns this number to the guest, and the call goes on.
    Errno(Errno),
    /// The call ends with this error.
    Host(wasmtime::Error),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<GuestError> for Failure {
    fn from(error: GuestError) -> Self {
        Self::Errno(match error {
            GuestError::PtrOverflow
            | GuestError::PtrOutOfBounds { .. }
            | GuestError::PtrNotAligned { .. } => Errno::Fault,
            _ => Errno::Inval,
        })
    }
}

/// The number that the function returns to the guest, or the error that ends the call.
pub(crate) fn errno(outcome: Result<(), Failure>) -> wasmtime::Result<i32> {
    match outcome {
        Ok(()) => Ok(Errno::Success as i32),
        Err(Failure::Errno(errno)) => Ok(errno as i32),
        Err(Failure::Host(error)) => Err(error),
    }
}
