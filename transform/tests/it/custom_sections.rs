//! Which custom sections stay, and that what stays is right.

use crate::run::{transformed, wasm};
use wasm_jobs_transform::transform;
use wasmparser::{KnownCustom, Name, Operator, Parser, Payload, Validator, WasmFeatures};

/// The custom sections.
fn customs(wasm: &[u8]) -> Vec<(String, Vec<u8>)> {
    let payloads = Parser::new(0).parse_all(wasm).map(Result::unwrap);
    payloads
        .filter_map(|payload| match payload {
            Payload::CustomSection(custom) => {
                Some((custom.name().to_owned(), custom.data().to_vec()))
            }
            _ => None,
        })
        .collect()
}

fn names_of_customs(wasm: &[u8]) -> Vec<String> {
    customs(wasm).into_iter().map(|(name, _)| name).collect()
}

/// The contents of the code section.
fn code(wasm: &[u8]) -> &[u8] {
    let mut payloads = Parser::new(0).parse_all(wasm).map(Result::unwrap);
    let code = payloads.find_map(|payload| match payload {
        Payload::CodeSectionStart { range, .. } => Some(range),
        _ => None,
    });
    &wasm[code.unwrap()]
}

/// The names of functions, locals and globals, as text.
fn named(wasm: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(wasm).map(Result::unwrap) {
        let Payload::CustomSection(custom) = payload else { continue };
        let KnownCustom::Name(names) = custom.as_known() else { continue };
        for name in names.into_iter().map(Result::unwrap) {
            let mut plain = |what: &str, names: wasmparser::NameMap<'_>| {
                for name in names.into_iter().map(Result::unwrap) {
                    found.push(format!("{what} {} {}", name.index, name.name));
                }
            };
            match name {
                Name::Function(names) => plain("function", names),
                Name::Global(names) => plain("global", names),
                Name::Data(names) => plain("data", names),
                Name::Local(functions) => {
                    for function in functions.into_iter().map(Result::unwrap) {
                        plain(&format!("local of {}", function.index), function.names);
                    }
                }
                _ => {}
            }
        }
    }
    found
}

const SECTIONS: &str = r#"
    (@custom ".debug_info" "a") (@custom ".debug_line" "b") (@custom "external_debug_info" "c")
    (@custom "sourceMappingURL" "d") (@custom "linking" "e") (@custom "reloc.CODE" "f")
    (@custom "producers" "\00") (@custom "target_features" "\00") (@custom "mine" "g") (@custom "dylink.0" "h")"#;

#[test]
fn sections_about_code_stay_if_no_code_changes() {
    let text = format!(
        r#"(module (memory 1) {SECTIONS}
        (func (param i32) (@metadata.code.branch_hint "\00") (if (local.get 0) (then))))"#
    );
    let before = wasm(&text);
    let after = transform(&before).unwrap().wasm;
    assert_eq!(code(&before), code(&after));
    let gone = ["sourceMappingURL", "linking", "reloc.CODE"];
    let mut expected = customs(&before);
    expected.retain(|(name, _)| !gone.contains(&&**name));
    assert_eq!(customs(&after), expected);
    assert!(expected.iter().any(|(name, _)| name == "metadata.code.branch_hint"));
}

#[test]
fn sections_with_offsets_into_code_go_if_code_changes() {
    let text = format!("(module (memory 1) {SECTIONS} (data $d) (func (data.drop $d)))");
    let after = names_of_customs(&transformed(&text).wasm);
    assert_eq!(after, ["producers", "target_features", "mine", "dylink.0", "name"]);
}

#[test]
fn branch_hints_still_point_at_their_instructions() {
    // The text format has the hint before the instruction itself, which comes after its operand here.
    let text = r#"(module (memory 1) (data $d "abc")
        (func (param i32) local.get 0 (@metadata.code.branch_hint "\00") if end)
        (func (param i32) (local i64)
            local.get 0 (@metadata.code.branch_hint "\01") if data.drop $d end
            (memory.init $d (i32.const 0) (i32.const 0) (i32.const 0))
            block local.get 0 (@metadata.code.branch_hint "\00") br_if 0 end
            (memory.init $d (i32.const 0) (i32.const 0) (i32.const 0))
            (data.drop $d)
            local.get 0 (@metadata.code.branch_hint "\01") if end))"#;
    let hinted = |wasm: &[u8]| {
        let mut hints = Vec::new();
        let mut bodies = Vec::new();
        for payload in Parser::new(0).parse_all(wasm).map(Result::unwrap) {
            match payload {
                Payload::CustomSection(custom) => {
                    if let KnownCustom::BranchHints(functions) = custom.as_known() {
                        for function in functions.into_iter().map(Result::unwrap) {
                            for hint in function.hints.into_iter().map(Result::unwrap) {
                                hints.push((function.func, hint.func_offset, hint.taken));
                            }
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => bodies.push(body),
                _ => {}
            }
        }
        let instruction = |(function, offset, taken): (u32, u32, bool)| {
            let body = &bodies[function as usize];
            let operators = body.get_operators_reader().unwrap().into_iter_with_offsets();
            let mut operators = operators.map(Result::unwrap);
            let wanted = body.range().start + offset as usize;
            let operator = operators.find(|(_, offset)| *offset == wanted);
            let name = match operator {
                Some((Operator::If { .. }, _)) => "if",
                Some((Operator::BrIf { .. }, _)) => "br_if",
                other => panic!("a hint at {other:?}"),
            };
            (function, name, taken)
        };
        hints.into_iter().map(instruction).collect::<Vec<_>>()
    };
    let expected = [(0, "if", false), (1, "if", true), (1, "br_if", false), (1, "if", true)];
    assert_eq!(hinted(&wasm(text)), expected);
    assert_eq!(hinted(&transformed(text).wasm), expected);
}

#[test]
fn metadata_of_a_function_and_of_its_first_instruction_stays_with_them() {
    // Of function 0: byte 0 is the function itself, byte 1 its first instruction.
    let text = r#"(module (memory 1) (data $d)
        (@custom "metadata.code.other" (before code) "\01\00\02\00\01\aa\01\01\bb")
        (func i32.const 0 drop (memory.init $d (i32.const 0) (i32.const 0) (i32.const 0)) (data.drop $d)))"#;
    let after = transformed(text).wasm;
    // A group of locals, in two bytes, comes before the first instruction.
    assert_eq!(customs(&after)[0].1, b"\x01\x00\x02\x00\x01\xaa\x03\x01\xbb");
}

#[test]
fn metadata_of_instructions_that_cannot_be_read_goes_if_code_changes() {
    let text = r#"(module (memory 1) (data $d)
        (@custom "metadata.code.other" (before code) "\01\00\01\05\ff")
        (func (data.drop $d)))"#;
    assert_eq!(names_of_customs(&transformed(text).wasm), ["name"]);
}

