//! A host that saves the state of an instance by the exports that the transformation adds. It holds numbers and references to
//! functions.

use crate::random::{Failure, Running};
use wasm_jobs_transform::{StateExport, parse_export};
use wasmtime::{Extern, HeapType, Module, Ref, Val};

/// The state: a name, and what that export holds.
#[derive(Debug, PartialEq)]
pub(crate) struct Checkpoint(Vec<(String, Contents)>);

#[derive(Debug, PartialEq)]
enum Contents {
    Global(Value),
    Memory(Vec<u8>),
    Table(Vec<Value>),
}

#[derive(Debug, PartialEq)]
enum Value {
    I32(i32),
    I64(i64),
    F32(u32),
    F64(u64),
    V128(u128),
    /// A reference to the function with this name.
    Function(String),
    Null,
}

/// The functions that references can be to, by their address.
fn functions(running: &mut Running, module: &Module) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for export in module.exports() {
        if let Some(StateExport::Function(_)) = parse_export(export.name()) {
            let function = running.instance.get_func(&mut running.store, export.name()).unwrap();
            found.push((function.to_raw(&mut running.store) as usize, export.name().to_owned()));
        }
    }
    found
}

/// Whether a name is that of state that changes.
fn is_state(name: &str) -> bool {
    matches!(
        parse_export(name),
        Some(
            StateExport::Global(_)
                | StateExport::Memory { .. }
                | StateExport::Table(_)
                | StateExport::DroppedData(_)
                | StateExport::DroppedElem(_)
        )
    )
}

impl Checkpoint {
    /// `None` if the state holds a reference to something else than a function.
    pub(crate) fn save(running: &mut Running, module: &Module) -> Option<Self> {
        let functions = functions(running, module);
        let instance = running.instance;
        let mut state = Vec::new();
        for export in module.exports().filter(|export| is_state(export.name())) {
            let name = export.name();
            let contents = match instance.get_export(&mut running.store, name).unwrap() {
                Extern::Global(global) => {
                    let value = global.get(&mut running.store);
                    Contents::Global(save(running, &functions, value)?)
                }
                Extern::Memory(memory) => Contents::Memory(memory.data(&running.store).to_vec()),
                Extern::Table(table) => {
                    let mut elements = Vec::new();
                    for at in 0..table.size(&running.store) {
                        let element = table.get(&mut running.store, at).unwrap();
                        elements.push(save(running, &functions, element.into())?);
                    }
                    Contents::Table(elements)
                }
                other => panic!("{name} is {other:?}"),
            };
            state.push((name.to_owned(), contents));
        }
        Some(Self(state))
    }

    /// Writes the state to a new instance.
    pub(crate) fn restore(&self, running: &mut Running) -> Result<(), Failure> {
        let instance = running.instance;
        for (name, contents) in &self.0 {
            match (contents, instance.get_export(&mut running.store, name).unwrap()) {
                (Contents::Global(value), Extern::Global(global)) => {
                    let ty = global.ty(&running.store);
                    let heap_type =
                        ty.content().as_ref().map_or(&HeapType::Func, |ty| ty.heap_type());
                    let value = restored(running, value, heap_type);
                    global.set(&mut running.store, value).unwrap();
                }
                (Contents::Memory(bytes), Extern::Memory(memory)) => {
                    let more = bytes.len() - memory.data_size(&running.store);
                    memory.grow(&mut running.store, more as u64 / 65_536).unwrap();
                    memory.data_mut(&mut running.store).copy_from_slice(bytes);
                }
                (Contents::Table(elements), Extern::Table(table)) => {
                    let ty = table.ty(&running.store);
                    let heap_type = ty.element().heap_type();
                    let size = table.size(&running.store);
                    for (at, value) in (0..).zip(elements) {
                        let value = restored(running, value, heap_type).ref_().unwrap();
                        if at < size {
                            table.set(&mut running.store, at, value).unwrap();
                        } else {
                            table.grow(&mut running.store, 1, value).unwrap();
                        }
                    }
                }
                (contents, other) => panic!("{name}: {contents:?} is {other:?}"),
            }
        }
        Ok(())
    }
}

fn save(running: &mut Running, functions: &[(usize, String)], value: Val) -> Option<Value> {
    Some(match value {
        Val::I32(value) => Value::I32(value),
        Val::I64(value) => Value::I64(value),
        Val::F32(value) => Value::F32(value),
        Val::F64(value) => Value::F64(value),
        Val::V128(value) => Value::V128(value.as_u128()),
        Val::FuncRef(Some(function)) => {
            let address = function.to_raw(&mut running.store) as usize;
            let known = functions.iter().find(|(found, _)| *found == address);
            Value::Function(known.expect("each function is exported").1.clone())
        }
        _ => {
            let reference: Ref = value.ref_()?;
            if !reference.is_null() {
                return None;
            }
            Value::Null
        }
    })
}

fn restored(running: &mut Running, value: &Value, heap_type: &HeapType) -> Val {
    match value {
        Value::I32(value) => Val::I32(*value),
        Value::I64(value) => Val::I64(*value),
        Value::F32(value) => Val::F32(*value),
        Value::F64(value) => Val::F64(*value),
        Value::V128(value) => Val::V128((*value).into()),
        Value::Function(name) => Val::FuncRef(running.instance.get_func(&mut running.store, name)),
        Value::Null => Val::null_ref(heap_type),
    }
}
