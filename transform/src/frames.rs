//! [`FrameLayout`]: what a module's functions give the host when a call is saved.

use crate::layout::{ReferenceType, ValueType, first_half};
use crate::saving::{saved_reference, words_of};
use crate::stops::trace::Callee;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// What each function gives when a call is saved.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FrameLayout {
    /// The points: the calls at which functions may be suspended, by number.
    pub points: Vec<Point>,
    /// The types of the references that frames have, by number.
    pub references: Vec<ReferenceType>,
    /// Whether the points tell each function of the host's that is on the stack between two functions of the module: it is the [callee](Point::callee) of its caller's point, and
    /// no other callee is in its place. It is not so if the module may call functions of the host's indirectly, or makes tail calls. A host then has to count its calls into the
    /// instance, or it cannot know that one is inside of another.
    pub shows_host_calls: bool,
    /// A hash of the module's code.
    pub(crate) code: [u8; 16],
    /// The functions that are exported because a reference in a frame may be to them, if the state has none of them.
    pub(crate) functions: Vec<u32>,
    /// The offsets of the points' calls in the transformed module, in order, with the points' numbers.
    pub(crate) sites: Vec<(usize, u32)>,
    /// The names of the functions that have points, if the module tells them.
    pub(crate) names: HashMap<u32, Box<str>>,
}

impl FrameLayout {
    /// A hash of the points and their values. What was saved by one module can go on in another one only if this and the [hash of the state](crate::Layout::hash)
    /// are equal.
    ///
    /// It depends on where calls can wait, and so on the module and on [`waits_in`](crate::Options::waits_in), and on the version of this package. It is the same with
    /// [`stops`](crate::Options::stops) and without, with any [`check_interval`](crate::Options::check_interval), with [`twins`](crate::Options::twins) and without, and with
    /// [`counts_fuel`](crate::Options::counts_fuel) and without. If [`saves_calls`](crate::Options::saves_calls) and `twins` are both off, there are no points, and it is the hash of none.
    #[must_use]
    pub fn hash(&self) -> [u8; 16] {
        let mut hash = Sha256::new();
        for point in &self.points {
            hash.update(point.function.to_le_bytes());
            hash.update((point.slots.len() as u64).to_le_bytes());
            for slot in &point.slots {
                hash.update(format!("{slot:?}"));
            }
        }
        hash.update(format!("{:?}", self.references));
        first_half(hash)
    }

    /// A hash of the module's code, which depends on all options. The module has an export whose name [has it](crate::code_export).
    #[must_use]
    pub fn code_hash(&self) -> [u8; 16] {
        self.code
    }

    /// The name of a function that has a point, if the module's name section has one.
    #[must_use]
    pub fn name(&self, function: u32) -> Option<&str> {
        self.names.get(&function).map(|name| &**name)
    }

    /// The number of the point whose call is at an offset of the transformed module, which has to be this one: the module with twins has other offsets. `None` if
    /// there is none. In a twin, several offsets belong to one point.
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
    /// The number of the call among all calls of the function, counted from 0 in the module before the transformation. Calls in dead code and tail calls count.
    /// [`offset_of_call`](crate::offset_of_call) tells where that is.
    pub call: u32,
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
    pub what: SlotValue,
}

impl Slot {
    /// How many words it takes: one for a number, two for a vector, and none for a reference.
    #[must_use]
    pub fn words(&self) -> usize {
        words_of(self.ty)
    }

    /// The type by which it is given as a reference, which is one of [`FrameLayout::references`]. `None` if it is no reference, or one whose type has no value but null.
    #[must_use]
    pub fn reference(&self) -> Option<ReferenceType> {
        saved_reference(self.ty)
    }
}

/// What a value of a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotValue {
    /// The local with this index. Parameters are the first ones.
    Local(u32),
    /// The operand at this height of the stack.
    Operand(u32),
    /// Nothing. It is zero, or null.
    Nothing,
}

impl Point {
    /// How many words the values take, with that of the point itself.
    #[must_use]
    pub fn words(&self) -> usize {
        1 + self.slots.iter().map(Slot::words).sum::<usize>()
    }

    /// The index of the function that is called. `None` for an indirect call. By a tail call, another function may be on the stack in its place.
    #[must_use]
    pub fn callee(&self) -> Option<u32> {
        match self.callee {
            Callee::Function(index) => Some(index),
            Callee::OfType(_) => None,
        }
    }
}
