//! The state of a guest between two calls, as data. `host_state` is the host's half of it.

pub(crate) mod host_state;
