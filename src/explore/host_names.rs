//! [`HostNames`]: which host function each call in a module is of. wasmtime tells where in its wasm a guest is, and the wasm tells what is called
//! there.

use crate::error::trap::describe_frame;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use wasmparser::{BinaryReaderError, Operator, Parser, Payload, TypeRef};
use wasmtime::{Module, WasmBacktrace};

pub(crate) struct HostNames {
    module: Module,
    /// The names of the host functions that may be called, by the offsets of the calls in the wasm; `None` where the function is not known before.
    calls: HashMap<usize, Option<Box<str>>>,
}

impl HostNames {
    /// `None` if the module was not compiled from this wasm, as far as its imports and exports tell.
    pub(crate) fn new(module: &Module, wasm: &[u8]) -> Result<Option<Self>, BinaryReaderError> {
        let (mut imported, mut calls) = (Vec::new(), HashMap::new());
        let (mut imports_left, mut exports_left) = (module.imports(), module.exports());
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import?;
                        let other = imports_left.next();
                        if other.is_none_or(|other| {
                            (other.module(), other.name()) != (import.module, import.name)
                        }) {
                            return Ok(None);
                        }
                        if matches!(import.ty, TypeRef::Func(_) | TypeRef::FuncExact(_)) {
                            imported.push(format!("{}.{}", import.module, import.name));
                        }
                    }
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let (export, other) = (export?, exports_left.next());
                        if other.is_none_or(|other| other.name() != export.name) {
                            return Ok(None);
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    for operator in body.get_operators_reader()?.into_iter_with_offsets() {
                        let (operator, offset) = operator?;
                        let name = match operator {
                            Operator::Call { function_index }
                            | Operator::ReturnCall { function_index } => {
                                let Some(name) = imported.get(function_index as usize) else {
                                    continue;
                                };
                                Some(name.as_str().into())
                            }
                            Operator::CallIndirect { .. }
                            | Operator::ReturnCallIndirect { .. }
                            | Operator::CallRef { .. }
                            | Operator::ReturnCallRef { .. } => None,
                            _ => continue,
                        };
                        calls.insert(offset, name);
                    }
                }
                _ => {}
            }
        }
        let is_it = imports_left.next().is_none() && exports_left.next().is_none();
        Ok(is_it.then(|| Self { module: module.clone(), calls }))
    }
}

impl fmt::Debug for HostNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostNames").field("module", &self.module.name()).finish_non_exhaustive()
    }
}

/// Where a guest calls the host.
#[derive(Clone)]
pub(crate) struct HostCall {
    /// The host function, if its name is known.
    pub(crate) name: Option<Box<str>>,
    /// The functions of the guest, the innermost first.
    pub(crate) frames: Vec<String>,
}

impl HostCall {
    /// `None` if there is no call of a host function: to wasmtime, a guest whose slice of fuel has ended calls the host, too, and so does one whose memory
    /// grows. Where the wasm is not known, only whether the slice `has_ended` tells.
    pub(crate) fn new(
        names: &[Arc<HostNames>],
        backtrace: &WasmBacktrace,
        has_ended: bool,
    ) -> Option<Self> {
        let frames = backtrace.frames();
        let known = frames.first().and_then(|frame| {
            let of = names.iter().find(|names| Module::same(&names.module, frame.module()))?;
            Some((of, frame.module_offset()?))
        });
        let name = match known {
            Some((of, offset)) => of.calls.get(&offset)?.clone(),
            None if has_ended => return None,
            None => None,
        };
        Some(Self { name, frames: frames.iter().map(describe_frame).collect() })
    }
}

/// As in "ann#0 calls ...".
impl fmt::Display for HostCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, self.frames.first()) {
            (Some(name), _) => f.write_str(name),
            (None, Some(frame)) => write!(f, "the host from {frame}"),
            (None, None) => f.write_str("the host"),
        }
    }
}
