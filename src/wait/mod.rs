//! Everything that waits, and who is told when the wait is over. Nothing here knows calls, jobs or pools.
//!
//! A [`latch`] keeps its [`waiters`] and tells them when it is set; a [`countdown`] is told by several latches. An [`event`] is a latch that
//! users set; a [`clock`] has waiters by time, and the [`alarm`] is the thread behind the real one. [`block`] is how a thread waits.

pub(crate) mod alarm;
pub(crate) mod block;
pub(crate) mod clock;
pub(crate) mod countdown;
pub(crate) mod event;
pub(crate) mod latch;
pub(crate) mod waiters;
