//! [`Verdict`]: what a test may return.

use std::fmt;

/// What a test returns: nothing, or a `Result` whose error is a failure. It is sealed.
pub trait Verdict: sealed::Verdict {}

impl Verdict for () {}

impl<E: fmt::Display> Verdict for Result<(), E> {}

pub(crate) mod sealed {
    use std::fmt;

    pub trait Verdict {
        /// The message of the failure, if it is one.
        fn failure(self) -> Option<String>;
    }

    impl Verdict for () {
        fn failure(self) -> Option<String> {
            None
        }
    }

    impl<E: fmt::Display> Verdict for Result<(), E> {
        fn failure(self) -> Option<String> {
            self.err().map(|error| format!("the test gave the error: {error:#}"))
        }
    }
}
