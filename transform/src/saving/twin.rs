//! Twins: functions that go on where a saved call was suspended.
//!
//! The code of a block with points is entered at one of its parts: the points and the blocks with points in it.
//!
//! ```text
//! block $part_1
//!   block $part_0
//!     block $start
//!       br to one of these, by the number of the point; 0 is the start
//!     end
//!     ..
//!   end
//!   the first part
//!   ..
//! end
//! the second part
//! ..
//! ```
//!
//! At the beginning of each part the stack is empty, but for what is below its block: both ways there have left the operands in locals.
//!
//! A loop with points is written twice: the rest of the round in which the call was suspended, and after it the loop as it was. So the loop goes on
//! at the speed of the function itself.

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
        let first = self.enter_parts(&self.from.shape.blocks[0].parts[0], false);
        self.walk(first.expect("the function has points")..self.from.shape.items.len());
    }

    /// Begins the parts of a block. If the block is not entered at its start, the next item is the first part.
    fn enter_parts(&mut self, parts: &[u32], at_start: bool) -> Option<usize> {
        for _ in parts {
            self.begin(BlockType::Empty);
        }
        if at_start && !parts.is_empty() {
            self.begin(BlockType::Empty);
        }
        let first_points: Vec<_> = parts.iter().map(|&part| self.first_point_of(part)).collect();
        let innermost = self.level;
        // The label of the nth part, counted from 1, or of the start.
        let level = |n: usize| match at_start {
            true => innermost - n as u32,
            false => innermost + 1 - n as u32,
        };
        let (least, count) = (usize::from(!at_start), parts.len() + 1);
        if !parts.is_empty() {
            self.find_part(&first_points, least..count, &level);
        }
        match at_start {
            true if parts.is_empty() => None,
            true => {
                self.end();
                None
            }
            false => {
                self.sink().unreachable();
                self.is_skipped = true;
                let first = parts[0];
                self.copied = self.item(first).at;
                Some(first as usize)
            }
        }
    }

    /// Leads to the part with the point, which is one of these. Parts are counted from 1, the start is 0.
    fn find_part(
        &mut self,
        first_points: &[u32],
        parts: std::ops::Range<usize>,
        level: &impl Fn(usize) -> u32,
    ) {
        let middle = parts.start + parts.len() / 2;
        if middle == parts.start {
            let to = self.level - level(middle);
            self.sink().br(to);
            return;
        }
        let to = self.to();
        // Points are counted from 1.
        let first = first_points[middle - 1] + 1;
        self.sink().local_get(to).i32_const(first as i32).i32_lt_u().if_(BlockType::Empty);
        self.level += 1;
        self.find_part(first_points, parts.start..middle, level);
        self.sink().else_();
        self.find_part(first_points, middle..parts.end, level);
        self.end();
    }

    fn first_point_of(&self, part: u32) -> u32 {
        match self.item(part).what {
            What::Point(point) => point,
            What::Block(block) => self.from.shape.blocks[block as usize].points.start,
            _ => unreachable!("a part is a point or a block"),
        }
    }

    /// The beginning of a part, whose operands are in locals then. The function spills those below `below`. The part takes this much `more` fuel than the function's.
    fn begin_part(&mut self, item: &Item, below: u32, more: i32) {
        if !std::mem::take(&mut self.is_skipped) {
            let operands = (item.height - item.base).cast_signed();
            self.refund(operands + more - self.fuel_of_spill(item, below));
            self.pop(item, item.base..item.height);
        }
        self.end();
    }

    pub(super) fn enter_point(&mut self, item: &Item, point: u32) {
        let shape = self.from.shape;
        let the_point = &shape.points[point as usize];
        let below = item.height - the_point.takes;
        // Looking whether it goes on here takes two.
        let more = self.fuel_of_push(item, item.base..item.height) + 2;
        self.begin_part(item, below, more);
        self.push(item, item.base..below);
        let to = self.to();
        let results = &the_point.ty.results;
        let (gives, ty) = (self.context.gives(results), self.context.function_that_gives(results));
        let table = self.context.table;
        self.sink().local_get(to).if_(gives).i32_const(0).local_set(to);
        self.context.call_host(Host::Next, &mut self.code);
        self.calls(point);
        self.sink().call_indirect(table, ty).else_();
        self.push(item, below..item.height);
        self.calls(point);
        self.copy_to(item.end);
        self.sink().end();
        self.spilled = below;
        self.look(point);
    }

    /// Begins a block that is entered in the middle. The next item, if it is not the first one inside.
    pub(super) fn enter_block(&mut self, index: u32, item: &Item, block: u32) -> Option<usize> {
        let shape = self.from.shape;
        let the_block = &shape.blocks[block as usize];
        let below = item.height - the_block.takes();
        let params = below..below + the_block.ty.params.len() as u32;
        let fuel_of_params = self.fuel_of_push(item, params.clone());
        let fuel_of_start = Self::fuel_of_start(the_block.parts[0].len()) + fuel_of_params;
        let more = match the_block.kind {
            Kind::Block | Kind::TryTable => fuel_of_start,
            // What is before its `if`.
            Kind::If => 6,
            // What leads to its beginning.
            Kind::Loop => fuel_of_params + 4,
        };
        let more = more + self.fuel_of_push(item, item.base..below);
        self.begin_part(item, below, more);
        self.push(item, item.base..below);
        let gives = self.context.gives(&the_block.ty.results);
        let to = self.to();
        match the_block.kind {
            Kind::Block => self.begin(gives),
            Kind::TryTable => {
                let (catches, _) = self.catches(item);
                self.sink().try_table(gives, catches);
                self.level += 1;
            }
            Kind::If => {
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
            Kind::Loop => {
                self.begin(gives);
                // A branch to the beginning of the loop ends this block.
                let takes = self.context.gives(&the_block.ty.params);
                self.begin(takes);
            }
        }
        self.copied = item.end;
        let (level, item_of) = (self.level, Some(index));
        self.open.push(Open { level, item: item_of, block, spilled: below, enters: true });
        self.spilled = below;
        if the_block.kind == Kind::Loop {
            // Unless it is entered in the middle, the loop begins as it was.
            self.sink().local_get(to).i32_eqz().if_(BlockType::Empty);
            self.push(item, params);
            self.sink().br(1).end();
            return self.enter_parts(&the_block.parts[0], false);
        }
        if the_block.kind == Kind::If {
            self.refund(fuel_of_start);
        }
        let next = self.enter_parts(&the_block.parts[0], true);
        self.push(item, params);
        next
    }

    pub(super) fn enter_else(&mut self, item: &Item, begins: u32, block: u32) {
        self.copy_to(item.end);
        let (shape, begins) = (self.from.shape, self.item(begins));
        let the_block = &shape.blocks[block as usize];
        let below = begins.height - the_block.takes();
        let params = below..begins.height - 1;
        let fuel_of_params = self.fuel_of_push(begins, params.clone());
        self.refund(Self::fuel_of_start(the_block.parts[1].len()) + fuel_of_params);
        self.enter_parts(&the_block.parts[1], true);
        self.push(begins, params);
    }

    pub(super) fn end_entered(&mut self, index: usize, item: &Item, block: u32) {
        let shape = self.from.shape;
        let the_block = &shape.blocks[block as usize];
        let begins = self.open.pop().and_then(|open| open.item).expect("it is a block");
        let begin = self.item(begins);
        let below = begin.height - the_block.takes();
        self.copied = item.end;
        match the_block.kind {
            Kind::If => {
                // Without an `else`, the parameters are the results.
                if !the_block.has_else && !the_block.ty.params.is_empty() {
                    self.sink().else_();
                    let params = below..begin.height - 1;
                    self.refund(self.fuel_of_push(begin, params.clone()));
                    self.push(begin, params);
                }
                self.end();
            }
            Kind::Block | Kind::TryTable => self.end(),
            Kind::Loop => {
                self.refund(1);
                self.sink().br(1);
                self.end();
                // The loop as it was.
                self.spilled = below;
                self.copied = begin.at;
                self.copy_to(begin.end);
                self.level += 1;
                let level = self.level;
                let spilled = below;
                let item_of = Some(begins);
                self.open.push(Open { level, item: item_of, block, spilled, enters: false });
                self.walk(begins as usize + 1..index);
                self.copy_to(item.end);
                self.level -= 1;
                self.open.pop();
                self.end();
            }
        }
    }
}
