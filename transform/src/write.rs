//! [`write`]: the bytes of the transformed module. All that does not change is copied as it is.

use crate::body::{self, MORE_LOCALS, read_leb, splice};
use crate::custom::{self, ChangedBody, Changes};
use crate::error::Error;
use crate::export::StateExport;
use crate::layout::Layout;
use crate::module::{Module, Section, leb_len};
use wasm_encoder::{
    ConstExpr, CustomSection, Encode, ExportKind, GlobalType, Section as _, ValType,
};

/// What WebAssembly's implementations agree on, from the JavaScript interface's list.
const MOST_BYTES: usize = 1 << 30;
const MOST_EXPORTS: usize = 1_000_000;
const MOST_GLOBALS: usize = 1_000_000;
const MOST_LOCALS: usize = 50_000;
const MOST_BYTES_OF_A_BODY: usize = 7_654_321;

const EXPORTS: u8 = 7;
const GLOBALS: u8 = 6;
const START: u8 = 8;
const CODE: u8 = 10;

pub(crate) fn write(module: &Module<'_>, layout: &Layout) -> Result<Vec<u8>, Error> {
    at_most("bytes", module.wasm.len(), MOST_BYTES)?;
    let added = Added::new(module, layout)?;
    let changes = changes(module, layout, &added)?;
    let mut wasm = Vec::with_capacity(module.wasm.len() + module.wasm.len() / 8 + 4096);
    wasm.extend_from_slice(&module.wasm[..8]);

    let has = |id| module.sections.iter().any(|section| section.id == id);
    let new = [GLOBALS, EXPORTS].map(|id| (!has(id)).then(|| (place(module, id), id)));
    let write_new = |wasm: &mut Vec<u8>, at| {
        for (_, id) in new.into_iter().flatten().filter(|(place, _)| *place == at) {
            added.append(wasm, id, &[0]);
        }
    };
    for (n, section) in module.sections.iter().enumerate() {
        write_new(&mut wasm, n);
        let contents = &module.wasm[section.contents.clone()];
        match (section.id, section.custom) {
            (id @ (GLOBALS | EXPORTS), _) => added.append(&mut wasm, id, contents),
            (START, _) => {}
            (CODE, _) if !changes.bodies.is_empty() => {
                let code = code(module, section, &changes)?;
                append(&mut wasm, CODE, &code);
            }
            (_, Some((name, data))) => match custom::kept(name, data, &changes) {
                Some(kept) if *kept == *data => {
                    wasm.extend_from_slice(&module.wasm[section.whole.clone()]);
                }
                Some(data) => CustomSection { name: name.into(), data }.append_to(&mut wasm),
                None => {}
            },
            _ => wasm.extend_from_slice(&module.wasm[section.whole.clone()]),
        }
    }
    write_new(&mut wasm, module.sections.len());
    Ok(wasm)
}

/// Where a section comes among the others: after the last one that belongs before it, and before the custom sections after that.
fn place(module: &Module<'_>, id: u8) -> usize {
    // The order of the sections: that of the numbers, but for the tags.
    let order = |id: u8| if id == 13 { 5.5 } else { f32::from(id) };
    let before = |section: &Section<'_>| section.id != 0 && order(section.id) < order(id);
    module.sections.iter().rposition(before).map_or(0, |last| last + 1)
}

fn append(wasm: &mut Vec<u8>, id: u8, contents: &[u8]) {
    wasm.push(id);
    contents.encode(wasm);
}

/// The items that are added to the sections of globals and exports.
struct Added {
    /// How many there are, and their bytes.
    globals: (u32, Vec<u8>),
    exports: (u32, Vec<u8>),
    /// The index of the first flag of a droppable segment: those of data, then those of elements.
    first_flag: u32,
    names: Vec<(u32, String)>,
}

