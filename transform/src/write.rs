//! [`write`]: the bytes of the transformed module. All that does not change is copied as it is.

use crate::added::{Added, CODE, EXPORTS, Items};
use crate::body::{self, splice};
use crate::custom::{self, ChangedBody, Changes};
use crate::error::{Error, at_most};
use crate::layout::Layout;
use crate::module::{Module, Section};
use std::borrow::Cow;
use wasm_encoder::{CustomSection, Encode, Section as _};
use wasmparser::{BinaryReader, DataKind, DataSectionReader, ExportSectionReader, ExternalKind};

/// What WebAssembly's implementations agree on, from the JavaScript interface's list.
const MOST_BYTES: usize = 1 << 30;
pub(crate) const MOST_LOCALS: usize = 50_000;
pub(crate) const MOST_BYTES_OF_A_BODY: usize = 7_654_321;

const START: u8 = 8;
const DATA: u8 = 11;

/// A module with its state exported, and with checks.
pub(crate) fn write(module: &Module<'_>, layout: &Layout, added: &Added) -> Result<Vec<u8>, Error> {
    let bodies = changed_bodies(module, layout, added)?;
    let memory = added.stops.as_ref().map(|stops| stops.memory);
    write_changed(module, bodies, &added.items, memory)
}

/// A module with other bodies and more items. With a `memory`, that one is added, and those from there on have the next number.
pub(crate) fn write_changed(
    module: &Module<'_>,
    bodies: Vec<ChangedBody>,
    added: &Items,
    memory: Option<u32>,
) -> Result<Vec<u8>, Error> {
    at_most("bytes", module.wasm.len(), MOST_BYTES)?;
    let changes = Changes { names: &added.names, bodies };
    let mut wasm = Vec::with_capacity(module.wasm.len() + module.wasm.len() / 4 + 4096);
    wasm.extend_from_slice(&module.wasm[..8]);

    let has = |id| module.sections.iter().any(|section| section.id == id);
    let new: Vec<_> = added.sections().filter(|id| !has(*id)).collect();
    let write_new = |wasm: &mut Vec<u8>, at| {
        for &id in new.iter().filter(|id| place(module, **id) == at) {
            if let Some(contents) = added.appended(id, &[0]) {
                append(wasm, id, &contents);
            }
        }
    };
    for (n, section) in module.sections.iter().enumerate() {
        write_new(&mut wasm, n);
        match (section.id, section.custom) {
            (START, _) => {}
            (_, Some((name, data))) => match custom::kept(name, data, &changes) {
                Some(kept) if *kept == *data => {
                    wasm.extend_from_slice(&module.wasm[section.whole.clone()]);
                }
                Some(data) => CustomSection { name: name.into(), data }.append_to(&mut wasm),
                None => {}
            },
            (id, None) => {
                let contents = contents(module, section, memory, &changes)?;
                let contents = added.appended(id, &contents).map_or(contents, Cow::Owned);
                if *contents == module.wasm[section.contents.clone()] {
                    wasm.extend_from_slice(&module.wasm[section.whole.clone()]);
                } else {
                    append(&mut wasm, id, &contents);
                }
            }
        }
    }
    write_new(&mut wasm, module.sections.len());
    at_most("bytes", wasm.len(), MOST_BYTES)?;
    Ok(wasm)
}

/// The contents of a section, without what is added to it.
fn contents<'a>(
    module: &Module<'a>,
    section: &Section<'_>,
    memory: Option<u32>,
    changes: &Changes<'_>,
) -> Result<Cow<'a, [u8]>, Error> {
    let same = Cow::Borrowed(&module.wasm[section.contents.clone()]);
    let reader = BinaryReader::new(&module.wasm[section.contents.clone()], section.contents.start);
    let moved = match (section.id, memory) {
        (CODE, _) if !changes.bodies.is_empty() => {
            return code(module, section, &changes.bodies).map(Cow::Owned);
        }
        (EXPORTS, Some(memory)) => exports(reader, memory),
        (DATA, Some(memory)) => data(module.wasm, reader, memory),
        _ => return Ok(same),
    };
    Ok(moved.map_or(same, Cow::Owned))
}

