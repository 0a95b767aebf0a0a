//! [`edits`]: the memory with the flags is imported, and imports come first. So the instructions that use a memory of the module's own
//! name it by the next number.

use crate::body::Edit;
use crate::module::{Body, leb_len, read_leb};
use std::ops::Range;
use wasm_encoder::Encode;
use wasmparser::{BinaryReader, OperatorsReader};

/// In the alignment of a load or store: the index of a memory follows.
const HAS_MEMORY: u32 = 1 << 6;

/// For each instruction of the body that uses a memory from `first` on, its edit.
pub(crate) fn edits(wasm: &[u8], body: &Body, first: u32, edits: &mut Vec<Edit>) {
    let code = body.code..body.contents.end;
    let mut reader = OperatorsReader::new(BinaryReader::new(&wasm[code.clone()], code.start));
    loop {
        let start = reader.original_position();
        if reader.eof() || reader.read().is_err() {
            // It was validated before, and has ended.
            return;
        }
        edit(wasm, start..reader.original_position(), first, edits);
    }
}

/// Where an instruction names its memories.
enum Named {
    No,
    /// In the alignment and offset of a load or store, which begin here.
    InMemArg(usize),
    /// As an index of its own, here.
    ByIndex(usize),
    /// As two.
    ByTwo(usize),
}

fn edit(wasm: &[u8], operator: Range<usize>, first: u32, edits: &mut Vec<Edit>) {
    let named = named(wasm, operator.start);
    match named {
        Named::No => {}
        Named::InMemArg(at) => {
            let flags = read_leb(&wasm[at..at + leb_len(&wasm[at..])]);
            let mut end = at + leb_len(&wasm[at..]);
            let mut memory = 0;
            if flags & HAS_MEMORY != 0 {
                let len = leb_len(&wasm[end..]);
                memory = read_leb(&wasm[end..end + len]);
                end += len;
            }
            if memory >= first {
                let mut with = Vec::with_capacity(2);
                (flags | HAS_MEMORY).encode(&mut with);
                (memory + 1).encode(&mut with);
                edits.push(Edit { range: at..end, with });
            }
        }
        Named::ByIndex(at) => {
            edit_index(wasm, at, first, edits);
        }
        Named::ByTwo(at) => {
            let end = edit_index(wasm, at, first, edits);
            edit_index(wasm, end, first, edits);
        }
    }
}

/// Returns where the index ends.
fn edit_index(wasm: &[u8], at: usize, first: u32, edits: &mut Vec<Edit>) -> usize {
    let range = at..at + leb_len(&wasm[at..]);
    let memory = read_leb(&wasm[range.clone()]);
    let end = range.end;
    if memory >= first {
        let mut with = Vec::with_capacity(1);
        (memory + 1).encode(&mut with);
        edits.push(Edit { range, with });
    }
    end
}

fn named(wasm: &[u8], start: usize) -> Named {
    let prefixed = || {
        let len = leb_len(&wasm[start + 1..]);
        let end = start + 1 + len;
        (read_leb(&wasm[start + 1..end]), end)
    };
    match wasm[start] {
        // Loads and stores of numbers.
        0x28..=0x3e => Named::InMemArg(start + 1),
        // memory.size, memory.grow.
        0x3f | 0x40 => Named::ByIndex(start + 1),
        0xfc => match prefixed() {
            // memory.init, after the index of the segment.
            (8, end) => Named::ByIndex(end + leb_len(&wasm[end..])),
            // memory.copy.
            (10, end) => Named::ByTwo(end),
            // memory.fill.
            (11, end) => Named::ByIndex(end),
            _ => Named::No,
        },
        0xfd => match prefixed() {
            // Loads and stores of vectors: whole, of a lane, and of the first lane with zeros around.
            (0..=11 | 84..=93, end) => Named::InMemArg(end),
            _ => Named::No,
        },
        0xfe => match prefixed() {
            // All but the fence.
            (0..=2 | 16..=78, end) => Named::InMemArg(end),
            _ => Named::No,
        },
        _ => Named::No,
    }
}
