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
    /// The names of the host functions by the offsets of their calls in the wasm.
    calls: HashMap<usize, Box<str>>,
}

impl HostNames {
    pub(crate) fn new(module: &Module, wasm: &[u8]) -> Result<Self, BinaryReaderError> {
        let (mut imported, mut calls) = (Vec::new(), HashMap::new());
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import?;
                        if matches!(import.ty, TypeRef::Func(_) | TypeRef::FuncExact(_)) {
                            imported.push(format!("{}.{}", import.module, import.name));
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    for operator in body.get_operators_reader()?.into_iter_with_offsets() {
                        let (operator, offset) = operator?;
                        let (Operator::Call { function_index }
                        | Operator::ReturnCall { function_index }) = operator
                        else {
                            continue;
                        };
                        if let Some(name) = imported.get(function_index as usize) {
                            calls.insert(offset, name.as_str().into());
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(Self { module: module.clone(), calls })
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
    pub(crate) fn new(names: &[Arc<HostNames>], backtrace: &WasmBacktrace) -> Self {
        let name = backtrace.frames().first().and_then(|frame| {
            let of = names.iter().find(|names| Module::same(&names.module, frame.module()))?;
            of.calls.get(&frame.module_offset()?).cloned()
        });
        Self { name, frames: backtrace.frames().iter().map(describe_frame).collect() }
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
