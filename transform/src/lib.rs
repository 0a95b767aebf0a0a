#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

// The private tour, in the order of a transformation: `parse` validates the bytes and collects what the transformation needs in a
// `module`; if they are no module that can be transformed, `refuse` finds out why. `state` decides what is state and describes it in a
// `layout`. `stops` finds where checks are needed. `write` copies the module, with bodies that `body` rewrote, what is `added`, and custom sections that `custom`
// and `names` keep right. If calls are to be saved, `saving` then rewrites what came of this, and `frames` describe it. `calls` finds the
// places of calls in the module as it was.

use crate::added::Added;
use crate::saving::shown::shows_host_calls;

mod added;
mod body;
mod calls;
mod custom;
mod error;
mod export;
mod frames;
mod layout;
mod module;
mod names;
mod options;
mod parse;
mod refuse;
mod saving;
mod state;
mod stops;
mod write;

pub use crate::calls::{custom_section, offset_of_call};
pub use crate::error::{Error, Place};
pub use crate::export::{
    FLAG, FLAGS_MAX_PAGES, FLAGS_MEMORY, FLAGS_MIN_PAGES, FLAGS_MODULE, HASH_HIGH, HASH_LOW,
    LAYOUT_VERSION, LOAD, NEXT, POINT, PREFIX, SAVE, SAVING, START, STOP, StateExport, TWINS,
    code_export, parse_export, reference_export,
};
pub use crate::frames::{FrameLayout, Point, Slot, SlotValue};
pub use crate::layout::{
    GlobalState, Image, Layout, MemoryState, ReferenceType, Referent, Run, TableState, ValueType,
};
pub use crate::options::Options;

use std::collections::HashSet;

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
    /// What its functions give the host when a call is saved. Without [`Options::saves_calls`], nothing.
    pub frames: FrameLayout,
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
    let mut layout = state::layout(&module);
    let added = Added::new(&module, &layout, options)?;
    let checks = added.checks();
    let mut wasm = write::write(&module, &layout, &added)?;
    let mut frames = FrameLayout::default();
    if options.saves_calls || options.twins {
        let never = added.stops.as_ref().map_or(0..0, |stops| stops.function_indices());
        let (suspends, functions) = (&*options.waits_in, &layout.functions[..]);
        let Options { twins, counts_fuel, .. } = *options;
        let saving = saving::Saving { suspends, never, functions, twins, counts_fuel };
        drop(module);
        let mut saved = saving::saving(&wasm, &saving)?;
        let functions: HashSet<u32> = saved.1.points.iter().map(|point| point.function).collect();
        let has_indirect_points = saved.1.points.iter().any(|point| point.callee().is_none());
        let shown = shows_host_calls(&wasm, has_indirect_points);
        saved.1.shows_host_calls = shown.map_err(|error| Error::Invalid {
            message: error.message().to_owned(),
            offset: error.offset(),
        })?;
        saved.1.names = names::of_functions(&wasm, |function| functions.contains(&function));
        (wasm, frames) = saved;
        if layout.functions.is_empty() {
            layout.functions.clone_from(&frames.functions);
        }
    }
    Ok(Transformed { wasm, layout, checks, frames })
}
