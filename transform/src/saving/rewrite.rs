//! [`Rewrite`]: writes bodies anew. [`Rewrite::function`] writes a function whose calls can be saved, and [`Rewrite::twin`] one that goes on where a saved call
//! was suspended.
//!
//! After each call that may be suspended, the function looks whether the call is being saved. If so, it gives the host the values that it still needs, and returns:
//!
//! ```text
//! block $return
//!   block $save_1 (result i32)           one for each set of values
//!     block $save_0 (result i32)
//!       block $body (result ..)
//!         ..
//!         call $callee
//!         if the call is being saved
//!           the number of this point
//!           br $save_0
//!         end
//!         ..
//!       end
//!       return
//!     end
//!     the values
//!     call the function that gives them to the host
//!     br $return
//!   end
//!   ..
//! end
//! any results
//! ```
//!
//! Operands that stay on the stack during such a call are copied to locals before it. Engines that compile to machine code do not
//! notice.

use crate::layout::ValueType;
use crate::saving::context::Context;
use crate::saving::sets::Sets;
use crate::saving::shape::{Block, Item, Kind, Shape, What};
use crate::saving::spills::Spills;
use crate::saving::types::{Signature, with_null};
use crate::stops::check::encoded;
use std::ops::Range;
use wasm_encoder::{BlockType, Encode, InstructionSink, ValType};

/// A body that is read.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    /// The module, and where the body begins in it.
    pub(crate) wasm: &'a [u8],
    pub(crate) origin: usize,
    pub(crate) shape: &'a Shape,
    /// The types of the module, by index.
    pub(crate) signatures: &'a [Signature],
    pub(crate) points: &'a Sets,
    /// The locals that hold operands.
    pub(crate) spills: &'a Spills,
}

/// A body that is being written.
pub(crate) struct Rewrite<'a> {
    pub(super) from: Source<'a>,
    pub(super) context: &'a mut Context,
    /// Whether this is a twin.
    is_twin: bool,
    /// Whether what is being written can be entered in the middle.
    pub(super) enters: bool,
    /// In how many loops with points that is.
    pub(super) loops: u32,
    pub(super) code: Vec<u8>,
    /// How many labels are open in what is written.
    pub(super) level: u32,
    /// The blocks that are open in what is read.
    pub(super) open: Vec<Open>,
    /// For each set, how many labels are open inside of the block whose end saves it.
    save_levels: Vec<u32>,
    /// The end of what was read so far.
    pub(super) copied: u32,
    /// How many operands, from the bottom of the stack, are in locals, too.
    pub(super) spilled: u32,
    /// Whether the end of what was written cannot be reached.
    pub(super) is_skipped: bool,
    /// Where in the code the calls of points are, and the numbers of the points.
    sites: Vec<(usize, u32)>,
}

/// A body that was written.
pub(crate) struct Written {
    pub(crate) code: Vec<u8>,
    /// Where in the code the calls of points are, and the numbers of the points.
    pub(crate) sites: Vec<(usize, u32)>,
}

/// A block that is open in what is read.
pub(super) struct Open {
    /// How many labels are open inside of it in what is written.
    pub(super) level: u32,
    /// The item that begins it. The function has none.
    pub(super) item: Option<u32>,
    pub(super) block: u32,
    /// How many operands were in locals, too, when it was entered.
    pub(super) spilled: u32,
}

impl<'a> Rewrite<'a> {
    pub(crate) fn new(from: Source<'a>, context: &'a mut Context) -> Self {
        Self {
            from,
            context,
            is_twin: false,
            enters: false,
            loops: 0,
            code: Vec::new(),
            level: 0,
            open: Vec::new(),
            save_levels: Vec::new(),
            copied: from.shape.entry,
            spilled: 0,
            is_skipped: false,
            sites: Vec::new(),
        }
    }

    /// The function, whose calls can be saved. `None` if it has results that nothing can stand in for.
    pub(crate) fn function(self) -> Option<Written> {
        let params = self.from.shape.ty.params.len();
        let locals = self.from.shape.locals[params..].iter().map(|&ty| with_null(ty)).collect();
        let locals = self.locals(locals);
        self.whole(locals, |this| this.walk(0..this.from.shape.items.len()))
    }

