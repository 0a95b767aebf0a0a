//! [`edits`]: how the body of a function changes. Passes over bodies go here: each adds its edits, and [`splice`] makes the new body
//! from all of them. An edit replaces whole instructions, so all that is not replaced is copied as it is.

use crate::added::Added;
use crate::layout::{Layout, ValueType};
use crate::module::{Body, Bulk, Module, leb_len, read_leb};
use crate::stops::check::encoded;
use crate::stops::{memories, twice};
use std::ops::Range;
use wasm_encoder::{Encode, InstructionSink};

/// Bytes of a module, and what takes their place.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    /// Empty to insert.
    pub(crate) range: Range<usize>,
    pub(crate) with: Vec<u8>,
}

/// The edits of the `n`th body, in order, and how many locals it has then. There are no edits if it can stay as it is.
pub(crate) fn edits(
    module: &Module<'_>,
    layout: &Layout,
    added: &Added,
    n: usize,
) -> (Vec<Edit>, u32) {
    let body = &module.bodies[n];
    let mut more_locals = Vec::new();
    let mut edits = drops(layout, added.first_dropped, body, &mut more_locals);
    if let Some(stops) = &added.stops {
        let inserted = stops.inserted(n, body, body.locals + more_locals.len() as u32);
        more_locals.extend(inserted.locals);
        let inserted = inserted.code.into_iter().map(|inserted| {
            let at = body.contents.start + inserted.at as usize;
            Edit { range: at..at + inserted.replaced as usize, with: inserted.code }
        });
        edits.splice(0..0, inserted);
        memories::edits(module.wasm, body, stops.memory, &mut edits);
        // A check comes before what else is inserted at the same place.
        edits.sort_by_key(|edit| edit.range.start);
        twice::write_twice(module.wasm, body, stops.checks(n), &mut edits);
    }
    let locals = body.locals + more_locals.len() as u32;
    if !more_locals.is_empty() {
        edits.splice(0..0, declarations(module.wasm, body, &more_locals));
    }
    (edits, locals)
}

/// What becomes of the instructions in [`Bulk`].
///
/// A segment that can be dropped never is: `data.drop` sets its flag, the `first_dropped`th global or one after that. With the flag set, a
/// `memory.init` traps as it would have after the drop, because its source is out of bounds unless it copies nothing from offset 0.
fn drops(
    layout: &Layout,
    first_dropped: u32,
    body: &Body,
    more_locals: &mut Vec<ValueType>,
) -> Vec<Edit> {
    let flag_of_data = |index: &u32| layout.dropped_data.binary_search(index).ok();
    let flag_of_elem = |index: &u32| {
        let position = layout.dropped_elem.binary_search(index).ok()?;
        Some(layout.dropped_data.len() + position)
    };
    let mut edits = Vec::new();
    for site in &body.sites {
        let flag = match &site.bulk {
            Bulk::DataDrop(index) | Bulk::MemoryInit(index) => flag_of_data(index),
            Bulk::ElemDrop(index) | Bulk::TableInit(index) => flag_of_elem(index),
        };
        let Some(flag) = flag else { continue };
        let flag = first_dropped + flag as u32;
        let mut with = Vec::new();
        let range = match site.bulk {
            Bulk::DataDrop(_) | Bulk::ElemDrop(_) => {
                InstructionSink::new(&mut with).i32_const(-1).global_set(flag);
                site.range.clone()
            }
            Bulk::MemoryInit(_) | Bulk::TableInit(_) => {
                *more_locals = vec![ValueType::I32; 2];
                replace_source(&mut with, flag, body.locals);
                site.range.start..site.range.start
            }
        };
        edits.push(Edit { range, with });
    }
    edits
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

/// Adds locals to the declarations, a group for those of the same type that follow each other.
fn declarations(wasm: &[u8], body: &Body, locals: &[ValueType]) -> [Edit; 2] {
    let start = body.contents.start;
    let count = start..start + leb_len(&wasm[start..body.code]);
    let groups: Vec<_> = locals.chunk_by(|a, b| a == b).collect();
    let mut more = Vec::new();
    (read_leb(&wasm[count.clone()]) + groups.len() as u32).encode(&mut more);
    let mut with = Vec::new();
    for group in groups {
        (group.len() as u32).encode(&mut with);
        encoded(group[0]).encode(&mut with);
    }
    [Edit { range: count, with: more }, Edit { range: body.code..body.code, with }]
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
    /// What begins here or later, and before the next one, has moved.
    from: usize,
    /// How far it has moved. `None` if it was replaced.
    by: Option<isize>,
}

impl Moves {
    /// `edits` are in order.
    pub(crate) fn new(edits: &[Edit]) -> Self {
        let mut by = 0;
        let moves = edits.iter().flat_map(|edit| {
            by += edit.with.len() as isize - edit.range.len() as isize;
            // What takes the place of an instruction has its metadata.
            let inside = edit.range.start + 1;
            let replaced = (inside < edit.range.end).then_some(Move { from: inside, by: None });
            replaced.into_iter().chain([Move { from: edit.range.end, by: Some(by) }])
        });
        Self(moves.collect())
    }

    /// Where an instruction goes that is at `offset`. What is inserted before it stays before it. `None` if it was inside of something
    /// that was replaced.
    pub(crate) fn moved(&self, offset: usize) -> Option<usize> {
        let before = self.0.partition_point(|a_move| a_move.from <= offset);
        let by = before.checked_sub(1).map_or(Some(0), |last| self.0[last].by)?;
        Some(offset.saturating_add_signed(by))
    }
}
