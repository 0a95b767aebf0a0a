//! [`Loop`]: what a trace knows of a loop, and where its check stands, if it needs one.

use std::ops::Range;
use wasmparser::ValType;

/// The longest body of a loop that is written twice, in bytes, with its `end`. In longer ones, a check is a small part.
const SHORT: u32 = 64;

#[derive(Clone, Debug)]
pub(crate) struct Loop {
    /// Where it begins, and where it has ended.
    pub(crate) whole: Range<u32>,
    /// Where its first instruction is.
    pub(crate) body: u32,
    /// What it takes from the stack. `None` if that is more than a check carries.
    pub(crate) operands: Option<Vec<ValType>>,
    /// Whether it has no other loop in it, no call, and nothing else that cannot be written twice.
    pub(crate) is_plain: bool,
    /// Whether it has calls in it, or instructions that wasmtime makes calls of.
    pub(crate) calls: bool,
    /// How many branches lead back to its beginning.
    pub(super) backs: u32,
    /// The last of them, if it is in no loop inside of this one.
    pub(super) last_back: Option<Back>,
}

/// A branch that leads back to the beginning of a loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Back {
    pub(crate) at: u32,
    pub(crate) end: u32,
    /// The label of the loop.
    pub(crate) depth: u32,
    pub(crate) is_conditional: bool,
}

impl Loop {
    fn takes_nothing(&self) -> bool {
        self.operands.as_ref().is_some_and(Vec::is_empty)
    }

    /// Whether it is so short that its body is written twice, with one check.
    pub(crate) fn is_written_twice(&self) -> bool {
        self.is_plain && self.takes_nothing() && self.whole.end - self.body <= SHORT
    }

    /// Whether the check of this loop, if it needs one, stands at its beginning, and not at the branch that leads back.
    pub(crate) fn checks_at_beginning(&self) -> bool {
        self.is_written_twice() || self.back().is_none()
    }

    /// The only branch that leads back, if there is one alone, and it is simple. Unless the loop is short, its check is there.
    pub(crate) fn back(&self) -> Option<Back> {
        self.last_back.filter(|_| self.backs == 1 && self.takes_nothing())
    }
}
