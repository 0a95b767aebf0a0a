//! Twins: functions that go on where a saved call was suspended.
//!
//! The code of a block with points is entered at one of its parts: the points and the blocks with points in it.
//!
//! ```text
//! block $part_1
//!   block $part_0
//!     if the function goes on in this block
//!       br to one of these, by the number of the point
//!     end
//!     what is before the first part
//!   end
//!   the first part
//!   ..
//! end
//! the second part
//! ..
//! ```
//!
//! A loop with points that is in no other such loop is written twice: the rest of the round in which the call was suspended, and after it the loop as it was. So it goes
//! on at the speed of the function itself. A loop inside of it is entered at its parts, in that rest, and has to look in each round whether it is. That would change the types
//! of references on the stack, so a loop that has some as parameters is written twice, too.
//!
//! At the beginning of each part the stack is empty, but for what is below its block: both ways there have left the operands in locals. A block that begins as it was
//! takes its parameters from there, too.

use crate::layout::ValueType;
use crate::saving::context::Host;
use crate::saving::rewrite::{Open, Rewrite};
use crate::saving::shape::{Item, Kind, What};
use wasm_encoder::BlockType;

impl Rewrite<'_> {
    /// Takes the values of the frame from the host, and enters the function where it was suspended.
    pub(super) fn enter_function(&mut self) {
        let to = self.to();
        self.begin(BlockType::Empty);
        for _ in &self.from.points.sets {
            self.begin(BlockType::Empty);
        }
        // The first set is the innermost one.
        self.context.call_host(Host::Point, &mut self.code);
        let targets = self.from.points.set_of.clone();
        let first = self.from.points.first_point as i32;
        // Points of the function are counted from 1.
        self.sink().i32_const(first - 1).i32_sub().local_tee(to);
        self.sink().i32_const(1).i32_sub().br_table(targets, 0);
        for n in 0..self.from.points.sets.len() {
            self.end();
            let set = &self.from.points.sets[n];
            let types: Vec<_> =
                set.iter().map(|&local| self.from.spills.type_of(self.from.shape, local)).collect();
            let loader = self.context.loader(&types);
            self.sink().call(loader);
            for &local in set.iter().rev() {
                self.sink().local_set(local);
            }
            let out = self.level - 1 - self.open.last().map_or(0, |function| function.level);
            self.sink().br(out);
        }
        self.end();
        let first = self.skip_to(&self.from.shape.blocks[0].parts[0]);
        self.walk(first..self.from.shape.items.len());
    }

    /// Leads to the part with the point, and leaves out what is before the first one, which comes next: that was done.
    fn skip_to(&mut self, parts: &[u32]) -> usize {
        self.begin_parts(parts);
        self.find_part(parts, self.level);
        self.is_skipped = true;
        self.copied = self.item(parts[0]).at;
        parts[0] as usize
    }

    /// Opens a label for each part. The first one is the innermost.
    fn begin_parts(&mut self, parts: &[u32]) {
        for _ in parts {
            self.begin(BlockType::Empty);
        }
    }

    /// At the start of a block: leads to the part with the point, if the block is entered in the middle.
    fn enter_parts(&mut self, parts: &[u32]) {
        if parts.is_empty() {
            return;
        }
        self.begin_parts(parts);
        let (to, innermost) = (self.to(), self.level);
        self.sink().local_get(to).if_(BlockType::Empty);
        self.level += 1;
        self.find_part(parts, innermost);
        self.end();
    }

    /// Leads to the part with the point, which is one of these. `innermost` is the level of the first one's label.
    fn find_part(&mut self, parts: &[u32], innermost: u32) {
        if let [_] = parts {
            let to = self.level - innermost;
            self.sink().br(to);
            return;
        }
        let (before, after) = parts.split_at(parts.len() / 2);
        let to = self.to();
        // Points are counted from 1.
        let first = self.first_point_of(after[0]) + 1;
        self.sink().local_get(to).i32_const(first as i32).i32_lt_u().if_(BlockType::Empty);
        self.level += 1;
        self.find_part(before, innermost);
        self.sink().else_();
        self.find_part(after, innermost - before.len() as u32);
        self.end();
    }

    fn first_point_of(&self, part: u32) -> u32 {
        match self.item(part).what {
            What::Point(point) => point,
            What::Block(block) => self.from.shape.blocks[block as usize].points.start,
            _ => unreachable!("a part is a point or a block"),
        }
    }

    /// The beginning of a part, whose operands are in locals then.
    fn begin_part(&mut self, item: &Item) {
        if !std::mem::take(&mut self.is_skipped) {
            self.pop(item, item.base..item.height);
        }
        self.end();
    }

    pub(super) fn enter_point(&mut self, item: &Item, point: u32) {
        let shape = self.from.shape;
        let the_point = &shape.points[point as usize];
        let below = item.height - the_point.takes;
        self.begin_part(item);
        self.push(item, item.base..below);
        let to = self.to();
        let results = &the_point.ty.results;
        let (gives, goes_on) = (self.context.gives(results), self.context.goes_on(results));
        self.sink().local_get(to).if_(gives).i32_const(0).local_set(to);
        self.calls(point);
        self.sink().call(goes_on).else_();
        self.push(item, below..item.height);
        self.calls(point);
        self.copy_to(item.end);
        self.sink().end();
        self.spilled = below;
        self.look(point);
    }

    /// Begins a block that is entered in the middle. The item that comes next, if some are left out.
    pub(super) fn enter_block(&mut self, index: u32, item: &Item, block: u32) -> Option<usize> {
        let shape = self.from.shape;
        let the_block = &shape.blocks[block as usize];
        let below = item.height - the_block.takes();
        let params = below..below + the_block.ty.params.len() as u32;
        self.begin_part(item);
        self.push(item, item.base..below);
        let gives = self.context.gives(&the_block.ty.results);
        match the_block.kind {
            Kind::Block => self.begin(gives),
            Kind::TryTable => {
                let (catches, _) = self.catches(item);
                self.sink().try_table(gives, catches);
                self.level += 1;
            }
            Kind::If => {
                let to = self.to();
                let condition = self.from.spills.local(item.height - 1, ValueType::I32);
                let first_of_else = the_block.first_of_else as i32 + 1;
                self.sink()
                    .local_get(to)
                    .i32_const(first_of_else)
                    .i32_lt_u()
                    .local_get(condition)
                    .local_get(to)
                    .select()
                    .if_(gives);
                self.level += 1;
            }
            Kind::Loop if self.is_twice(the_block) => {
                self.begin(gives);
                // A branch to the beginning of the loop ends this block.
                let takes = self.context.gives(&the_block.ty.params);
                self.begin(takes);
            }
            Kind::Loop => {
                self.push(item, params.clone());
                let ty = self.context.type_of_block(&the_block.ty);
                self.sink().loop_(ty);
                self.level += 1;
                self.pop(item, params.clone());
            }
        }
        self.copied = item.end;
        let (level, item_of) = (self.level, Some(index));
        self.open.push(Open { level, item: item_of, block, spilled: below });
        self.spilled = below;
        let parts = &the_block.parts[0];
        if self.is_twice(the_block) {
            let to = self.to();
            // Unless it is entered in the middle, the loop begins as it was.
            self.sink().local_get(to).i32_eqz().if_(BlockType::Empty);
            self.push(item, params);
            self.sink().br(1).end();
            return Some(self.skip_to(parts));
        }
        self.enter_parts(parts);
        self.push(item, params);
        None
    }

    /// After the rest of the round in which the call was suspended: the loop as it was, but for its last instruction.
    pub(super) fn end_rest(&mut self, open: &Open, index: usize, item: &Item) {
        self.sink().br(1);
        self.end();
        let begins = open.item.expect("a loop is a block");
        let begin = self.item(begins);
        self.enters = false;
        self.loops += 1;
        (self.spilled, self.copied) = (open.spilled, begin.at);
        self.begin_block(begins, begin, open.block);
        self.pad_at_start(begin, open.block, &self.from.shape.blocks[open.block as usize].parts[0]);
        self.walk(begins as usize + 1..index);
        self.copy_to(item.at);
        self.pad_at_end();
        self.open.pop();
        self.end();
        self.enters = true;
        self.loops -= 1;
        self.copied = item.at;
    }

    /// The start of an `else`. Without one, the parameters of an `if` are its results.
    pub(super) fn enter_else(&mut self, begins: &Item, block: u32) {
        let shape = self.from.shape;
        let the_block = &shape.blocks[block as usize];
        self.enter_parts(&the_block.parts[1]);
        let below = begins.height - the_block.takes();
        self.push(begins, below..begins.height - 1);
    }
}
