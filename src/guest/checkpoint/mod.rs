//! Checkpoints: the state of a guest between two calls, as data.
//!
//! A prepared module exports all of its state, and a `plan` finds it there. `state` reads the state from a guest, and writes it to one. `refs` does
//! so for globals and tables, whose contents become `value`s. `tracked_memory` does so for memories: it keeps the `pages` that differ from the
//! module's `image`. It looks only at pages that were ever `written`, which the kernel's `page_map` tells, and finds those that have changed by
//! a hash that it has `seen`. `saves` is what a guest keeps for all that.
//!
//! `checkpoint` is the data, of which a `saved_guest` is the guest's part, `bytes` is its form in files, and `check` refuses what no guest of the module can be. `save` has the functions of
//! `Instance`, and `instantiate` makes new instances.

pub(crate) mod bytes;
pub(crate) mod check;
#[expect(clippy::module_inception, reason = "the folder is named after it")]
pub(crate) mod checkpoint;
pub(crate) mod codec;
pub(crate) mod host_state;
pub(crate) mod image;
mod instantiate;
#[cfg(target_os = "linux")]
pub(crate) mod page_map;
pub(crate) mod pages;
pub(crate) mod plan;
pub(crate) mod refs;
mod save;
pub(crate) mod saved_guest;
pub(crate) mod saves;
pub(crate) mod seen;
#[cfg(feature = "serde")]
pub(crate) mod serde_bytes;
pub(crate) mod state;
pub(crate) mod tracked_memory;
pub(crate) mod value;
pub(crate) mod written;
