//! Calls as data: a call that is suspended in a host function is saved, function by function, and goes on from what was saved, in this instance or
//! another one.
//!
//! To save a call, the host sets a global of the instance's, and lets the host function in which the call waits return. Each function on the stack then gives the host
//! the values that it still needs, and returns. To go on, the host calls the twin of the first of these functions. That takes its values from the
//! host and calls the next one's twin, and so on, up to the host function.
//!
//! `module` goes over all bodies. `reach` finds the calls that may be suspended, the points. The `shape` of each body that has one is recorded, and `rewrite` and
//! `twin` write it anew, with `operands` in `spills`, locals in `sets`, and with what all bodies share in a `context`. `assemble` makes a module of all this.

mod assemble;
mod context;
mod fuel;
mod labels;
mod module;
mod operands;
mod reach;
mod rewrite;
mod sets;
mod shape;
pub(crate) mod shown;
mod spills;
mod twin;
mod types;

pub(crate) use context::{saved_reference, words_of};
pub(crate) use module::{Saving, saving};
