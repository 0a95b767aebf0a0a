//! Everything that waits, and who is told when the wait is over. Nothing here knows calls, jobs or pools.

pub(crate) mod alarm;
pub(crate) mod clock;
pub(crate) mod event;
pub(crate) mod latch;
pub(crate) mod waiters;
