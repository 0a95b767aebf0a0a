//! [`Step`]: where a call stands after it was resumed.

/// Where a call stands after a step.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// There is a result, or a failure, for the [`Future`](crate::Future) to give.
    Done,
    /// The call can go on at once.
    Yielded,
    /// The call waits for a wake. Until one comes, resuming it does not enter the guest, and costs next to nothing.
    Waiting,
}
