//! [`counted`]: makes the checks of a transformed module count, so that a test says exactly which of them stop the guest.

use wasm_encoder::{CodeSection, Encode, InstructionSink, Module, RawSection};
use wasmparser::{Operator, Parser, Payload, TypeRef};

/// The export with the number of checks until those that stop the guest.
pub(crate) const LEFT: &str = "left";
/// The export with the number of checks that do.
pub(crate) const STOPPING: &str = "stopping";

const GLOBAL: u8 = 6;
const EXPORT: u8 = 7;

/// Replaces what each check reads of the flag: instead, it takes one from a number, and is stopped where that comes below another one.
pub(crate) fn counted(wasm: &[u8]) -> Vec<u8> {
    let (mut flags, mut globals) = (0, 0);
    let mut module = Module::new();
    let mut code = CodeSection::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.unwrap();
        if let Payload::CodeSectionEntry(body) = &payload {
            let of_body = body.get_operators_reader().unwrap();
            let mut bytes = Vec::new();
            let mut copied = body.range().start;
            let mut reader = of_body;
            while !reader.eof() {
                let start = reader.original_position();
                let operator = reader.read().unwrap();
                if matches!(operator, Operator::I32Load { memarg } if memarg.memory == flags) {
                    bytes.extend_from_slice(&wasm[copied..start]);
                    copied = reader.original_position();
                    InstructionSink::new(&mut bytes)
                        .drop()
                        .global_get(globals)
                        .i32_const(1)
                        .i32_sub()
                        .global_set(globals)
                        .global_get(globals)
                        .global_get(globals + 1)
                        .i32_lt_u();
                }
            }
            bytes.extend_from_slice(&wasm[copied..body.range().end]);
            code.raw(&bytes);
            if code.len() == bodies(wasm) {
                module.section(&code);
            }
            continue;
        }
        match &payload {
            Payload::ImportSection(imports) => {
                for import in imports.clone().into_imports() {
                    match import.unwrap().ty {
                        TypeRef::Memory(ty) if !ty.shared => flags += 1,
                        TypeRef::Global(_) => globals += 1,
                        _ => {}
                    }
                }
            }
            Payload::GlobalSection(section) => globals += section.count(),
            _ => {}
        }
        let Some((id, contents)) = payload.as_section() else { continue };
        let contents = &wasm[contents];
        let data = match id {
            GLOBAL => longer(contents, 2, &[0x7f, 1, 0x41, 0, 0x0b].repeat(2)),
            EXPORT => {
                let mut exports = Vec::new();
                for (name, global) in [(LEFT, globals), (STOPPING, globals + 1)] {
                    name.encode(&mut exports);
                    exports.push(3);
                    global.encode(&mut exports);
                }
                longer(contents, 2, &exports)
            }
            _ => contents.to_vec(),
        };
        // The bodies come one by one.
        if id != 10 {
            module.section(&RawSection { id, data: &data });
        }
    }
    module.finish()
}

fn bodies(wasm: &[u8]) -> u32 {
    let count = Parser::new(0).parse_all(wasm).find_map(|payload| match payload.unwrap() {
        Payload::FunctionSection(functions) => Some(functions.count()),
        _ => None,
    });
    count.unwrap_or(0)
}

/// A section with more items at its end.
fn longer(contents: &[u8], more: u32, items: &[u8]) -> Vec<u8> {
    let (mut count, mut len) = (0, 0);
    for (n, byte) in contents.iter().enumerate().take(5) {
        count |= u32::from(byte & 0x7f) << (7 * n);
        len = n + 1;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let mut all = Vec::new();
    (count + more).encode(&mut all);
    all.extend_from_slice(&contents[len..]);
    all.extend_from_slice(items);
    all
}