/// Where a section comes among the others: after the last one that belongs before it, and before the custom sections after that.
fn place(module: &Module<'_>, id: u8) -> usize {
    // The order of the sections: that of the numbers, but for the tags and the count of data segments.
    let order = |id: u8| match id {
        13 => 5.5,
        12 => 9.5,
        _ => f32::from(id),
    };
    let before = |section: &Section<'_>| section.id != 0 && order(section.id) < order(id);
    module.sections.iter().rposition(before).map_or(0, |last| last + 1)
}

fn append(wasm: &mut Vec<u8>, id: u8, contents: &[u8]) {
    wasm.push(id);
    contents.encode(wasm);
}

fn changed_bodies(
    module: &Module<'_>,
    layout: &Layout,
    added: &Added,
) -> Result<Vec<ChangedBody>, Error> {
    let mut bodies = Vec::new();
    for (n, body) in module.bodies.iter().enumerate() {
        let (edits, locals) = body::edits(module, layout, added, n);
        if !edits.is_empty() {
            let what = format!("locals in function {}", body.function);
            at_most(&what, locals as usize, MOST_LOCALS)?;
            bodies.push(ChangedBody { function: body.function, start: body.contents.start, edits });
        }
    }
    Ok(bodies)
}

/// The contents of the code section.
fn code(
    module: &Module<'_>,
    section: &Section<'_>,
    changed: &[ChangedBody],
) -> Result<Vec<u8>, Error> {
    let mut code = Vec::with_capacity(section.contents.len() + section.contents.len() / 4);
    let mut copied = section.contents.start;
    let mut changed = changed.iter().peekable();
    for body in &module.bodies {
        let Some(ChangedBody { function, edits, .. }) =
            changed.next_if(|changed| changed.function == body.function)
        else {
            continue;
        };
        code.extend_from_slice(&module.wasm[copied..body.whole.start]);
        let new = splice(module.wasm, body.contents.clone(), edits);
        let what = format!("bytes in function {function}");
        at_most(&what, new.len(), MOST_BYTES_OF_A_BODY)?;
        new.encode(&mut code);
        copied = body.whole.end;
    }
    code.extend_from_slice(&module.wasm[copied..section.contents.end]);
    Ok(code)
}

/// The contents of the export section, with the memories from `first` on by the next number. `None` if it cannot be read.
fn exports(reader: BinaryReader<'_>, first: u32) -> Option<Vec<u8>> {
    let exports = ExportSectionReader::new(reader).ok()?;
    let mut new = Vec::new();
    exports.count().encode(&mut new);
    for export in exports {
        let export = export.ok()?;
        let moved = export.kind == ExternalKind::Memory && export.index >= first;
        export.name.encode(&mut new);
        new.push(match export.kind {
            ExternalKind::Func => 0,
            ExternalKind::Table => 1,
            ExternalKind::Memory => 2,
            ExternalKind::Global => 3,
            ExternalKind::Tag => 4,
            ExternalKind::FuncExact => 0x20,
        });
        (export.index + u32::from(moved)).encode(&mut new);
    }
    Some(new)
}

/// The contents of the data section, with the memories from `first` on by the next number. `None` if it cannot be read.
fn data(wasm: &[u8], reader: BinaryReader<'_>, first: u32) -> Option<Vec<u8>> {
    let segments = DataSectionReader::new(reader).ok()?;
    let mut new = Vec::new();
    segments.count().encode(&mut new);
    for segment in segments {
        let segment = segment.ok()?;
        match segment.kind {
            DataKind::Active { memory_index, offset_expr } if memory_index >= first => {
                // An active segment that names its memory.
                new.push(2);
                (memory_index + 1).encode(&mut new);
                new.extend_from_slice(&wasm[offset_expr.get_binary_reader().range()]);
                segment.data.encode(&mut new);
            }
            DataKind::Active { .. } | DataKind::Passive => {
                new.extend_from_slice(&wasm[segment.range]);
            }
        }
    }
    Some(new)
}
