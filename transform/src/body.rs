//! [`edits`]: how the body of a function changes. Passes over bodies go here: each adds its edits, and [`splice`] makes the new body
//! from all of them. An edit replaces whole instructions, so all that is not replaced is copied as it is.

use crate::layout::Layout;
use crate::module::{Body, Bulk, Module, leb_len};
use std::ops::Range;
use wasm_encoder::{Encode, InstructionSink};

/// Bytes of a module, and what takes their place.
#[derive(Debug)]
pub(crate) struct Edit {
    /// Empty to insert.
    pub(crate) range: Range<usize>,
    pub(crate) with: Vec<u8>,
}

/// Two more locals of type i32, as a group of a body's declarations.
const TWO_LOCALS: [u8; 2] = [2, 0x7f];

/// How many locals [`edits`] adds, if [`adds_locals`].
pub(crate) const MORE_LOCALS: u32 = 2;

/// The edits of a body, in order. None if it can stay as it is.
///
/// A segment that can be dropped never is: `data.drop` sets its flag, the `first_flag`th global or one after that. With the flag set, a
/// `memory.init` traps as it would have after the drop, because its source is out of bounds unless it copies nothing from offset 0.
pub(crate) fn edits(
    module: &Module<'_>,
    layout: &Layout,
    first_flag: u32,
    body: &Body,
) -> Vec<Edit> {
    let flag_of_data = |index: &u32| layout.dropped_data.binary_search(index).ok();
    let flag_of_elem = |index: &u32| {
        let position = layout.dropped_elem.binary_search(index).ok()?;
        Some(layout.dropped_data.len() + position)
    };
    let mut edits = Vec::new();
    let mut has_init = false;
    for site in &body.sites {
        let flag = match &site.bulk {
            Bulk::DataDrop(index) | Bulk::MemoryInit(index) => flag_of_data(index),
            Bulk::ElemDrop(index) | Bulk::TableInit(index) => flag_of_elem(index),
        };
        let Some(flag) = flag else { continue };
        let flag = first_flag + flag as u32;
        let mut with = Vec::new();
        let range = match site.bulk {
            Bulk::DataDrop(_) | Bulk::ElemDrop(_) => {
                InstructionSink::new(&mut with).i32_const(-1).global_set(flag);
                site.range.clone()
            }
            Bulk::MemoryInit(_) | Bulk::TableInit(_) => {
                has_init = true;
                replace_source(&mut with, flag, body.locals);
                site.range.start..site.range.start
            }
        };
        edits.push(Edit { range, with });
    }
    if has_init {
        edits.splice(0..0, declarations(module.wasm, body));
    }
    edits
}

/// Whether edits of a body add locals. Their declarations are the first thing in a body.
pub(crate) fn adds_locals(body: &Body, edits: &[Edit]) -> bool {
    edits.first().is_some_and(|edit| edit.range.start == body.contents.start)
}

/// Before a `memory.init` or `table.init`, whose operands are a destination, a source and a length: with the flag set, the source
/// becomes -1, which is out of bounds for every segment. It becomes 0 if the source and the length are both 0, which is in bounds even
/// of a dropped segment. The destination is still checked by the instruction itself.
fn replace_source(code: &mut Vec<u8>, flag: u32, locals: u32) {
    let (source, length) = (locals, locals + 1);
    InstructionSink::new(code)
        .local_set(length)
        .local_set(source)
        // -1 if the source or the length is not 0, or else 0.
        .i32_const(0)
        .local_get(source)
        .local_get(length)
        .i32_or()
        .i32_const(0)
        .i32_ne()
        .i32_sub()
        .local_get(source)
        .global_get(flag)
        .select()
        .local_get(length);
}

/// Adds [`TWO_LOCALS`] to the declarations.
fn declarations(wasm: &[u8], body: &Body) -> [Edit; 2] {
    let start = body.contents.start;
    let count = start..start + leb_len(&wasm[start..body.code]);
    let mut more = Vec::new();
    (read_leb(&wasm[count.clone()]) + 1).encode(&mut more);
    [
        Edit { range: count, with: more },
        Edit { range: body.code..body.code, with: TWO_LOCALS.to_vec() },
    ]
}

/// Reads a number in LEB128 that the validator has read before.
pub(crate) fn read_leb(bytes: &[u8]) -> u32 {
    let bits = |(n, byte): (usize, &u8)| u32::from(byte & 0x7f) << (7 * n);
    bytes.iter().enumerate().map(bits).fold(0, |number, bits| number | bits)
}

/// The bytes of a range, with the edits made.
pub(crate) fn splice(wasm: &[u8], range: Range<usize>, edits: &[Edit]) -> Vec<u8> {
    let more: usize = edits.iter().map(|edit| edit.with.len()).sum();
    let mut bytes = Vec::with_capacity(range.len() + more);
    let mut copied = range.start;
    for edit in edits {
        bytes.extend_from_slice(&wasm[copied..edit.range.start]);
        bytes.extend_from_slice(&edit.with);
        copied = edit.range.end;
    }
    bytes.extend_from_slice(&wasm[copied..range.end]);
    bytes
}

/// Where the instructions of a body go.
#[derive(Debug)]
pub(crate) struct Moves(Vec<Move>);

#[derive(Debug)]
struct Move {
    /// What begins here or later has moved.
    from: usize,
    /// How far it has moved.
    by: isize,
}

impl Moves {
    /// `edits` are in order.
    pub(crate) fn new(edits: &[Edit]) -> Self {
        let mut by = 0;
        let moves = edits.iter().map(|edit| {
            by += edit.with.len() as isize - edit.range.len() as isize;
            Move { from: edit.range.end, by }
        });
        Self(moves.collect())
    }

    /// Where an instruction goes that is at `offset`. What is inserted before it stays before it.
    pub(crate) fn moved(&self, offset: usize) -> usize {
        let before = self.0.partition_point(|a_move| a_move.from <= offset);
        let by = before.checked_sub(1).map_or(0, |last| self.0[last].by);
        offset.saturating_add_signed(by)
    }
}