    /// The function that goes on where a call of this one was suspended. It takes nothing, and gives the same.
    pub(crate) fn twin(mut self) -> Option<Written> {
        (self.is_twin, self.enters) = (true, true);
        let all = self.from.shape.locals.iter().map(|&ty| with_null(ty)).collect();
        let mut locals = self.locals(all);
        locals.push(ValueType::I32);
        self.whole(locals, Self::enter_function)
    }

    /// The local of a twin that tells at which point it goes on, or 0 once it has done so.
    pub(super) fn to(&self) -> u32 {
        self.from.shape.locals.len() as u32 + self.from.spills.len()
    }

    fn locals(&self, mut locals: Vec<ValueType>) -> Vec<ValueType> {
        locals.extend(&self.from.spills.types);
        locals
    }

    fn whole(mut self, locals: Vec<ValueType>, body: impl FnOnce(&mut Self)) -> Option<Written> {
        let groups: Vec<_> = locals.chunk_by(|a, b| a == b).collect();
        (groups.len() as u32).encode(&mut self.code);
        for group in groups {
            (group.len() as u32).encode(&mut self.code);
            encoded(group[0]).encode(&mut self.code);
        }

        let results = self.from.shape.ty.results.clone();
        self.begin(BlockType::Empty);
        for _ in &self.from.points.sets {
            self.begin(BlockType::Result(ValType::I32));
        }
        // The first set is the innermost one.
        self.save_levels = (2..self.level + 1).rev().collect();
        let gives = self.context.gives(&results);
        self.begin(gives);
        let level = self.level;
        self.open.push(Open { level, item: None, block: 0, spilled: 0 });
        body(&mut self);
        self.sink().return_();
        for n in 0..self.from.points.sets.len() {
            self.end();
            let types: Vec<_> =
                self.from.points.sets[n].iter().map(|&local| self.type_of(local)).collect();
            for &local in &self.from.points.sets[n] {
                self.sink().local_get(local);
            }
            let saver = self.context.saver(&types);
            let out = self.level - 1;
            self.sink().call(saver).br(out);
        }
        self.end();
        for &ty in &results {
            self.context.some_value(&mut self.code, ty, self.from.signatures)?;
        }
        self.sink().end();
        Some(Written { code: self.code, sites: self.sites })
    }

    fn type_of(&self, local: u32) -> ValueType {
        self.from.spills.type_of(self.from.shape, local)
    }

