//! [`Frames`]: the description of what a module's functions give the host when a call is saved.

use crate::layout::{ReferenceType, ValueType};
use crate::stops::trace::Callee;

/// What each function gives when a call is saved.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Frames {
    /// The points: the calls at which functions may be suspended, by number.
    pub points: Vec<Point>,
    /// The types of the references that frames have, by number.
    pub references: Vec<ReferenceType>,
    /// The offsets of the points' calls in the transformed module, in order, and the points' numbers.
    pub(crate) sites: Vec<(usize, u32)>,
}

impl Frames {
    /// The number of the point whose call is at an offset of the transformed module. `None` if there is none. A twin has two calls of each point, and more
    /// of those in loops.
    ///
    /// A backtrace gives the offset. A host that finds a function on the stack that is at no point cannot save the call.
    #[must_use]
    pub fn point_at(&self, offset: usize) -> Option<u32> {
        let site = self.sites.binary_search_by_key(&offset, |(at, _)| *at).ok()?;
        Some(self.sites[site].1)
    }
}

/// A call at which a function may be suspended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Point {
    /// The index of the function.
    pub function: u32,
    pub(crate) callee: Callee,
    /// What the call gives.
    pub results: Vec<ValueType>,
    /// The values that the function saves here, in their order.
    pub slots: Vec<Slot>,
}

/// A value of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Slot {
    /// Its type. References can be null.
    pub ty: ValueType,
    /// What it is.
    pub what: What,
}

/// What a value of a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The local with this index. Parameters are the first ones.
    Local(u32),
    /// The operand at this height of the stack.
    Operand(u32),
    /// Nothing. It is zero, or null.
    Nothing,
}

impl Point {
    /// The index of the function that is called, unless that depends on a reference.
    pub fn callee(&self) -> Option<u32> {
        match self.callee {
            Callee::Function(index) => Some(index),
            Callee::OfType(_) => None,
        }
    }
}
