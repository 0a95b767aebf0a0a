//! [`kept`]: what becomes of a custom section. Some hold offsets into the code. These are corrected, or the section is left out.

use crate::body::{Edit, Moves};
use crate::names::{self, Names};
use std::borrow::Cow;
use wasm_encoder::Encode;
use wasmparser::{BinaryReader, BinaryReaderError};

/// What of a transformed module the custom sections can tell.
#[derive(Debug)]
pub(crate) struct Changes<'a> {
    /// What the name section gets.
    pub(crate) names: &'a Names,
    /// The changed bodies, by the index of their function, in order.
    pub(crate) bodies: Vec<ChangedBody>,
}

#[derive(Debug)]
pub(crate) struct ChangedBody {
    pub(crate) function: u32,
    /// Where the contents of the body begin.
    pub(crate) start: usize,
    pub(crate) edits: Vec<Edit>,
}

/// The data of a custom section in the transformed module. `None` if the section has to be left out.
pub(crate) fn kept<'a>(name: &str, data: &'a [u8], changes: &Changes<'_>) -> Option<Cow<'a, [u8]>> {
    // Offsets of DWARF begin at the code section's contents.
    let same_code = changes.bodies.is_empty();
    match name {
        "name" => Some(match names::extend(data, changes.names) {
            Some(names) => names.into(),
            // Engines ignore names that they cannot read, and so do we.
            None => data.into(),
        }),
        // A source map has offsets into the whole file. What linkers need has offsets into sections, by their position in the file.
        "sourceMappingURL" | "linking" => None,
        _ if name.starts_with("reloc.") => None,
        _ if same_code => Some(data.into()),
        "external_debug_info" => None,
        _ if name.starts_with(".debug_") => None,
        _ if name.starts_with("metadata.code.") => {
            metadata(data, &changes.bodies).ok().map(Cow::Owned)
        }
        _ => Some(data.into()),
    }
}

/// Moves the offsets of a section with metadata of instructions, such as branch hints: for each function, pairs of an offset in the
/// body's contents and some bytes. What was replaced has none any more.
fn metadata(data: &[u8], bodies: &[ChangedBody]) -> Result<Vec<u8>, BinaryReaderError> {
    let mut reader = BinaryReader::new(data, 0);
    let mut new = Vec::with_capacity(data.len());
    let functions = reader.read_var_u32()?;
    functions.encode(&mut new);
    for _ in 0..functions {
        let function = reader.read_var_u32()?;
        function.encode(&mut new);
        let changed = bodies.binary_search_by_key(&function, |body| body.function);
        let changed = changed.map(|n| (bodies[n].start, Moves::new(&bodies[n].edits)));
        let mut kept = Vec::new();
        for _ in 0..reader.read_var_u32()? {
            let offset = reader.read_var_u32()?;
            let size = reader.read_var_u32()?;
            let bytes = reader.read_bytes(size as usize)?;
            let offset = match &changed {
                Ok((start, moves)) => {
                    moves.moved(start + offset as usize).map(|moved| (moved - start) as u32)
                }
                Err(_) => Some(offset),
            };
            kept.extend(offset.map(|offset| (offset, bytes)));
        }
        (kept.len() as u32).encode(&mut new);
        for (offset, bytes) in kept {
            offset.encode(&mut new);
            bytes.encode(&mut new);
        }
    }
    Ok(new)
}
