#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

// The private tour, in the order of a transformation: `parse` validates the bytes and collects what the transformation needs in a
// `module`; if they are no module that can be transformed, `refuse` finds out why. `state` decides what is state and describes it in a
// `layout`. `write` copies the module, with bodies that `body` rewrote, the exports of the `layout`, and custom sections that `custom`
// and `names` keep right.

use crate::added::Added;

mod added;
mod body;
mod custom;
mod error;
mod export;
mod layout;
mod module;
mod names;
mod options;
mod parse;
mod refuse;
mod state;
mod stops;
mod write;

pub use crate::error::{Error, Place};
pub use crate::export::{
    FLAG, FLAGS_MAX_PAGES, FLAGS_MEMORY, FLAGS_MIN_PAGES, FLAGS_MODULE, HASH_HIGH, HASH_LOW,
    LAYOUT_VERSION, PREFIX, START, STOP, StateExport, parse_export,
};
pub use crate::layout::{
    GlobalState, Image, Layout, MemoryState, ReferenceType, Referent, Run, TableState, ValueType,
};
pub use crate::options::Options;

/// A transformed module.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Transformed {
    /// The module, in the binary format.
    pub wasm: Vec<u8>,
    /// The description of its state.
    pub layout: Layout,
    /// How many checks it has.
    pub checks: usize,
}

/// Transforms a module, in the binary format, so that it exports all of its state. The same bytes give the same result on every machine.
///
/// # Errors
///
/// [`Error`] if the bytes are no valid module, or one that cannot be transformed.
pub fn transform(wasm: &[u8]) -> Result<Transformed, Error> {
    transform_with(wasm, &Options::default())
}

/// Transforms a module as [`transform`] does, with options.
///
/// # Errors
///
/// As for [`transform`].
pub fn transform_with(wasm: &[u8], options: &Options) -> Result<Transformed, Error> {
    let module = parse::parse(wasm, options.stops)?;
    let layout = state::layout(&module);
    let added = Added::new(&module, &layout, options)?;
    let wasm = write::write(&module, &layout, &added)?;
    Ok(Transformed { wasm, layout, checks: added.checks() })
}
