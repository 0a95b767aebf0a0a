//! Operands, which go from the stack to locals, and back. Each has a local by its height and its type.

use crate::saving::rewrite::Rewrite;
use crate::saving::shape::Item;
use crate::saving::types::is_never_null;
use std::ops::Range;

impl Rewrite<'_> {
    /// Copies operands to locals, if those below `needed` are not there yet.
    pub(super) fn spill(&mut self, item: &Item, needed: u32) {
        if let Some(heights) = self.to_spill(item, needed) {
            self.pop(item, heights.clone());
            self.push(item, heights);
            self.spilled = item.height;
        }
    }

    /// The heights of the operands that [`Self::spill`] copies.
    pub(super) fn to_spill(&self, item: &Item, needed: u32) -> Option<Range<u32>> {
        (self.spilled < needed).then(|| self.spilled.max(item.base)..item.height)
    }

    /// Moves the operands at these heights from the stack to locals.
    pub(super) fn pop(&mut self, item: &Item, heights: Range<u32>) {
        let types = self.from.shape.operands(item);
        for height in heights.rev() {
            let local = self.from.spills.local(height, types[(height - item.base) as usize]);
            self.sink().local_set(local);
        }
    }

    /// Copies the operands at these heights from locals to the stack.
    pub(super) fn push(&mut self, item: &Item, heights: Range<u32>) {
        let types = self.from.shape.operands(item);
        for height in heights {
            let ty = types[(height - item.base) as usize];
            let local = self.from.spills.local(height, ty);
            self.sink().local_get(local);
            if is_never_null(ty) {
                self.sink().ref_as_non_null();
            }
        }
    }
}
