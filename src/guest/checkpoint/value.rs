//! [`Value`]: what a global or an element of a table contains, as data.

use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    I32(i32),
    I64(i64),
    /// The bits.
    F32(u32),
    /// The bits.
    F64(u64),
    V128(u128),
    Null,
    /// A function of the module, by its index.
    Function(u32),
    /// An object of the host's, as a [`RefCodec`](crate::RefCodec) has written it.
    Object(Arc<[u8]>),
}

/// Elements of a table that follow each other and are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) count: u64,
    pub(crate) value: Value,
}

/// The number of elements of a table.
pub(crate) fn elements(runs: &[Run]) -> u64 {
    runs.iter().fold(0, |elements, run| elements.saturating_add(run.count))
}
