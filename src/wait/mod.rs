//! Everything that waits, and how it is notified. Nothing here knows calls, jobs or pools.
//!
//! A [`latch`] keeps its [`waiters`] and notifies them when it is set; a [`countdown`] waits for several latches, and [`ready`] notifies what
//! these make ready, one after another. An [`event`] is a latch that users set. A [`clock`] keeps waiters by time, and the [`alarm`] is the
//! thread behind the real-time clock. An [`access`] queue has closures that wait for a value of another thread. A [`stock`] has things that many
//! share. [`block`] is how a thread waits. By `waits_for`, each wait tells a world of `explore` what it is for.

pub(crate) mod access;
pub(crate) mod alarm;
pub(crate) mod block;
pub(crate) mod clock;
pub(crate) mod countdown;
pub(crate) mod event;
pub(crate) mod latch;
pub(crate) mod ready;
#[cfg(any(feature = "wasm", wasm_jobs_loom))]
#[cfg_attr(not(wasm_jobs_loom), expect(unreachable_pub, reason = "public for the models alone"))]
pub(crate) mod stock;
pub(crate) mod waiters;
#[cfg(feature = "explore")]
pub(crate) mod waits_for;
