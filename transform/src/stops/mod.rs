//! Checks: a transformed guest looks by itself whether it has to stop.
//!
//! Each instance has a flag, a word in a memory that all instances of an engine share. A check reads the flag. If it is set, the cold path
//! calls the host, which may suspend the guest there, or end it.
//!
//! What such a check costs is not the comparison. It is that all values that live longer than the check have to be where a call leaves them
//! alone, on the hot path as well. So the cold path carries them around the call: it gives them to the function that it calls, which returns
//! them. Then nothing lives longer than the call.
//!
//! A `trace` of each body is recorded while it is validated. `graph` and `walk` find where checks are needed, by what is known of `paths`, `live` what each of them
//! carries, and `check` writes the code.

pub(crate) mod check;
mod circles;
pub(crate) mod graph;
pub(crate) mod live;
pub(crate) mod loops;
pub(crate) mod memories;
pub(crate) mod paths;
pub(crate) mod trace;
pub(crate) mod twice;
pub(crate) mod walk;
