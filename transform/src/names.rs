//! [`extend`]: keeps the name section right. No index changes, so it only gets names for the new globals.

use wasm_encoder::Encode;
use wasmparser::{BinaryReader, BinaryReaderError};

/// The subsection with the names of globals.
const GLOBALS: u8 = 7;

/// A subsection that says how many names it has, and has none.
const NO_NAMES: &[u8] = &[0];

/// The contents of a name section with more names of globals. `None` if its contents are no sequence of subsections.
///
/// Subsections are copied as they are, in their order, which is that of their numbers.
pub(crate) fn extend(data: &[u8], globals: &[(u32, String)]) -> Option<Vec<u8>> {
    let mut names = Vec::new();
    let mut write = |id: u8, contents: &[u8]| {
        names.push(id);
        contents.encode(&mut names);
    };
    let mut named = false;
    for (id, contents) in read(data).ok()? {
        if id >= GLOBALS && !named {
            named = true;
            let had = if id == GLOBALS { contents } else { NO_NAMES };
            write(GLOBALS, &with_more(had, globals)?);
            if id == GLOBALS {
                continue;
            }
        }
        write(id, contents);
    }
    if !named {
        write(GLOBALS, &with_more(NO_NAMES, globals)?);
    }
    Some(names)
}

fn read(data: &[u8]) -> Result<Vec<(u8, &[u8])>, BinaryReaderError> {
    let mut reader = BinaryReader::new(data, 0);
    let mut subsections = Vec::new();
    while !reader.eof() {
        let id = reader.read_u8()?;
        let size = reader.read_var_u32()?;
        subsections.push((id, reader.read_bytes(size as usize)?));
    }
    Ok(subsections)
}

/// The subsection with more names after those that it has.
fn with_more(contents: &[u8], globals: &[(u32, String)]) -> Option<Vec<u8>> {
    let mut reader = BinaryReader::new(contents, 0);
    let count = reader.read_var_u32().ok()?;
    let mut more = Vec::new();
    count.checked_add(globals.len() as u32)?.encode(&mut more);
    more.extend_from_slice(&contents[reader.current_position()..]);
    for (index, name) in globals {
        index.encode(&mut more);
        name.as_str().encode(&mut more);
    }
    Some(more)
}
