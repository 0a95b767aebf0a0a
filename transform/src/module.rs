//! [`Module`]: what the transformation needs to know of a valid module. It comes from [`parse`](crate::parse), and does not change.

use crate::stops::trace::Trace;
use std::ops::Range;
use wasmparser::{GlobalType, MemoryType, TableType};

/// A valid module without anything that cannot be transformed. Ranges are of its bytes.
#[derive(Debug, Default)]
pub(crate) struct Module<'a> {
    pub(crate) wasm: &'a [u8],
    /// All sections, custom ones among them, in the order of the module.
    pub(crate) sections: Vec<Section<'a>>,
    /// How many functions, tables, memories and globals are imported. Those come first in their index spaces.
    pub(crate) imported: Counts,
    pub(crate) globals: Vec<GlobalType>,
    pub(crate) memories: Vec<MemoryType>,
    pub(crate) tables: Vec<Table>,
    pub(crate) start: Option<u32>,
    /// For each type, the number of the first one that is equal to it.
    pub(crate) canonical_types: Vec<u32>,
    /// For each function, imported or defined, the index of its type.
    pub(crate) function_types: Vec<u32>,
    /// The functions that are exported, in the order of the exports.
    pub(crate) exported: Vec<u32>,
    /// Whether others may get references to functions of the module: by a table, a global or a value.
    pub(crate) hands_out_functions: bool,
    /// Whether any code catches exceptions.
    pub(crate) catches: bool,
    /// How many exports there are.
    pub(crate) exports: usize,
    /// The names of the exports that are functions.
    pub(crate) entries: Vec<&'a str>,
    /// The functions that element segments, initial values and exports name, in no order, and perhaps more than once. Code can make
    /// references to these alone: validation sees to that.
    pub(crate) referenced: Vec<u32>,
    pub(crate) data: Vec<Data<'a>>,
    pub(crate) elems: Vec<Elem>,
    /// All bodies, in the order of the module.
    pub(crate) bodies: Vec<Body>,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) functions: u32,
    pub(crate) tables: usize,
    pub(crate) memories: usize,
    pub(crate) globals: usize,
}

impl Counts {
    /// But for tags.
    pub(crate) fn all(&self) -> usize {
        self.functions as usize + self.tables + self.memories + self.globals
    }
}

#[derive(Debug)]
pub(crate) struct Section<'a> {
    pub(crate) id: u8,
    /// The section with its id and size.
    pub(crate) whole: Range<usize>,
    /// What comes after the id and the size.
    pub(crate) contents: Range<usize>,
    /// The name and the data of a custom section.
    pub(crate) custom: Option<(&'a str, &'a [u8])>,
}

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) ty: TableType,
    /// Whether some instruction writes to it.
    pub(crate) written: bool,
    pub(crate) exported: bool,
}

#[derive(Debug)]
pub(crate) struct Data<'a> {
    pub(crate) kind: DataKind,
    pub(crate) bytes: &'a [u8],
    /// Whether some `data.drop` names it.
    pub(crate) dropped: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataKind {
    Passive,
    Active {
        memory: u32,
        /// `None` if it depends on an imported global.
        offset: Option<u64>,
    },
}

#[derive(Debug)]
pub(crate) struct Elem {
    pub(crate) passive: bool,
    /// Whether some `elem.drop` names it.
    pub(crate) dropped: bool,
}

/// The body of a function.
#[derive(Debug)]
pub(crate) struct Body {
    /// The function's index.
    pub(crate) function: u32,
    /// The body with its size.
    pub(crate) whole: Range<usize>,
    /// What comes after the size: the locals and the instructions.
    pub(crate) contents: Range<usize>,
    /// Where the instructions begin.
    pub(crate) code: usize,
    /// How many locals the function has, its parameters among them.
    pub(crate) locals: u32,
    /// The instructions in [`Bulk`], in order.
    pub(crate) sites: Vec<Site>,
    /// Empty if the module gets no checks and its calls are not saved.
    pub(crate) trace: Trace,
}

/// An instruction of a body.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) bulk: Bulk,
    pub(crate) range: Range<usize>,
}

/// The instructions that drop segments, or whose effect depends on whether a segment was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bulk {
    DataDrop(u32),
    ElemDrop(u32),
    /// A `memory.init` from this data segment.
    MemoryInit(u32),
    /// A `table.init` from this element segment.
    TableInit(u32),
}

impl Module<'_> {
    /// Whether the transformed module keeps in a flag that this data segment was dropped. Active segments are dropped before any code
    /// runs, so dropping them again changes nothing.
    pub(crate) fn data_has_flag(&self, index: u32) -> bool {
        let data = self.data.get(index as usize);
        data.is_some_and(|data| data.dropped && data.kind == DataKind::Passive)
    }

    /// Whether the transformed module keeps in a flag that this element segment was dropped.
    pub(crate) fn elem_has_flag(&self, index: u32) -> bool {
        self.elems.get(index as usize).is_some_and(|elem| elem.dropped && elem.passive)
    }
}

/// Reads a number in LEB128 that the validator has read before.
pub(crate) fn read_leb(bytes: &[u8]) -> u32 {
    let bits = |(n, byte): (usize, &u8)| u32::from(byte & 0x7f) << (7 * n);
    bytes.iter().enumerate().map(bits).fold(0, |number, bits| number | bits)
}

/// How many bytes the number in LEB128 at the beginning of `bytes` takes.
pub(crate) fn leb_len(bytes: &[u8]) -> usize {
    1 + bytes.iter().take_while(|byte| **byte >= 0x80).count()
}
