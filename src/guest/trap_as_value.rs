//! [`TrapAsValue`]: the work of a call whose result has a trap as a value, as `try_call` makes it.

use crate::error::Error;
use crate::error::trap::Trap;
use crate::outcome::Outcome;
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    pub(crate) struct TrapAsValue<F> {
        #[pin]
        call: F,
    }
}

impl<F> TrapAsValue<F> {
    #[inline]
    pub(crate) fn new(call: F) -> Self {
        Self { call }
    }
}

impl<R, F: Future<Output = Outcome<R>>> Future for TrapAsValue<F> {
    type Output = Outcome<Result<R, Trap>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().call.poll(context).map(|outcome| match outcome {
            Ok(results) => Ok(Ok(results)),
            Err(error) => match *error {
                Error::Trap(trap) => Ok(Err(trap)),
                error => Err(Box::new(error)),
            },
        })
    }
}
