//! Checkpoints: the state of a guest between two calls, as data.
//!
//! A prepared module exports all that is its state, and a `plan` finds it there. `state` reads it from a guest and writes it to one: `refs` its
//! globals and tables, as `value`s, and `tracked_memory` its memories, as `pages` beside the module's `image`: it looks at the pages that were ever
//! `written`, which the kernel's `page_map` tells, and compares them with what it has `seen`. `saves` is what a guest keeps for that. `checkpoint` is the data, `bytes` its form in files, and `check`
//! holds what comes from there against the module. `save` has the functions of `Instance`, and `instantiate` makes new ones.

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
pub(crate) mod prepare;
pub(crate) mod refs;
mod save;
pub(crate) mod saves;
pub(crate) mod seen;
pub(crate) mod state;
pub(crate) mod tracked_memory;
pub(crate) mod value;
pub(crate) mod written;
