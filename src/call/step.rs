//! [`Step`]: where a call stands after it was resumed once.

/// Where a call stands after a step.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// There is a result, or a failure, for the [`Future`](crate::Future) to give.
    Done,
    /// It can go on at once.
    Yielded,
    /// It will be woken. Until then, resuming it does not enter the guest, and costs next to nothing.
    Waiting,
}
