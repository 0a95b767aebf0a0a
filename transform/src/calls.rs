//! Calls: what they lead to, and by [`offset_of_call`] where in a module they are.

use crate::stops::trace::Callee;
use wasmparser::{Operator, Parser, Payload, TypeRef};

/// Where in a module the call of a [`Point`](crate::Point) is, from the start of the code section's contents: that is how DWARF counts. `wasm` is the module before the
/// transformation, and `function` and `call` are those of the point. `None` if there is no such call.
///
/// This reads the module up to the function, and takes as long.
#[must_use]
pub fn offset_of_call(wasm: &[u8], function: u32, call: u32) -> Option<u64> {
    let (mut index, mut code) = (0, None);
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.ok()? {
            Payload::ImportSection(imports) => {
                let imports = imports.into_imports().map_while(Result::ok);
                index = imports.filter(|import| is_function(import.ty)).count() as u32;
            }
            Payload::CodeSectionStart { range, .. } => code = Some(range.start),
            Payload::CodeSectionEntry(body) => {
                if index == function {
                    let operators = body.get_operators_reader().ok()?.into_iter_with_offsets();
                    let operators = operators.map_while(Result::ok);
                    let mut calls = operators.filter(|(operator, _)| callee(operator).is_some());
                    let (_, offset) = calls.nth(call as usize)?;
                    return Some((offset - code?) as u64);
                }
                index += 1;
            }
            _ => {}
        }
    }
    None
}

/// The contents of a module's custom section, by its name. `None` if the module has none. Of several, the first.
#[must_use]
pub fn custom_section<'a>(wasm: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let payloads = Parser::new(0).parse_all(wasm).map_while(Result::ok);
    let mut sections = payloads.filter_map(|payload| match payload {
        Payload::CustomSection(section) if section.name() == name => Some(section.data()),
        _ => None,
    });
    sections.next()
}

fn is_function(ty: TypeRef) -> bool {
    matches!(ty, TypeRef::Func(_) | TypeRef::FuncExact(_))
}

/// What a call leads to. Tail calls are among them.
pub(crate) fn callee(operator: &Operator<'_>) -> Option<Callee> {
    match *operator {
        Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
            Some(Callee::Function(function_index))
        }
        Operator::CallIndirect { type_index, .. }
        | Operator::CallRef { type_index }
        | Operator::ReturnCallIndirect { type_index, .. }
        | Operator::ReturnCallRef { type_index } => Some(Callee::OfType(type_index)),
        _ => None,
    }
}
