//! Calls as data: a call that is suspended in a host function is saved, function by function, and goes on from what was saved, in this instance or
//! another one.
//!
//! To save a call, the host sets a global of the instance's, and lets the host function in which the call waits return. Each function on the stack then gives the host
//! the values that it still needs, and returns. To go on, the host calls the twin of the first of these functions. That takes its values from the
//! host and calls the next one's twin, and so on, up to the host function.
//!
//! `reach` finds the calls that may be suspended, the points. `shape` is recorded of each body that has one, `rewrite` and `twin` write it anew, with what all of them
//! share in a `context`.

mod context;
mod module;
mod reach;
mod rewrite;
mod sets;
mod shape;
mod twin;

pub(crate) use module::{Freezing, freezing};
