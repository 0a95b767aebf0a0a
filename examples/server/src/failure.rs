//! [`Failure`]: why a request has no answer, and the status that tells the client.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::fmt;
use wasm_jobs::Error;

/// Why a request has no answer.
#[derive(Debug)]
pub enum Failure {
    /// There is no plugin of this name.
    NoPlugin(String),
    /// The request is refused with this status, for this reason: its body is too large, for example.
    Refused(StatusCode, String),
    /// The call failed.
    Call(Error),
}

impl Failure {
    /// The status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoPlugin(_) => StatusCode::NOT_FOUND,
            Self::Refused(status, _) => *status,
            Self::Call(Error::TimedOut(_)) => StatusCode::GATEWAY_TIMEOUT,
            Self::Call(
                Error::AllInstancesOut { .. } | Error::TooManyInstances { .. } | Error::Cancelled,
            ) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Call(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

/// The body of the response: the reason, and below it the guest's backtrace if it trapped.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPlugin(name) => write!(f, "there is no plugin {name:?}"),
            Self::Refused(_, why) => f.write_str(why),
            Self::Call(Error::Trap(trap)) => match trap.backtrace() {
                Some(backtrace) => write!(f, "{trap}\n{backtrace}"),
                None => write!(f, "{trap}"),
            },
            Self::Call(error) => write!(f, "{error}"),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status(), format!("{self}\n")).into_response()
    }
}
