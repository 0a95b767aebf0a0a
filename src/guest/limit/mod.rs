//! How much a guest may do and have: in one step ([`Slice`](slice::Slice)) and in one call
//! ([`InstanceOptions`](options::InstanceOptions)).
//!
//! [`control`] holds a guest to its limits. It is made of small state machines, each in a file: [`slice_state`], [`epoch`],
//! [`call_time`], [`nesting`], [`growth`]. `attach` has the guest's store ask it. [`host_calls`] makes a guest yield before it calls the host, and `watch` tells a world of `explore` when it does. [`limited`] is a call that keeps to all of them.
//!
//! What [`stops`] a running guest is the epoch, or its own flag, as its [`stopper`] knows; each makes it [`look`] whether it has to stop. Its engine's [`ticker`] advances
//! the epoch, and has the [`flags`] of its guests, of which a [`flag`] is one instance's. The thread of the [`schedule`] decides when a
//! [`target`] is stopped: it reads the [`slot`] of each thread, and stops it again after each pause of a [`repetition`].
//! While many short steps are taken, it also reads the clock for them, as their [`shared_clock`].

mod attach;
pub(crate) mod call_time;
pub(crate) mod control;
pub(crate) mod epoch;
#[cfg(feature = "prepare")]
pub(crate) mod flag;
#[cfg(feature = "prepare")]
pub(crate) mod flags;
pub(crate) mod growth;
pub(crate) mod host_calls;
pub(crate) mod limited;
pub(crate) mod look;
pub(crate) mod nesting;
pub(crate) mod options;
pub(crate) mod repetition;
pub(crate) mod schedule;
pub(crate) mod shared_clock;
pub(crate) mod slice;
pub(crate) mod slice_state;
pub(crate) mod slot;
pub(crate) mod stopper;
pub(crate) mod stops;
pub(crate) mod target;
pub(crate) mod ticker;
#[cfg(feature = "explore")]
pub(crate) mod watch;
