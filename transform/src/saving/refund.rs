//! Fuel: the parts of a twin that can be entered take more instructions than the same parts of its function. They give back what these take.
//!
//! Wasmtime counts one for each instruction but for `nop`, `drop`, `block`, `loop`, `unreachable`, `return`, `else` and `end`. Nothing is given back for the way to the point
//! at which a twin goes on: the host sets the fuel once all twins are there. It is given back before it is taken, and with nothing between that looks at the fuel.

use crate::saving::context::Host;
use crate::saving::rewrite::Rewrite;
use crate::saving::shape::Item;
use crate::saving::types::is_never_null;
use std::ops::Range;

/// What it takes to give back fuel: a number, a global, and a call.
const REFUND: i32 = 3;

/// What it takes to find out that a part is not entered: the point, a number, a comparison and an `if`.
const COMPARE: i32 = 4;

impl Rewrite<'_> {
    /// Gives back fuel, if there is some. Of less than nothing, takes it.
    pub(super) fn refund(&mut self, fuel: i32) {
        if self.context.counts_fuel && fuel != 0 {
            self.sink().i32_const(fuel + REFUND);
            self.context.call_host(Host::Refund, &mut self.code);
        }
    }

    /// What [`push`](Self::push) takes.
    pub(super) fn fuel_of_push(&self, item: &Item, heights: Range<u32>) -> i32 {
        let types = self.from.shape.operands(item);
        let types =
            &types[(heights.start - item.base) as usize..(heights.end - item.base) as usize];
        let never_null = types.iter().filter(|ty| is_never_null(**ty)).count();
        (types.len() + never_null) as i32
    }

    /// What [`spill`](Self::spill) takes.
    pub(super) fn fuel_of_spill(&self, item: &Item, needed: u32) -> i32 {
        self.to_spill(item, needed)
            .map_or(0, |heights| heights.len() as i32 + self.fuel_of_push(item, heights))
    }

    /// What it takes to come to the start of a block with so many parts.
    pub(super) fn fuel_of_start(parts: usize) -> i32 {
        match parts {
            0 => 0,
            // As `find_part` divides them. Then a `br`.
            _ => COMPARE * (parts + 1).ilog2().cast_signed() + 1,
        }
    }
}