#[test]
fn names_stay_and_the_new_globals_get_theirs() {
    let hash = [" __wasm_jobs_hash_low", " __wasm_jobs_hash_high", " __wasm_jobs_dropped_data_0"];
    let with = |text: &str, first: u32| {
        let mut expected = named(&wasm(text));
        let globals = (first..).zip(hash).map(|(index, name)| format!("global {index}{name}"));
        let at = expected.iter().position(|name| name.starts_with("data"));
        expected.splice(at.unwrap()..at.unwrap(), globals);
        expected
    };
    let rest = r#"(memory 1) (data $d) (func $f (param $p i32) (data.drop $d)) (func $g)"#;
    let has_globals =
        format!("(module $m (global i32 (i32.const 0)) (global $b i32 (i32.const 0)) {rest})");
    let expected = with(&has_globals, 2);
    assert!(expected.contains(&"global 1 b".to_owned()));
    assert_eq!(named(&transformed(&has_globals).wasm), expected);
    let has_none = format!("(module {rest})");
    let expected = with(&has_none, 0);
    assert!(expected.contains(&"function 0 f".to_owned()));
    assert!(expected.contains(&"local of 0 0 p".to_owned()));
    assert_eq!(named(&transformed(&has_none).wasm), expected);
}

#[test]
fn a_module_without_names_gets_none_and_broken_names_stay() {
    assert_eq!(names_of_customs(&transformed("(module (func))").wasm), [""; 0]);
    for broken in [r"\07\09\01", r"\01\ff", r"\07\00", r"\07\05\ff\ff\ff\ff\0f"] {
        let text = format!(r#"(module (@custom "name" "{broken}"))"#);
        assert_eq!(customs(&transformed(&text).wasm), customs(&wasm(&text)));
    }
}

#[test]
fn sections_that_are_missing_are_put_where_they_belong() {
    let parts = [
        r#"(type (func))"#,
        r#"(import "a" "b" (func))"#,
        r#"(func)"#,
        r#"(table 1 funcref)"#,
        r#"(memory 1)"#,
        r#"(tag)"#,
        r#"(global i32 (i32.const 0))"#,
        r#"(export "m" (memory $x)) (memory $x 1)"#,
        r#"(start $s) (func $s)"#,
        r#"(elem funcref)"#,
        r#"(data "a")"#,
        r#"(@custom "first" (before first) "a")"#,
        r#"(@custom "last" (after last) "a")"#,
    ];
    for choice in 0..1 << parts.len() {
        // All pairs, all but one, and some others.
        let count = u32::count_ones(choice);
        if count > 2 && count < parts.len() as u32 - 1 && choice % 37 != 0 {
            continue;
        }
        let chosen = |n: &usize| choice & 1 << n != 0;
        // Imports come first in the text format.
        let order = [1, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        let text: String = order.into_iter().filter(chosen).map(|n| parts[n]).collect();
        let transformed = transformed(&format!("(module {text})"));
        let mut validator = Validator::new_with_features(WasmFeatures::WASM3);
        validator.validate_all(&transformed.wasm).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

#[test]
fn the_output_is_the_same_on_every_machine() {
    let text = r#"(module (memory 1) (table 2 funcref) (global (mut i64) (i64.const 0))
        (data $d "abc") (elem $e func $f) (data (i32.const 5) "xyz")
        (func $f (export "f") (data.drop $d) (elem.drop $e) (table.init $e (i32.const 0) (i32.const 0) (i32.const 1)))
        (start $f))"#;
    let once = transformed(text);
    assert_eq!(once.wasm, transformed(text).wasm);
    let hash = wasm_jobs_transform::Layout::hash_of(&once.wasm);
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, "7bc3f3b5ae6144bf8a2ced82e4dfa11f");
}
