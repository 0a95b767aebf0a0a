//! [`Frames`] and [`Pending`]: where a call is, as data.

use crate::guest::checkpoint::value::Value;
use std::any::Any;
use std::time::Duration;
use wasmtime::{ExternRef, Func, OwnedRooted};

/// The host function that a call waits in.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) module: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) params: Box<[Value]>,
    /// How long it has waited.
    pub(crate) waited: Duration,
}

/// The functions that are on the stack of a call, the innermost first.
#[derive(Clone, Debug)]
pub(crate) struct Frames<R> {
    pub(crate) starts: Vec<FrameStart>,
    pub(crate) words: Vec<i64>,
    pub(crate) references: Vec<R>,
}

/// Where the words and the references of a frame begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameStart {
    pub(crate) word: usize,
    pub(crate) reference: usize,
}

impl<R> Frames<R> {
    pub(crate) const fn new() -> Self {
        Self { starts: Vec::new(), words: Vec::new(), references: Vec::new() }
    }

    /// The point at which a function is.
    pub(crate) fn point(&self, frame: usize) -> u32 {
        self.words[self.starts[frame].word] as u32
    }

    /// The points, the innermost first.
    pub(crate) fn points(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.starts.len()).map(|frame| self.point(frame))
    }
}

/// What is to come of a call once it is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It ends, and its owner gets the data.
    Freeze,
    /// It goes on, and its owner gets the data.
    Checkpoint,
    /// It goes on when what it waits for is there.
    Park,
}

/// What the functions of a guest have given.
pub(crate) struct Saved {
    pub(crate) purpose: Purpose,
    pub(crate) pending: Pending,
    /// The fuel that was left.
    pub(crate) fuel: Option<u64>,
    /// The points at which the functions are, by the backtrace.
    pub(crate) expected: Vec<u32>,
    pub(crate) frames: Frames<Reference>,
    /// What the call waits for, if it is to go on: a `Box<dyn Waiting<S>>`.
    pub(crate) waiting: Option<Box<dyn Any + Send>>,
}

/// A reference that lives as long as its store.
#[derive(Clone)]
pub(crate) enum Reference {
    Null,
    Function(Func),
    Object(OwnedRooted<ExternRef>),
}
