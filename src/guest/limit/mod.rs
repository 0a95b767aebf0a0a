//! How much a guest may do and have: in one step ([`Slice`](slice::Slice)) and in one call
//! ([`InstanceOptions`](options::InstanceOptions)).
//!
//! [`control`] holds a guest to its limits. It is made of small state machines, each in a file: [`slice_state`], [`epoch`],
//! [`call_time`], [`nesting`], [`growth`]. [`host_calls`] makes a guest yield before it calls the host. [`limited`] is a call that keeps to all of them. A running guest is stopped by its engine's
//! [`ticker`]. The thread of the [`schedule`] decides when that ticks: it reads the [`slot`] of each thread, and ticks again after
//! each pause of a [`repetition`].

pub(crate) mod call_time;
pub(crate) mod control;
pub(crate) mod epoch;
pub(crate) mod growth;
pub(crate) mod host_calls;
pub(crate) mod limited;
pub(crate) mod nesting;
pub(crate) mod options;
pub(crate) mod repetition;
pub(crate) mod schedule;
pub(crate) mod slice;
pub(crate) mod slice_state;
pub(crate) mod slot;
pub(crate) mod ticker;