impl Added {
    fn new(module: &Module<'_>, layout: &Layout) -> Result<Self, Error> {
        let first = module.globals.len() as u32;
        let (low, high) = (first, first + 1);
        let mut added = Self {
            globals: (0, vec![]),
            exports: (0, vec![]),
            first_flag: first + 2,
            names: vec![],
        };
        let mut next_flag = added.first_flag;
        let halves = layout.hash_halves();
        for export in layout.exports() {
            let (kind, index) = match &export {
                StateExport::Layout { .. } => (ExportKind::Global, low),
                StateExport::HashLow => {
                    added.global(ValType::I64, false, &ConstExpr::i64_const(halves.0), &export);
                    (ExportKind::Global, low)
                }
                StateExport::HashHigh => {
                    added.global(ValType::I64, false, &ConstExpr::i64_const(halves.1), &export);
                    (ExportKind::Global, high)
                }
                StateExport::Global(index) => (ExportKind::Global, *index),
                StateExport::Memory { index, .. } => (ExportKind::Memory, *index),
                StateExport::Table(index) => (ExportKind::Table, *index),
                StateExport::Function(index) => (ExportKind::Func, *index),
                StateExport::DroppedData(_) | StateExport::DroppedElem(_) => {
                    added.global(ValType::I32, true, &ConstExpr::i32_const(0), &export);
                    next_flag += 1;
                    (ExportKind::Global, next_flag - 1)
                }
                StateExport::Start => {
                    (ExportKind::Func, layout.start.expect("only then there is such an export"))
                }
            };
            added.export(&export, kind, index);
        }
        let globals = module.globals.len() + added.globals.0 as usize;
        let exports = module.exports + added.exports.0 as usize;
        at_most("globals", globals, MOST_GLOBALS)?;
        at_most("exports", exports, MOST_EXPORTS)?;
        Ok(added)
    }

    fn global(&mut self, val_type: ValType, mutable: bool, init: &ConstExpr, export: &StateExport) {
        let (count, bytes) = &mut self.globals;
        GlobalType { val_type, mutable, shared: false }.encode(bytes);
        init.encode(bytes);
        // The first two globals are the hash, and the flags follow.
        self.names.push((self.first_flag - 2 + *count, export.to_string()));
        *count += 1;
    }

    fn export(&mut self, export: &StateExport, kind: ExportKind, index: u32) {
        let (count, bytes) = &mut self.exports;
        export.to_string().as_str().encode(bytes);
        kind.encode(bytes);
        index.encode(bytes);
        *count += 1;
    }

    /// Appends a section whose contents are the number of items and the items, with the new ones after them.
    fn append(&self, wasm: &mut Vec<u8>, id: u8, contents: &[u8]) {
        let (count, items) = if id == GLOBALS { &self.globals } else { &self.exports };
        let had = leb_len(contents);
        let mut new = Vec::with_capacity(contents.len() + items.len() + 5);
        (read_leb(&contents[..had]) + count).encode(&mut new);
        new.extend_from_slice(&contents[had..]);
        new.extend_from_slice(items);
        append(wasm, id, &new);
    }
}

fn changes(module: &Module<'_>, layout: &Layout, added: &Added) -> Result<Changes, Error> {
    let mut bodies = Vec::new();
    for body in &module.bodies {
        let edits = body::edits(module, layout, added.first_flag, body);
        if !edits.is_empty() {
            let more = if body::adds_locals(body, &edits) { MORE_LOCALS } else { 0 };
            let locals = (body.locals + more) as usize;
            at_most(&format!("locals in function {}", body.function), locals, MOST_LOCALS)?;
            bodies.push(ChangedBody { function: body.function, start: body.contents.start, edits });
        }
    }
    Ok(Changes { globals: added.names.clone(), bodies })
}

/// The contents of the code section.
fn code(module: &Module<'_>, section: &Section<'_>, changes: &Changes) -> Result<Vec<u8>, Error> {
    let mut code = Vec::with_capacity(section.contents.len() + section.contents.len() / 8);
    let mut copied = section.contents.start;
    let mut changed = changes.bodies.iter().peekable();
    for body in &module.bodies {
        let Some(ChangedBody { function, edits, .. }) =
            changed.next_if(|changed| changed.function == body.function)
        else {
            continue;
        };
        code.extend_from_slice(&module.wasm[copied..body.whole.start]);
        let new = splice(module.wasm, body.contents.clone(), edits);
        at_most(&format!("bytes in function {function}"), new.len(), MOST_BYTES_OF_A_BODY)?;
        new.encode(&mut code);
        copied = body.whole.end;
    }
    code.extend_from_slice(&module.wasm[copied..section.contents.end]);
    Ok(code)
}

fn at_most(what: &str, count: usize, limit: usize) -> Result<(), Error> {
    if count <= limit {
        return Ok(());
    }
    Err(Error::TooLarge { what: what.to_owned(), count, limit })
}
