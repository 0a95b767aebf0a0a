//! [`Spills`]: the locals that hold operands while a call may be saved.

use crate::layout::ValueType;
use crate::saving::shape::{Shape, What};
use crate::saving::types::with_null;
use std::collections::HashMap;

/// The locals that hold operands of the stack.
#[derive(Debug, Default)]
pub(crate) struct Spills {
    first: u32,
    pub(crate) types: Vec<ValueType>,
    by_height: HashMap<(u32, ValueType), u32>,
}

impl Spills {
    /// One local for each height at which there is an operand of a type when it has to be in a local.
    pub(crate) fn new(shape: &Shape) -> Self {
        let mut spills = Self { first: shape.locals.len() as u32, ..Self::default() };
        for item in &shape.items {
            let has_points = match item.what {
                What::Point(_) => true,
                What::Block(block) => !shape.blocks[block as usize].points.is_empty(),
                _ => false,
            };
            if has_points {
                for (height, &ty) in (item.base..).zip(shape.operands(item)) {
                    spills.add(height, with_null(ty));
                }
            }
        }
        spills
    }

    fn add(&mut self, height: u32, ty: ValueType) {
        let next = self.first + self.types.len() as u32;
        self.by_height.entry((height, ty)).or_insert_with(|| {
            self.types.push(ty);
            next
        });
    }

    pub(crate) fn local(&self, height: u32, ty: ValueType) -> u32 {
        self.by_height[&(height, with_null(ty))]
    }

    pub(crate) fn len(&self) -> u32 {
        self.types.len() as u32
    }

    /// The type of a local of the function's, or of one of these. It has null.
    pub(crate) fn type_of(&self, shape: &Shape, local: u32) -> ValueType {
        match local.checked_sub(self.first) {
            Some(n) => self.types[n as usize],
            None => with_null(shape.locals[local as usize]),
        }
    }
}
