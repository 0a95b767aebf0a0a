//! Frozen calls: a call that is suspended in the middle of its guest's functions, as data.
//!
//! A call is on a stack of its own, as all are. To freeze it, its owner makes a `request`, which the step that follows [takes](taking). The host function that the
//! guest waits in is `resumable`; it sees the request, and has the guest [save](saving) itself: each function gives its values, and returns. What comes of that is a `frozen_call`, of
//! `frames` and of the guest's state. `thaw` makes a guest of it again, whose functions' twins go on where they were.
//!
//! `freezer` is what is known of a module for all that, `plain` the values of resumable functions, and `frozen` what users have.

mod bytes;
pub(crate) mod collect;
pub(crate) mod frames;
pub(crate) mod freezer;
mod freezing;
pub(crate) mod frozen;
pub(crate) mod frozen_call;
pub(crate) mod plain;
pub(crate) mod reentry;
pub(crate) mod references;
pub(crate) mod request;
pub(crate) mod resumable;
pub(crate) mod saving;
pub(crate) mod taking;
pub(crate) mod thaw;
