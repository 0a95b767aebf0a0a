//! Fuel: a function and its twin take different numbers of instructions. If fuel is counted, the form that uses less is padded to the other at each point, by instructions that
//! become no machine code: a number that is dropped. So a call that is saved and goes on uses as much fuel as one that is not saved.
//!
//! Wasmtime counts one for each instruction but for `nop`, `drop`, `block`, `loop`, `unreachable`, `return`, `else` and `end`. The way to the point at which a twin goes on does not count: the host sets the
//! fuel once all twins are there.

use crate::saving::rewrite::Rewrite;
use crate::saving::shape::{Block, Item, Kind};
use crate::saving::types::is_never_null;
use std::ops::Range;

/// What the twin uses to find that a block, or a call, is not entered in the middle: the point, and an `if`.
const LOOK: i32 = 2;

/// What stands before an `if` that can be entered.
const CONDITION: i32 = 6;

/// What leads to the beginning of a loop that is written twice, and over its end.
const TO_LOOP: i32 = 4;
const PAST_LOOP: i32 = 1;

impl Rewrite<'_> {
    /// Writes instructions that use so much fuel, and do nothing. Nothing, if it is less than 1.
    fn pad(&mut self, fuel: i32) {
        if self.context.counts_fuel {
            for _ in 0..fuel {
                self.sink().i32_const(0).drop();
            }
        }
    }

    /// In a function: pads it by what its twin uses more.
    pub(super) fn pad_function(&mut self, fuel: i32) {
        if !self.enters {
            self.pad(fuel);
        }
    }

    /// Before a point or a block with points: pads the form that uses less to the other.
    pub(super) fn pad_before(&mut self, item: &Item, needed: u32, block: Option<&Block>) {
        let is_twice = block.is_some_and(|block| self.is_twice(block));
        let kind = block.map(|block| block.kind);
        let operands = (item.height - item.base).cast_signed();
        let twin = operands
            + match kind {
                None => self.fuel_of_push(item, item.base..item.height) + LOOK,
                Some(kind) => {
                    self.fuel_of_push(item, item.base..needed)
                        + match kind {
                            Kind::Block | Kind::TryTable => 0,
                            Kind::If => CONDITION,
                            Kind::Loop if is_twice => {
                                TO_LOOP + self.fuel_of_push(item, needed..item.height)
                            }
                            // Its parameters.
                            Kind::Loop => (item.height - needed).cast_signed(),
                        }
                }
            };
        let function = self
            .to_spill(item, needed)
            .map_or(0, |heights| (heights.len() as i32) + self.fuel_of_push(item, heights));
        self.pad(if self.enters { function - twin } else { twin - function });
    }

    /// At the start of a block of a function, or of its `else`: pads it by what its twin uses to see that it is not entered in one of these parts, and for the parameters.
    pub(super) fn pad_at_start(&mut self, begins: &Item, block: u32, parts: &[u32]) {
        let the_block = &self.from.shape.blocks[block as usize];
        let below = begins.height - the_block.takes();
        let params = below..below + the_block.ty.params.len() as u32;
        let look = if parts.is_empty() { 0 } else { LOOK };
        let to_locals = if the_block.kind == Kind::Loop { params.len() as i32 } else { 0 };
        self.pad_function(to_locals + look + self.fuel_of_push(begins, params));
    }

    /// At the end of a loop that the twin writes twice: pads the function.
    pub(super) fn pad_at_end(&mut self) {
        self.pad_function(PAST_LOOP);
    }

    /// What [`push`](Self::push) uses.
    fn fuel_of_push(&self, item: &Item, heights: Range<u32>) -> i32 {
        let types = self.from.shape.operands(item);
        let types =
            &types[(heights.start - item.base) as usize..(heights.end - item.base) as usize];
        let never_null = types.iter().filter(|ty| is_never_null(**ty)).count();
        (types.len() + never_null) as i32
    }
}
