//! The name section. [`of_functions`] reads it, and [`extend`] keeps it right. It gets names for what is added. Memories that come after an added one have the next number.

use std::collections::HashMap;
use wasm_encoder::Encode;
use wasmparser::{BinaryReader, BinaryReaderError, KnownCustom, Name, Parser, Payload};

/// The names of the functions that are asked for, by their indices. What cannot be read has no name.
pub(crate) fn of_functions(wasm: &[u8], is_asked: impl Fn(u32) -> bool) -> HashMap<u32, Box<str>> {
    let mut names = HashMap::new();
    let payloads = Parser::new(0).parse_all(wasm).map_while(Result::ok);
    let sections = payloads.filter_map(|payload| match payload {
        Payload::CustomSection(section) => match section.as_known() {
            KnownCustom::Name(section) => Some(section),
            _ => None,
        },
        _ => None,
    });
    for subsection in sections.flatten().map_while(Result::ok) {
        if let Name::Function(map) = subsection {
            let asked = map.into_iter().map_while(Result::ok).filter(|name| is_asked(name.index));
            names.extend(asked.map(|name| (name.index, name.name.into())));
        }
    }
    names
}

/// What the name section has to tell.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// The functions that are added, after all others.
    pub(crate) functions: Vec<(u32, String)>,
    /// The globals that are added, after all others.
    pub(crate) globals: Vec<(u32, String)>,
    /// The memory that is added, before those with its number or a greater one.
    pub(crate) memory: Option<(u32, String)>,
}

/// The subsections.
const FUNCTIONS: u8 = 1;
const MEMORIES: u8 = 6;
const GLOBALS: u8 = 7;

/// A subsection that says how many names it has, and has none.
const NO_NAMES: &[u8] = &[0];

/// The contents of a name section, with the new names. `None` if its contents are no sequence of subsections.
///
/// Subsections are copied as they are, in their order, which is that of their numbers.
pub(crate) fn extend(data: &[u8], names: &Names) -> Option<Vec<u8>> {
    let subsections = read(data).ok()?;
    let mut new = Vec::new();
    let mut write = |id: u8, contents: &[u8]| {
        new.push(id);
        contents.encode(&mut new);
    };
    let changed = |id: u8, had: &[u8]| match (id, &names.memory) {
        (FUNCTIONS, _) => with_more(had, &names.functions),
        (GLOBALS, _) => with_more(had, &names.globals),
        (MEMORIES, Some(memory)) => with_memory(had, memory),
        _ => None,
    };
    let mut missing = vec![];
    if !names.functions.is_empty() {
        missing.push(FUNCTIONS);
    }
    if names.memory.is_some() {
        missing.push(MEMORIES);
    }
    missing.push(GLOBALS);
    let mut missing = missing.into_iter().peekable();
    for (id, contents) in subsections {
        while let Some(before) = missing.next_if(|missing| *missing < id) {
            write(before, &changed(before, NO_NAMES)?);
        }
        if missing.next_if_eq(&id).is_some() {
            write(id, &changed(id, contents)?);
        } else {
            write(id, contents);
        }
    }
    for id in missing {
        write(id, &changed(id, NO_NAMES)?);
    }
    Some(new)
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
fn with_more(contents: &[u8], added: &[(u32, String)]) -> Option<Vec<u8>> {
    let mut reader = BinaryReader::new(contents, 0);
    let count = reader.read_var_u32().ok()?;
    let mut more = Vec::new();
    count.checked_add(added.len() as u32)?.encode(&mut more);
    more.extend_from_slice(&contents[reader.current_position()..]);
    for (index, name) in added {
        index.encode(&mut more);
        name.as_str().encode(&mut more);
    }
    Some(more)
}

/// The subsection with the names of memories, with one more. Names are in the order of the indices.
fn with_memory(contents: &[u8], (added, name): &(u32, String)) -> Option<Vec<u8>> {
    let mut reader = BinaryReader::new(contents, 0);
    let count = reader.read_var_u32().ok()?;
    let mut names = Vec::new();
    for _ in 0..count {
        let index = reader.read_var_u32().ok()?;
        let name = reader.read_string().ok()?;
        names.push((index + u32::from(index >= *added), name));
    }
    names.push((*added, name));
    names.sort_by_key(|(index, _)| *index);
    let mut new = Vec::new();
    (names.len() as u32).encode(&mut new);
    for (index, name) in names {
        index.encode(&mut new);
        name.encode(&mut new);
    }
    Some(new)
}
