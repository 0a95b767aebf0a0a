//! The module that comes of the rewritten bodies, with what they need: functions, types, globals, and the table of the twins.

use crate::added::{CODE, ELEMENTS, FUNCTIONS, GLOBALS, Items, TABLES, TYPES};
use crate::error::{Error, at_most};
use crate::export::{self, PREFIX, StateExport, reference_export};
use crate::frames::FrameLayout;
use crate::layout::{ReferenceType, Referent, first_half};
use crate::saving::context::{Host, saved_reference};
use crate::saving::module::Pass;
use crate::write::{MOST_BYTES_OF_A_BODY, write_changed};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use wasm_encoder::{
    ConstExpr, Encode, ExportKind, HeapType, InstructionSink, RefType, TableType, ValType,
};
use wasmparser::{Parser, Payload};

impl Pass<'_> {
    pub(super) fn finish(mut self) -> Result<(Vec<u8>, FrameLayout), Error> {
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        // All points of the module with twins have the same types of references.
        let all = self.frames.points.iter().flat_map(|point| &point.slots);
        let mut references: Vec<_> = all.filter_map(|slot| saved_reference(slot.ty)).collect();
        references.sort_unstable();
        references.dedup();
        self.frames.references = references.clone();
        if !self.frames.points.is_empty() && !self.asked.twins {
            self.context.need_tail_calls();
        }
        let hosts = self.context.hosts.clone();
        let types: Vec<_> = hosts.iter().map(|&host| self.context.host_type(host)).collect();

        let mut items = Items::default();
        self.add_names(&mut items);
        for ty in self.context.types() {
            items.add(TYPES, |types| types.extend(ty));
        }
        for (ty, body) in &self.context.functions {
            at_most("bytes in an added function", body.len(), MOST_BYTES_OF_A_BODY)?;
            items.add(FUNCTIONS, |functions| ty.encode(functions));
            items.add(CODE, |code| body.encode(code));
        }
        let first = self.module.globals.len() as u32;
        items.export(export::SAVING, ExportKind::Global, first);
        let zero = ConstExpr::i32_const(0);
        items.global(first, ValType::I32, true, &zero, export::SAVING.to_owned());
        // A second name of the same global.
        self.frames.code = self.code_hash();
        items.export(&export::code_export(&self.frames.code), ExportKind::Global, first);
        for (&host, ty) in hosts.iter().zip(types) {
            let heap_type = HeapType::Concrete(ty);
            let ty = ValType::Ref(RefType { nullable: true, heap_type });
            let name = host_export(host, &references);
            items.export(&name, ExportKind::Global, first + items.count(GLOBALS));
            items.global(first, ty, true, &ConstExpr::ref_null(heap_type), name);
        }
        let declared = self.context.declared();
        if !declared.is_empty() {
            items.add(ELEMENTS, |elements| {
                // Declared, by index.
                elements.extend([3, 0]);
                declared.encode(elements);
            });
        }
        if self.asked.twins {
            self.add_table(&mut items);
        }
        let is_function =
            |ty: &ReferenceType| matches!(ty.to, Referent::Function | Referent::FunctionOfType(_));
        if self.asked.functions.is_empty() && references.iter().any(is_function) {
            let mut functions = self.module.referenced.clone();
            functions.sort_unstable();
            functions.dedup();
            for &function in &functions {
                let name = StateExport::Function(function).to_string();
                items.export(&name, ExportKind::Func, function);
            }
            self.frames.functions = functions;
        }
        items.check(self.module)?;
        let wasm = write_changed(self.module, self.changed, &items, None)?;
        self.frames.sites = sites(&wasm, self.module.imported.functions, &self.sites);
        Ok((wasm, self.frames))
    }

    /// A hash of the module as it came, and of all code that is written anew.
    fn code_hash(&self) -> [u8; 16] {
        let mut hash = Sha256::new();
        let mut add = |code: &[u8]| {
            hash.update((code.len() as u64).to_le_bytes());
            hash.update(code);
        };
        add(self.module.wasm);
        self.changed.iter().flat_map(|body| &body.edits).for_each(|edit| add(&edit.with));
        self.context.functions.iter().for_each(|(_, body)| add(body));
        first_half(hash)
    }

    fn add_names(&self, items: &mut Items) {
        let first = self.module.function_types.len() as u32;
        let mut names: Vec<_> = (0..self.context.functions.len() as u32)
            .map(|n| (first + n, format!("{PREFIX}saves_{n}")))
            .collect();
        for (of, twin) in &self.twins {
            names[(twin - first) as usize].1 = format!("{PREFIX}twin_{of}");
        }
        items.names.functions = names;
    }

    /// The table with the twins, each at the index of its function. The last place is that of the host function.
    fn add_table(&self, items: &mut Items) {
        let functions = self.module.function_types.len();
        let size = functions as u64 + 1;
        items.add(TABLES, |tables| {
            TableType {
                element_type: RefType::FUNCREF,
                table64: false,
                minimum: size,
                maximum: Some(size),
                shared: false,
            }
            .encode(tables);
        });
        items.export(export::TWINS, ExportKind::Table, self.context.table);
        items.add(ELEMENTS, |elements| {
            // Active, in this table, by expressions.
            elements.push(6);
            self.context.table.encode(elements);
            ConstExpr::i32_const(0).encode(elements);
            RefType::FUNCREF.encode(elements);
            (functions as u32).encode(elements);
            let mut twins = self.twins.iter().peekable();
            for function in 0..functions as u32 {
                let mut code = InstructionSink::new(elements);
                match twins.next_if(|(of, _)| *of == function) {
                    Some((_, twin)) => code.ref_func(*twin),
                    None => code.ref_null(HeapType::FUNC),
                };
                code.end();
            }
        });
    }
}

/// Where in the module the calls of points are, in order.
fn sites(
    wasm: &[u8],
    imported: u32,
    in_bodies: &HashMap<u32, Vec<(usize, u32)>>,
) -> Vec<(usize, u32)> {
    let payloads = Parser::new(0).parse_all(wasm).map_while(Result::ok);
    let bodies = payloads.filter_map(|payload| match payload {
        Payload::CodeSectionEntry(body) => Some(body.range().start),
        _ => None,
    });
    let sites = (imported..).zip(bodies).filter_map(|(function, start)| {
        let sites = in_bodies.get(&function)?;
        Some(sites.iter().map(move |(at, point)| (start + at, *point)))
    });
    sites.flatten().collect()
}

fn host_export(host: Host, references: &[ReferenceType]) -> String {
    let number =
        |ty: ReferenceType| references.binary_search(&ty).expect("it was found at a point") as u32;
    match host {
        Host::Save => export::SAVE.to_owned(),
        Host::Load => export::LOAD.to_owned(),
        Host::Next => export::NEXT.to_owned(),
        Host::Point => export::POINT.to_owned(),
        Host::SaveReference(ty) => reference_export(export::SAVE, number(ty)),
        Host::LoadReference(ty) => reference_export(export::LOAD, number(ty)),
    }
}
