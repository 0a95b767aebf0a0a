//! [`Added`]: what a transformed module has beside its own items, by section.

use crate::error::{Error, at_most};
use crate::export::{FLAGS_MAX_PAGES, FLAGS_MEMORY, FLAGS_MIN_PAGES, FLAGS_MODULE, StateExport};
use crate::layout::{Layout, ValueType};
use crate::module::{Module, leb_len, read_leb};
use crate::names::Names;
use crate::options::Options;
use crate::stops::check::{Stops, function_type};
use std::collections::BTreeMap;
use wasm_encoder::{
    ConstExpr, Encode, EntityType, ExportKind, GlobalType, HeapType, MemoryType, RefType, ValType,
};

/// What WebAssembly's implementations agree on, from the JavaScript interface's list.
const MOST_EXPORTS: usize = 1_000_000;
const MOST_GLOBALS: usize = 1_000_000;
const MOST_FUNCTIONS: usize = 1_000_000;
const MOST_TYPES: usize = 1_000_000;
const MOST_IMPORTS: usize = 1_000_000;
const MOST_MEMORIES: usize = 100;
const MOST_TABLES: usize = 100;

/// The numbers of the sections.
pub(crate) const TYPES: u8 = 1;
pub(crate) const IMPORTS: u8 = 2;
pub(crate) const FUNCTIONS: u8 = 3;
pub(crate) const TABLES: u8 = 4;
pub(crate) const GLOBALS: u8 = 6;
pub(crate) const EXPORTS: u8 = 7;
pub(crate) const ELEMENTS: u8 = 9;
pub(crate) const CODE: u8 = 10;

/// The names of the functions that checks call, in the name section. A number follows.
const STOPPED: &str = "__wasm_jobs_stopped_";

/// Items that are added to the sections of a module.
#[derive(Debug, Default)]
pub(crate) struct Items {
    /// For each section, how many items are added, and their bytes.
    sections: BTreeMap<u8, (u32, Vec<u8>)>,
    pub(crate) names: Names,
}

#[derive(Debug, Default)]
pub(crate) struct Added {
    pub(crate) items: Items,
    /// The index of the first global that tells whether a segment was dropped: those of data, then those of elements.
    pub(crate) first_dropped: u32,
    /// `None` if there are no checks.
    pub(crate) stops: Option<Stops>,
}

impl Added {
    pub(crate) fn new(
        module: &Module<'_>,
        layout: &Layout,
        options: &Options,
    ) -> Result<Self, Error> {
        let mut added = Self::default();
        let first = module.globals.len() as u32;
        added.first_dropped = first + 2;
        added.state(module, layout, first, options.stops);
        if options.stops {
            let first_global = first + added.items.count(GLOBALS);
            added.stops(Stops::new(module, first_global, options.check_interval));
        }
        added.items.check(module)?;
        Ok(added)
    }

    /// The exports of the state, and the globals that they need.
    fn state(&mut self, module: &Module<'_>, layout: &Layout, first: u32, stops: bool) {
        let (low, high) = (first, first + 1);
        let mut next_dropped = self.first_dropped;
        let halves = layout.hash_halves();
        for export in layout.exports() {
            let mut global = |ty, mutable, init: ConstExpr| {
                self.items.global(first, ty, mutable, &init, export.to_string());
            };
            let (kind, index) = match &export {
                StateExport::Layout { .. } => (ExportKind::Global, low),
                StateExport::HashLow => {
                    global(ValType::I64, false, ConstExpr::i64_const(halves.0));
                    (ExportKind::Global, low)
                }
                StateExport::HashHigh => {
                    global(ValType::I64, false, ConstExpr::i64_const(halves.1));
                    (ExportKind::Global, high)
                }
                StateExport::Global(index) => (ExportKind::Global, *index),
                StateExport::Memory { index, .. } => {
                    let moved = stops && *index as usize >= module.imported.memories;
                    (ExportKind::Memory, index + u32::from(moved))
                }
                StateExport::Table(index) => (ExportKind::Table, *index),
                StateExport::Function(index) => (ExportKind::Func, *index),
                StateExport::DroppedData(_) | StateExport::DroppedElem(_) => {
                    global(ValType::I32, true, ConstExpr::i32_const(0));
                    next_dropped += 1;
                    (ExportKind::Global, next_dropped - 1)
                }
                StateExport::Start => {
                    (ExportKind::Func, layout.start.expect("only then there is such an export"))
                }
                StateExport::Flag | StateExport::Stop => {
                    unreachable!("these are no state, so the layout has no such exports")
                }
            };
            self.items.export(&export.to_string(), kind, index);
        }
    }