    pub(super) fn sink(&mut self) -> InstructionSink<'_> {
        InstructionSink::new(&mut self.code)
    }

    pub(super) fn begin(&mut self, ty: BlockType) {
        self.sink().block(ty);
        self.level += 1;
    }

    pub(super) fn end(&mut self) {
        self.sink().end();
        self.level -= 1;
    }

    pub(super) fn item(&self, index: u32) -> &'a Item {
        &self.from.shape.items[index as usize]
    }

    pub(super) fn bytes(&self, range: Range<u32>) -> &'a [u8] {
        &self.from.wasm
            [self.from.origin + range.start as usize..self.from.origin + range.end as usize]
    }

    pub(super) fn copy_to(&mut self, to: u32) {
        let bytes = self.bytes(self.copied..to);
        self.code.extend_from_slice(bytes);
        self.copied = to;
    }

    /// Writes items, and the code before each of them.
    pub(super) fn walk(&mut self, items: Range<usize>) {
        let mut next = items.start;
        while next < items.end {
            let item = &self.from.shape.items[next];
            self.copy_to(item.at);
            self.spilled = self.spilled.min(item.low);
            next += 1;
            match item.what {
                What::Dead => self.copied = item.end,
                What::Get(local) => {
                    self.copy_to(item.end);
                    // In a twin, parameters are locals like all others.
                    if self.is_twin || local as usize >= self.from.shape.ty.params.len() {
                        self.sink().ref_as_non_null();
                    } else {
                        self.pad_function(1);
                    }
                }
                What::Branch => self.branch(item),
                What::Point(point) => {
                    let needed = item.height - self.from.shape.points[point as usize].takes;
                    self.pad_before(item, needed, None);
                    if self.enters {
                        self.enter_point(item, point);
                    } else {
                        self.spill(item, needed);
                        self.calls(point);
                        self.copy_to(item.end);
                        self.look(point);
                    }
                }
                What::Block(block) => {
                    next = self.block(next as u32 - 1, item, block).unwrap_or(next);
                }
                What::Else => self.else_(item),
                What::End => self.end_block(next - 1, item),
            }
        }
    }

    /// The next instruction is the call of a point.
    pub(super) fn calls(&mut self, point: u32) {
        self.sites.push((self.code.len(), self.from.points.first_point + point));
    }

    /// After a call: if it is being saved, this function is saved, too.
    pub(super) fn look(&mut self, point: u32) {
        let saving = self.context.saving();
        let id = (self.from.points.first_point + point) as i32;
        let set = self.from.points.set_of[point as usize] as usize;
        let to = self.level + 1 - self.save_levels[set];
        self.sink().global_get(saving).if_(BlockType::Empty);
        let live = &self.from.points.live[point as usize];
        for &local in &self.from.points.sets[set] {
            if live.binary_search(&local).is_err() {
                let ty = self.type_of(local);
                let has_zero = self.context.some_value(&mut self.code, ty, self.from.signatures);
                has_zero.expect("a local has null");
                self.sink().local_set(local);
            }
        }
        self.sink().i32_const(id).br(to).end();
        // The locals still hold what is below.
        let below = &self.from.shape.points[point as usize].below;
        self.spilled = self.spilled.min(below.last().map_or(0, |(height, _)| height + 1));
    }

    /// Whether a twin has this block, which comes next or has just ended, twice. The others of its loops have a type by which no reference goes.
    pub(super) fn is_twice(&self, block: &Block) -> bool {
        block.kind == Kind::Loop && (self.loops == 0 || block.is_loop_with_references())
    }

    /// The item that comes next, if some are left out.
    fn block(&mut self, index: u32, item: &Item, block: u32) -> Option<usize> {
        let shape = self.from.shape;
        let the_block = &shape.blocks[block as usize];
        if the_block.points.is_empty() {
            self.begin_block(index, item, block);
            return None;
        }
        let needed = item.height - the_block.takes();
        self.pad_before(item, needed, Some(the_block));
        let next = if self.enters {
            self.enter_block(index, item, block)
        } else {
            self.spill(item, needed);
            self.begin_block(index, item, block);
            self.pad_at_start(item, block, &the_block.parts[0]);
            None
        };
        self.loops += u32::from(the_block.kind == Kind::Loop);
        next
    }

    pub(super) fn begin_block(&mut self, index: u32, item: &Item, block: u32) {
        let ty = &self.from.shape.blocks[block as usize];
        match ty.kind {
            Kind::TryTable => {
                // Its labels are those outside of it.
                let (catches, block_type) = self.catches(item);
                self.sink().try_table(block_type, catches);
                self.copied = item.end;
            }
            Kind::Block | Kind::Loop | Kind::If => self.copy_to(item.end),
        }
        self.level += 1;
        let spilled = self.spilled.min(item.height - ty.takes());
        self.spilled = spilled;
        let level = self.level;
        self.open.push(Open { level, item: Some(index), block, spilled });
    }

    fn else_(&mut self, item: &Item) {
        let open = self.open.last().expect("an `else` is in a block");
        self.spilled = open.spilled;
        let (block, begins) = (open.block, open.item.expect("the function has no `else`"));
        self.copy_to(item.end);
        let the_block = &self.from.shape.blocks[block as usize];
        if !the_block.points.is_empty() {
            let begins = self.item(begins);
            if self.enters {
                self.enter_else(begins, block);
            } else {
                self.pad_at_start(begins, block, &the_block.parts[1]);
            }
        }
    }

    fn end_block(&mut self, index: usize, item: &Item) {
        let open = self.open.pop().expect("an `end` ends a block");
        let the_block = &self.from.shape.blocks[open.block as usize];
        if let Some(begins) = open.item
            && !the_block.points.is_empty()
            && (the_block.kind, the_block.has_else) == (Kind::If, false)
            && !the_block.ty.params.is_empty()
            && (self.enters || self.context.counts_fuel)
        {
            // Its parameters are its results.
            self.copy_to(item.at);
            self.sink().else_();
            let begins = self.item(begins);
            if self.enters {
                self.enter_else(begins, open.block);
            } else {
                self.pad_at_start(begins, open.block, &the_block.parts[1]);
            }
        }
        if the_block.kind == Kind::Loop && !the_block.points.is_empty() {
            self.loops -= 1;
            if self.is_twice(the_block) && self.enters {
                self.end_rest(&open, index, item);
            } else if self.is_twice(the_block) {
                self.pad_at_end();
            }
        }
        self.copy_to(item.end);
        self.level -= 1;
        self.spilled = open.spilled;
    }
}
