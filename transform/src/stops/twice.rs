//! [`write_twice`]: short loops get their body twice on the hot path, with one check. A check costs few instructions, but a loop of three instructions would
//! still take up to twice the time with them.
//!
//! ```text
//! loop          block
//!   body          loop
//! end               if the flag is set
//!                     call the host
//!                     body
//!                     br out of all
//!                   end
//!                   block
//!                     body
//!                     br out of all
//!                   end
//!                   body
//!                 end
//!               end
//! ```
//!
//! The cold path has a body of its own and leads back. So wasmtime puts it after the loop, and the hot path jumps over nothing.

use crate::body::{Edit, splice};
use crate::module::{Body, leb_len};
use crate::stops::live::{Check, Place};
use crate::stops::loops::Loop;
use crate::stops::trace::What;
use std::ops::Range;
use wasm_encoder::{BlockType, Encode, InstructionSink};

const BLOCK: u8 = 0x02;
const LOOP: u8 = 0x03;

/// Replaces the edits of short loops with checks by one that writes the loop anew. `edits` are in order.
pub(crate) fn write_twice(wasm: &[u8], body: &Body, checks: &[Check], edits: &mut Vec<Edit>) {
    for check in checks {
        let Place::Twice(number) = check.place else { continue };
        let the_loop = &body.trace.loops[number as usize];
        let origin = body.contents.start;
        let start = origin + the_loop.body as usize;
        let end = origin + the_loop.whole.end as usize;
        let from = edits.partition_point(|edit| edit.range.start < start);
        let to = edits.partition_point(|edit| edit.range.start < end);
        let mut inside: Vec<Edit> = edits.drain(from..to).collect();
        // A check comes before what else is inserted at the same place.
        let check = inside.remove(0);
        edits.insert(from, twice(wasm, body, the_loop, &check, &inside));
    }
}

/// `inside` are the edits of the loop's body, but for that of its check.
fn twice(wasm: &[u8], body: &Body, the_loop: &Loop, check: &Edit, inside: &[Edit]) -> Edit {
    let absolute = |range: Range<u32>| {
        let origin = body.contents.start;
        origin + range.start as usize..origin + range.end as usize
    };
    let whole = absolute(the_loop.whole.clone());
    // Without the `end`.
    let inner = absolute(the_loop.body..the_loop.whole.end - 1);
    let block_type = &wasm[whole.start + 1..inner.start];
    let copy = |to_loop: u32, out: u32| {
        let mut edits = labels(wasm, body, the_loop, to_loop, out);
        edits.extend_from_slice(inside);
        edits.sort_by_key(|edit| edit.range.start);
        splice(wasm, inner.clone(), &edits)
    };
    let mut with = Vec::with_capacity(whole.len() * 2 + check.with.len() + 16);
    with.push(BLOCK);
    with.extend_from_slice(block_type);
    with.push(LOOP);
    with.extend_from_slice(block_type);
    with.extend_from_slice(&check.with);
    with.extend(copy(1, 2));
    InstructionSink::new(&mut with).br(2).end().block(BlockType::Empty);
    // What leads to the beginning leads to the end of this block instead.
    with.extend(copy(0, 2));
    InstructionSink::new(&mut with).br(2).end();
    with.extend(copy(0, 1));
    InstructionSink::new(&mut with).end().end();
    Edit { range: whole, with }
}

/// The edits of a loop's branches: those to its beginning have `to_loop` more labels around them, those out of it `out`.
fn labels(wasm: &[u8], body: &Body, the_loop: &Loop, to_loop: u32, out: u32) -> Vec<Edit> {
    let events = &body.trace.events;
    let from = events.partition_point(|event| event.at < the_loop.body);
    let to = events.partition_point(|event| event.at < the_loop.whole.end - 1);
    let mut depth = 0;
    let mut edits = Vec::new();
    for event in &events[from..to] {
        match event.what {
            What::Block | What::If => depth += 1,
            What::End => depth -= 1,
            What::Branch(label) | What::BranchIf(label) if label >= depth => {
                let more = if label == depth { to_loop } else { out };
                // After the instruction's one byte.
                let at = body.contents.start + event.at as usize + 1;
                let mut with = Vec::with_capacity(1);
                (label + more).encode(&mut with);
                edits.push(Edit { range: at..at + leb_len(&wasm[at..]), with });
            }
            _ => {}
        }
    }
    edits
}
