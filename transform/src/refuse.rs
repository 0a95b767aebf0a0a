//! [`reason`]: why the validator has refused the bytes. Only this failing path looks at proposals that the transformation does not carry.

use crate::error::{Error, Place};
use wasmparser::{
    BinaryReaderError, FunctionBody, KnownCustom, Name, Operator, Parser, Payload, TypeRef,
    Validator, WasmFeatures,
};

/// The proposals that the transformation carries through: all that wasmtime 48 has on, but for garbage-collected objects.
pub(crate) const CARRIED: WasmFeatures = WasmFeatures::WASM3.difference(WasmFeatures::GC);

/// The proposals that it does not carry.
const OTHERS: [(WasmFeatures, &str); 9] = [
    (WasmFeatures::GC, "gc"),
    (WasmFeatures::LEGACY_EXCEPTIONS, "legacy-exceptions"),
    (WasmFeatures::STACK_SWITCHING, "stack-switching"),
    (WasmFeatures::SHARED_EVERYTHING_THREADS, "shared-everything-threads"),
    (WasmFeatures::WIDE_ARITHMETIC, "wide-arithmetic"),
    (WasmFeatures::CUSTOM_PAGE_SIZES, "custom-page-sizes"),
    (WasmFeatures::MEMORY_CONTROL, "memory-control"),
    (WasmFeatures::CUSTOM_DESCRIPTORS, "custom-descriptors"),
    (WasmFeatures::COMPACT_IMPORTS, "compact-import-section"),
];

/// The reason for an error of a validator that accepts only [`CARRIED`].
pub(crate) fn reason(wasm: &[u8], error: &BinaryReaderError) -> Error {
    if !wasm.starts_with(b"\0asm") {
        let message = "these bytes are not in the binary format, which text has to be converted to"
            .to_owned();
        return Error::Invalid { message, offset: 0 };
    }
    // A component has the magic number of a module, and 1 where modules have 0.
    if wasm.starts_with(b"\0asm") && wasm.get(6..8) == Some(&[1, 0]) {
        return Error::Component;
    }
    // Some of the proposals build on objects.
    for base in [CARRIED, CARRIED | WasmFeatures::GC] {
        for (flag, proposal) in OTHERS {
            let with = Validator::new_with_features(base | flag).validate_all(wasm);
            if with.err().is_none_or(|later| later.offset() > error.offset()) {
                let (what, place) = find(wasm, error.offset());
                return Error::Unsupported { proposal, what, place };
            }
        }
    }
    Error::Invalid { message: error.message().to_owned(), offset: error.offset() }
}

/// What stands at an offset, and where that is in the module.
fn find(wasm: &[u8], offset: usize) -> (String, Place) {
    let mut function = 0;
    let in_section = |section| Place { function: None, name: None, section, offset };
    for payload in Parser::new(0).parse_all(wasm).map_while(Result::ok) {
        match &payload {
            Payload::ImportSection(imports) => {
                let imports = imports.clone().into_imports().map_while(Result::ok);
                function += imports.filter(|import| is_function(import.ty)).count() as u32;
            }
            Payload::CodeSectionEntry(body) => {
                if body.range().contains(&offset) {
                    let name = name_of(wasm, function);
                    let what = instruction(body, offset).unwrap_or_else(|| "a local".to_owned());
                    let place = Place { function: Some(function), name, section: "code", offset };
                    return (what, place);
                }
                function += 1;
            }
            _ => {}
        }
        let section = payload.as_section().filter(|(_, range)| range.contains(&offset));
        if let Some((id, _)) = section
            && !matches!(payload, Payload::CodeSectionStart { .. })
        {
            let (section, what) = match id {
                1 => ("type", "a type"),
                2 => ("import", "an import"),
                3 => ("function", "the type of a function"),
                4 => ("table", "a table"),
                5 => ("memory", "a memory"),
                6 => ("global", "a global"),
                7 => ("export", "an export"),
                9 => ("element", "an element segment"),
                11 => ("data", "a data segment"),
                13 => ("tag", "a tag"),
                _ => ("unknown", "a section"),
            };
            return (what.to_owned(), in_section(section));
        }
    }
    ("the module".to_owned(), in_section("unknown"))
}

fn is_function(ty: TypeRef) -> bool {
    matches!(ty, TypeRef::Func(_) | TypeRef::FuncExact(_))
}

/// The function's name in the name section.
pub(crate) fn name_of(wasm: &[u8], function: u32) -> Option<String> {
    for payload in Parser::new(0).parse_all(wasm).map_while(Result::ok) {
        let Payload::CustomSection(custom) = payload else { continue };
        let KnownCustom::Name(names) = custom.as_known() else { continue };
        for name in names.into_iter().map_while(Result::ok) {
            let Name::Function(names) = name else { continue };
            let mut names = names.into_iter().map_while(Result::ok);
            if let Some(found) = names.find(|name| name.index == function) {
                return Some(found.name.to_owned());
            }
        }
    }
    None
}

/// The instruction at an offset, in backquotes. `None` if it is among the declarations of locals.
fn instruction(body: &FunctionBody<'_>, offset: usize) -> Option<String> {
    let mut reader = body.get_operators_reader().ok()?;
    if offset < reader.original_position() {
        return None;
    }
    while !reader.eof() {
        let operator = reader.read().ok()?;
        if offset < reader.original_position() {
            return Some(format!("`{}`", instruction_name(&operator)));
        }
    }
    None
}

/// The name that the text format has for an instruction. It is made from the name of wasmparser's method for the instruction.
fn instruction_name(operator: &Operator<'_>) -> String {
    macro_rules! method {
        ($( @$proposal:ident $op:ident $({ $($arg:ident: $ty:ty),* })? => $visit:ident ($($ann:tt)*) )*) => {
            match operator {
                $( Operator::$op { .. } => stringify!($visit), )*
                _ => "visit_unknown",
            }
        };
    }
    const NAMESPACES: [&str; 24] = [
        "any", "array", "cont", "data", "elem", "extern", "f32", "f64", "f32x4", "f64x2", "global",
        "i16x8", "i31", "i32", "i32x4", "i64", "i64x2", "i8x16", "local", "memory", "ref",
        "struct", "table", "v128",
    ];
    let method = wasmparser::for_each_operator!(method);
    let name = method.trim_start_matches("visit_");
    let name = match name {
        "typed_select" | "typed_select_multi" => "select",
        "ref_test_non_null" | "ref_test_nullable" => "ref_test",
        "ref_cast_non_null" | "ref_cast_nullable" => "ref_cast",
        "ref_cast_desc_eq_non_null" | "ref_cast_desc_eq_nullable" => "ref_cast_desc_eq",
        name => name,
    };
    match name.split_once('_') {
        Some((namespace, rest)) if NAMESPACES.contains(&namespace) => {
            let rest = rest.replace("atomic_rmw_", "atomic.rmw.").replace("atomic_", "atomic.");
            format!("{namespace}.{rest}")
        }
        _ => name.to_owned(),
    }
}
