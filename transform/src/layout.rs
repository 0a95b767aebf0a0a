//! [`Layout`]: the description of a transformed module's state. It is made by [`state`](crate::state) and tells
//! [`write`](crate::write) which exports to add.

use crate::export::{LAYOUT_VERSION, StateExport};
use sha2::{Digest, Sha256};
use std::fmt;
use std::ops::Range;

/// The description of a transformed module: what its state is, and under which names it is exported.
///
/// A host does not need it at run time: the names of the exports say the same, and [`parse_export`](crate::parse_export) reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Layout {
    /// The version of the layout, [`LAYOUT_VERSION`](crate::LAYOUT_VERSION).
    pub version: u32,
    /// The first 16 bytes of SHA-256 over the version (4 bytes, little-endian) and the bytes of the module before the transformation.
    /// The state of an instance fits all instances of modules with the same hash, and no others.
    pub hash: [u8; 16],
    /// The mutable globals, defined or imported, by index.
    pub globals: Vec<GlobalState>,
    /// All memories, by index.
    pub memories: Vec<MemoryState>,
    /// The tables that can change, by index: the module writes to them, imports them or exports them.
    pub tables: Vec<TableState>,
    /// The indices of the functions that a reference in the state may refer to, in order. Empty if no table and no global of the state
    /// can hold a reference to a function.
    pub functions: Vec<u32>,
    /// The indices of the passive data segments that some `data.drop` names, in order.
    pub dropped_data: Vec<u32>,
    /// The indices of the passive element segments that some `elem.drop` names, in order.
    pub dropped_elem: Vec<u32>,
    /// The names of the functions that the module exports itself, in the order of the module.
    pub entries: Vec<String>,
    /// The index of the start function, if the module has one. It is exported as [`START`](crate::START), and does not run by itself.
    pub start: Option<u32>,
}

/// A mutable global.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GlobalState {
    /// The global's index.
    pub index: u32,
    /// The type of its value.
    pub ty: ValueType,
    /// Whether the module imports it. Then its value is also the host's, or another instance's.
    pub imported: bool,
}

/// A memory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryState {
    /// The memory's index.
    pub index: u32,
    /// Whether its addresses are 64-bit numbers.
    pub memory64: bool,
    /// The fewest pages, of 64 KiB, that it has. A new instance has exactly these, if the memory is not imported.
    pub minimum: u64,
    /// The most pages that it may have, if the module says so.
    pub maximum: Option<u64>,
    /// Whether the module imports it.
    pub imported: bool,
    /// The contents in a new instance, before its start function runs. `None` if the memory is imported, or one of its segments has an
    /// offset that is not constant.
    pub image: Option<Image>,
}

/// The contents of a memory in a new instance. All bytes are zero but those of the runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Image {
    /// The runs, in the order in which they are written: where two overlap, the later one holds.
    ///
    /// An instance cannot be made if one of them ends after the memory.
    pub runs: Vec<Run>,
}

/// Bytes of an [`Image`], from one data segment.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Run {
    /// The address of the first byte.
    pub offset: u64,
    /// The bytes, at least one.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, bytes } = self;
        f.debug_struct("Run").field("offset", offset).field("len", &bytes.len()).finish()
    }
}

/// A table that can change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableState {
    /// The table's index.
    pub index: u32,
    /// Whether its indices are 64-bit numbers.
    pub table64: bool,
    /// The type of its elements.
    pub ty: ReferenceType,
    /// The fewest elements that it has.
    pub minimum: u64,
    /// The most elements that it may have, if the module says so.
    pub maximum: Option<u64>,
    /// Whether the module imports it.
    pub imported: bool,
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ValueType {
    /// A 32-bit integer.
    I32,
    /// A 64-bit integer.
    I64,
    /// A 32-bit float.
    F32,
    /// A 64-bit float.
    F64,
    /// A 128-bit vector.
    V128,
    /// A reference.
    Reference(ReferenceType),
}

/// The type of a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct ReferenceType {
    /// Whether it can be null.
    pub nullable: bool,
    /// What it refers to.
    pub to: Referent,
}

/// What a reference refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Referent {
    /// A function of any type: `func`.
    Function,
    /// A function of the module's type with this index.
    FunctionOfType(u32),
    /// Nothing: `nofunc`, the type of null alone.
    NoFunction,
    /// A value of the host: `extern`.
    Extern,
    /// Nothing: `noextern`, the type of null alone.
    NoExtern,
    /// An exception: `exn`.
    Exception,
    /// Nothing: `noexn`, the type of null alone.
    NoException,
}

impl Referent {
    /// Whether such a reference can refer to a function.
    #[must_use]
    pub fn is_function(self) -> bool {
        matches!(self, Self::Function | Self::FunctionOfType(_))
    }
}

impl Image {
    /// The smallest range that holds all runs, `0..0` if there is none. All bytes outside are zero.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        let end = |run: &Run| run.offset.saturating_add(run.bytes.len() as u64);
        let start = self.runs.iter().map(|run| run.offset).min().unwrap_or(0);
        start..self.runs.iter().map(end).max().unwrap_or(0)
    }

    /// Whether [`range`](Self::range) is mostly data, so that reading all of it is worth the time: it has at most 1 MiB more than 16 times the bytes of the runs.
    #[must_use]
    pub fn is_dense(&self) -> bool {
        let bytes: u64 = self.runs.iter().map(|run| run.bytes.len() as u64).sum();
        let range = self.range();
        range.end - range.start <= bytes.saturating_mul(16).saturating_add(1 << 20)
    }
}

impl Layout {
    /// The hash of a module's bytes before the transformation, which is [`hash`](Self::hash) of its layout. Compare the two to see whether a
    /// transformed module was made from these bytes.
    #[must_use]
    pub fn hash_of(wasm: &[u8]) -> [u8; 16] {
        first_half(Sha256::new().chain_update(LAYOUT_VERSION.to_le_bytes()).chain_update(wasm))
    }

    /// The two halves of the hash as [`HASH_LOW`](crate::HASH_LOW) and [`HASH_HIGH`](crate::HASH_HIGH) hold them.
    #[must_use]
    pub fn hash_halves(&self) -> (i64, i64) {
        let half = |at: usize| i64::from_le_bytes(std::array::from_fn(|n| self.hash[at + n]));
        (half(0), half(8))
    }

    /// All exports that the transformation adds, in the order in which it adds them.
    pub fn exports(&self) -> impl Iterator<Item = StateExport> + '_ {
        let head = [
            StateExport::Layout { version: self.version, hash: self.hash },
            StateExport::HashLow,
            StateExport::HashHigh,
        ];
        let memories = self.memories.iter().map(|memory| StateExport::Memory {
            index: memory.index,
            image: memory.image.as_ref().filter(|image| image.is_dense()).map(Image::range),
        });
        head.into_iter()
            .chain(self.globals.iter().map(|global| StateExport::Global(global.index)))
            .chain(memories)
            .chain(self.tables.iter().map(|table| StateExport::Table(table.index)))
            .chain(self.functions.iter().map(|&index| StateExport::Function(index)))
            .chain(self.dropped_data.iter().map(|&index| StateExport::DroppedData(index)))
            .chain(self.dropped_elem.iter().map(|&index| StateExport::DroppedElem(index)))
            .chain(self.start.map(|_| StateExport::Start))
    }
}

/// The first half of a hash.
pub(crate) fn first_half(hash: Sha256) -> [u8; 16] {
    let hash: [u8; 32] = hash.finalize().into();
    std::array::from_fn(|n| hash[n])
}
