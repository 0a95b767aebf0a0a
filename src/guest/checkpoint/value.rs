//! [`Value`]: what a global, an element of a table, or a value of a function is, as data.

use std::fmt;
use std::sync::Arc;

/// A value of a guest as data: of a function on the stack of a frozen call, for example.
// Users know it as `FrozenValue`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(not(feature = "freeze"), expect(unreachable_pub, reason = "frozen calls show it"))]
pub enum Value {
    /// A 32-bit integer.
    I32(i32),
    /// A 64-bit integer.
    I64(i64),
    /// The bits of a 32-bit float.
    F32(u32),
    /// The bits of a 64-bit float.
    F64(u64),
    /// A vector.
    V128(u128),
    /// A reference to nothing.
    Null,
    /// A reference to the module's function with this index.
    Function(u32),
    /// A reference to an object of the host's, as a [`RefCodec`](crate::RefCodec) has written it.
    Object(Arc<[u8]>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::I32(value) => write!(f, "{value}"),
            Self::I64(value) => write!(f, "{value}"),
            Self::F32(bits) => write!(f, "{}", f32::from_bits(*bits)),
            Self::F64(bits) => write!(f, "{}", f64::from_bits(*bits)),
            Self::V128(value) => write!(f, "{value:#x}"),
            Self::Null => f.write_str("null"),
            Self::Function(index) => write!(f, "function {index}"),
            Self::Object(bytes) => write!(f, "an object of {} bytes", bytes.len()),
        }
    }
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
