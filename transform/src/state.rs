//! [`layout`]: decides what of a [`Module`] is state. The result goes to [`write`](crate::write) and to the user.

use crate::export::LAYOUT_VERSION;
use crate::layout::{
    GlobalState, Image, Layout, MemoryState, ReferenceType, Referent, Run, TableState, ValueType,
};
use crate::module::{DataKind, Module};
use wasmparser::{AbstractHeapType, HeapType, RefType, ValType};

pub(crate) fn layout(module: &Module<'_>) -> Layout {
    let globals = globals(module);
    let tables = tables(module);
    let of_global = |global: &GlobalState| match global.ty {
        ValueType::Reference(ty) => ty.to.is_function(),
        _ => false,
    };
    let holds_functions =
        globals.iter().any(of_global) || tables.iter().any(|table| table.ty.to.is_function());
    let mut functions = Vec::new();
    if holds_functions {
        functions.clone_from(&module.referenced);
        functions.sort_unstable();
        functions.dedup();
    }
    Layout {
        version: LAYOUT_VERSION,
        hash: Layout::hash_of(module.wasm),
        globals,
        memories: memories(module),
        tables,
        functions,
        dropped_data: indices(module.data.len(), |index| module.data_has_flag(index)),
        dropped_elem: indices(module.elems.len(), |index| module.elem_has_flag(index)),
        entries: module.entries.iter().map(|&name| name.to_owned()).collect(),
        start: module.start,
    }
}

fn indices(count: usize, wanted: impl Fn(u32) -> bool) -> Vec<u32> {
    (0..count as u32).filter(|&index| wanted(index)).collect()
}

fn globals(module: &Module<'_>) -> Vec<GlobalState> {
    let globals = (0..).zip(&module.globals);
    globals
        .filter(|(_, ty)| ty.mutable)
        .map(|(index, ty)| GlobalState {
            index,
            ty: value_type(ty.content_type),
            imported: (index as usize) < module.imported.globals,
        })
        .collect()
}

fn memories(module: &Module<'_>) -> Vec<MemoryState> {
    let memories = (0..).zip(&module.memories);
    memories
        .map(|(index, ty)| {
            let imported = (index as usize) < module.imported.memories;
            MemoryState {
                index,
                memory64: ty.memory64,
                minimum: ty.initial,
                maximum: ty.maximum,
                imported,
                image: if imported { None } else { image(module, index) },
            }
        })
        .collect()
}

/// `None` if the offset of a segment is not constant.
fn image(module: &Module<'_>, index: u32) -> Option<Image> {
    let mut runs = Vec::new();
    for data in &module.data {
        let DataKind::Active { memory, offset } = data.kind else { continue };
        if memory == index {
            let offset = offset?;
            if !data.bytes.is_empty() {
                runs.push(Run { offset, bytes: data.bytes.to_vec() });
            }
        }
    }
    Some(Image { runs })
}

fn tables(module: &Module<'_>) -> Vec<TableState> {
    let tables = (0..).zip(&module.tables);
    tables
        .filter_map(|(index, table)| {
            let imported = (index as usize) < module.imported.tables;
            (table.written || table.exported || imported).then(|| TableState {
                index,
                table64: table.ty.table64,
                ty: reference_type(table.ty.element_type),
                minimum: table.ty.initial,
                maximum: table.ty.maximum,
                imported,
            })
        })
        .collect()
}

pub(crate) fn value_type(ty: ValType) -> ValueType {
    match ty {
        ValType::I32 => ValueType::I32,
        ValType::I64 => ValueType::I64,
        ValType::F32 => ValueType::F32,
        ValType::F64 => ValueType::F64,
        ValType::V128 => ValueType::V128,
        ValType::Ref(ty) => ValueType::Reference(reference_type(ty)),
    }
}

fn reference_type(ty: RefType) -> ReferenceType {
    let to = match ty.heap_type() {
        HeapType::Concrete(index) | HeapType::Exact(index) => {
            let index = index.as_module_index();
            Referent::FunctionOfType(index.expect("modules name their types by index"))
        }
        HeapType::Abstract { ty, .. } => match ty {
            AbstractHeapType::Func => Referent::Function,
            AbstractHeapType::NoFunc => Referent::NoFunction,
            AbstractHeapType::Extern => Referent::Extern,
            AbstractHeapType::NoExtern => Referent::NoExtern,
            AbstractHeapType::Exn => Referent::Exception,
            AbstractHeapType::NoExn => Referent::NoException,
            other => unreachable!("the validator refuses {other:?}: its proposal is not carried"),
        },
    };
    ReferenceType { nullable: ty.is_nullable(), to }
}
