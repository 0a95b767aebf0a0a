//! [`Look`]: what a running guest does after it has looked whether it has to stop.

/// What a guest does after it has looked whether it has to stop.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    GoOn,
    Yield,
    /// The call ends.
    Interrupt,
}
