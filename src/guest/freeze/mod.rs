//! Frozen calls: a call that is suspended in the middle of its guest's functions, as data.
//!
//! A suspended call is on a stack of its own. To freeze it ([`freezing`]), its owner makes a `request`, which one of the `savable_steps` accepts: the one that follows. The host function that
//! the guest is `waiting` in sees the request, and has the guest [save](saving) itself, if all that the guest refers to can become data (`references`): each function gives its
//! values, and returns. Then `collect` makes a `frozen_call` of that: of `frames`, and of the guest's state. `frozen` is what users have of it, `looking` what they see in it (and by `lines` in the guest's source), and `bytes` its form in files, in which memories are written as their differences to what they were at first (`initial`).
//!
//! To `thaw` it to a future of its `output`, a guest gets an instance with twins ([`bring_to`]). It is rewound (`go_back`, `reentry`, `rewind`) into its functions, whose twins go on where they were. A call that
//! was saved to go on itself, for a checkpoint or to be `parked`, is `stopped` meanwhile; `going_on` is such a call from its beginning to its end.
//!
//! `resumable` defines the host functions that a call can be saved in, and `plain` is the values that go through them. `freezable_module` is what is known of a module for all that.

pub(crate) mod bring_to;
mod bytes;
pub(crate) mod collect;
pub(crate) mod frames;
pub(crate) mod freezable_module;
mod freezing;
pub(crate) mod frozen;
pub(crate) mod frozen_call;
pub(crate) mod go_back;
pub(crate) mod going_on;
pub(crate) mod initial;
pub(crate) mod lines;
pub(crate) mod looking;
pub(crate) mod output;
mod parked;
pub(crate) mod plain;
pub(crate) mod reentry;
pub(crate) mod references;
pub(crate) mod request;
pub(crate) mod resumable;
pub(crate) mod rewind;
pub(crate) mod savable_steps;
pub(crate) mod saving;
pub(crate) mod stopped;
pub(crate) mod thaw;
pub(crate) mod waiting;