    /// What the checks need.
    fn stops(&mut self, stops: Stops) {
        self.items.add(TYPES, |types| types.extend(function_type(&[ValueType::I32], &[])));
        for (n, (function, (index, types))) in stops.functions().enumerate() {
            self.items.add(TYPES, |section| section.extend(function_type(types, types)));
            self.items.add(FUNCTIONS, |functions| index.encode(functions));
            self.items.add(CODE, |code| stops.body(function).encode(code));
            self.items.names.functions.push((function, format!("{STOPPED}{n}")));
        }
        self.items.add(IMPORTS, |imports| {
            FLAGS_MODULE.encode(imports);
            FLAGS_MEMORY.encode(imports);
            EntityType::Memory(MemoryType {
                minimum: FLAGS_MIN_PAGES,
                maximum: Some(FLAGS_MAX_PAGES),
                memory64: false,
                shared: true,
                page_size_log2: None,
            })
            .encode(imports);
        });
        self.items.names.memory = Some((stops.memory, format!("{FLAGS_MODULE}_{FLAGS_MEMORY}")));

        let first = stops.first_global - self.items.count(GLOBALS);
        let to_stop = RefType { nullable: true, heap_type: HeapType::Concrete(stops.stop_type()) };
        let no_stop = ConstExpr::ref_null(to_stop.heap_type);
        for (export, ty, init, index) in [
            (StateExport::Flag, ValType::I32, ConstExpr::i32_const(0), stops.flag()),
            (StateExport::Stop, ValType::Ref(to_stop), no_stop, stops.stop()),
        ] {
            self.items.global(first, ty, true, &init, export.to_string());
            self.items.export(&export.to_string(), ExportKind::Global, index);
        }
        self.stops = Some(stops);
    }

    /// How many checks there are.
    pub(crate) fn checks(&self) -> usize {
        self.stops.as_ref().map_or(0, Stops::count)
    }
}

impl Items {
    /// Refuses to add more than a module may have.
    pub(crate) fn check(&self, module: &Module<'_>) -> Result<(), Error> {
        let all = |section, had: usize| had + self.count(section) as usize;
        at_most("types", all(TYPES, module.canonical_types.len()), MOST_TYPES)?;
        at_most("imports", all(IMPORTS, module.imported.all()), MOST_IMPORTS)?;
        at_most("memories", all(IMPORTS, module.memories.len()), MOST_MEMORIES)?;
        at_most("functions", all(FUNCTIONS, module.function_types.len()), MOST_FUNCTIONS)?;
        at_most("globals", all(GLOBALS, module.globals.len()), MOST_GLOBALS)?;
        at_most("tables", all(TABLES, module.tables.len()), MOST_TABLES)?;
        at_most("exports", all(EXPORTS, module.exports), MOST_EXPORTS)
    }

    /// The sections to which items are added.
    pub(crate) fn sections(&self) -> impl Iterator<Item = u8> + '_ {
        self.sections.keys().copied()
    }

    pub(crate) fn count(&self, section: u8) -> u32 {
        self.sections.get(&section).map_or(0, |(count, _)| *count)
    }

    pub(crate) fn add(&mut self, section: u8, encode: impl FnOnce(&mut Vec<u8>)) {
        let (count, items) = self.sections.entry(section).or_default();
        *count += 1;
        encode(items);
    }

    /// `first` is the index of the first global that is added.
    pub(crate) fn global(
        &mut self,
        first: u32,
        ty: ValType,
        mutable: bool,
        init: &ConstExpr,
        name: String,
    ) {
        self.names.globals.push((first + self.count(GLOBALS), name));
        self.add(GLOBALS, |globals| {
            GlobalType { val_type: ty, mutable, shared: false }.encode(globals);
            init.encode(globals);
        });
    }

    pub(crate) fn export(&mut self, name: &str, kind: ExportKind, index: u32) {
        self.add(EXPORTS, |exports| {
            name.encode(exports);
            kind.encode(exports);
            index.encode(exports);
        });
    }

    /// The contents of a section, which are the number of its items and the items, with the new ones after them. `None` if there are none.
    pub(crate) fn appended(&self, section: u8, contents: &[u8]) -> Option<Vec<u8>> {
        let (count, items) = self.sections.get(&section)?;
        let had = leb_len(contents);
        let mut new = Vec::with_capacity(contents.len() + items.len() + 5);
        (read_leb(&contents[..had]) + count).encode(&mut new);
        new.extend_from_slice(&contents[had..]);
        new.extend_from_slice(items);
        Some(new)
    }
}
