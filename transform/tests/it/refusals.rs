use crate::run::{refused, transformed, wasm};
use wasm_jobs_transform::{Error, transform};

#[test]
fn bytes_that_are_no_module_are_refused_with_the_place() {
    for bytes in [&b""[..], b"\0asm", b"\x7fELF1234", b"(module)"] {
        assert!(matches!(transform(bytes), Err(Error::Invalid { .. })), "{bytes:?}");
    }
    let error = refused("(module (func (result i32) (i64.const 1)))");
    assert_eq!(
        error.to_string(),
        "the module is not valid: type mismatch: expected i32, found i64, at offset 0x1a"
    );
}

#[test]
fn a_module_that_is_cut_off_is_refused_wherever_that_is() {
    let wasm = wasm(
        r#"(module (memory (export "m") 1) (table 1 funcref) (elem func $f) (data "a") (global (mut i32) (i32.const 0))
        (func $f (data.drop 0) (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 0))))"#,
    );
    transform(&wasm).unwrap();
    for end in 9..wasm.len() {
        // The module may end between sections, and is then another one, which may be valid.
        if let Err(error) = transform(&wasm[..end]) {
            assert!(matches!(error, Error::Invalid { .. }), "{error}");
        }
    }
}

#[test]
fn a_component_is_refused_as_one() {
    let wasm = b"\0asm\x0d\0\x01\0";
    assert_eq!(transform(wasm).unwrap_err(), Error::Component);
}

#[test]
fn an_instruction_of_another_proposal_is_refused_by_name_and_place() {
    let message = |text: &str| refused(text).to_string();
    let named = message(
        r#"(module (import "a" "a" (func)) (func $first) (func $second (drop (ref.eq (ref.null none) (ref.null none)))))"#,
    );
    assert_eq!(
        named,
        "`ref.null` needs the proposal `gc`, which the transformation does not support: function 2 (`second`), at offset 0x24"
    );
    let unnamed =
        message("(module (func (param externref) (drop (any.convert_extern (local.get 0)))))");
    assert_eq!(
        unnamed,
        "`any.convert_extern` needs the proposal `gc`, which the transformation does not support: function 0, at offset 0x1a"
    );
    for (text, proposal, instruction) in [
        ("(func (drop (ref.i31 (i32.const 1))))", "gc", "`ref.i31`"),
        ("(func (param funcref) (drop (ref.test (ref func) (local.get 0))))", "gc", "`ref.test`"),
        ("(func (param funcref) (drop (ref.cast (ref func) (local.get 0))))", "gc", "`ref.cast`"),
        ("(func try catch_all end)", "legacy-exceptions", "`try`"),
        (
            "(func (param i64) (drop (i64.mul_wide_s (local.get 0) (local.get 0))) drop)",
            "wide-arithmetic",
            "`i64.mul_wide_s`",
        ),
        (
            "(memory 1) (func (memory.discard (i32.const 0) (i32.const 0)))",
            "memory-control",
            "`memory.discard`",
        ),
        ("(tag) (func (suspend 0))", "stack-switching", "`suspend`"),
        (
            "(global (mut i32) (i32.const 0)) (func (drop (global.atomic.rmw.add seq_cst 0 (i32.const 0))))",
            "shared-everything-threads",
            "`global.atomic.rmw.add`",
        ),
        ("(func (local anyref))", "gc", "a local"),
    ] {
        let Error::Unsupported { proposal: found, what, place, .. } =
            refused(&format!("(module {text})"))
        else {
            panic!("{text}");
        };
        assert_eq!((found, &*what), (proposal, instruction));
        assert_eq!(place.function, Some(0), "{text}");
        assert_eq!(place.section, "code");
    }
}

#[test]
fn a_declaration_of_another_proposal_is_refused_with_its_section() {
    for (text, proposal, what, section) in [
        ("(type (struct))", "gc", "a type", "type"),
        ("(type (func (param i31ref)))", "gc", "a type", "type"),
        ("(type (sub (func)))", "gc", "a type", "type"),
        (r#"(import "a" "a" (global anyref))"#, "gc", "an import", "import"),
        ("(global anyref (ref.null any))", "gc", "a global", "global"),
        ("(table 1 eqref)", "gc", "a table", "table"),
        ("(memory 1 (pagesize 1))", "custom-page-sizes", "a memory", "memory"),
        ("(type $f (func)) (type (cont $f))", "stack-switching", "a type", "type"),
        (
            "(global (shared mut i32) (i32.const 0))",
            "shared-everything-threads",
            "a global",
            "global",
        ),
    ] {
        let Error::Unsupported { proposal: found, what: found_what, place, .. } =
            refused(&format!("(module {text})"))
        else {
            panic!("{text}: {}", refused(&format!("(module {text})")));
        };
        assert_eq!((found, &*found_what, place.section), (proposal, what, section), "{text}");
        assert_eq!(place.function, None);
    }
}

#[test]
fn an_imported_start_function_is_refused_by_its_index() {
    let text = r#"(module (import "a" "a" (func)) (import "a" "b" (func $start)) (start $start))"#;
    assert_eq!(refused(text), Error::ImportedStart { index: 1 });
    transformed(r#"(module (import "a" "a" (func $a)) (func $start call $a) (start $start))"#);
}

#[test]
fn a_shared_memory_is_refused_by_its_index() {
    let imported = r#"(module (memory 1) (import "a" "a" (memory 1 2 shared)))"#;
    for (text, index) in [("(module (memory 1) (memory 1 2 shared))", 1), (imported, 0)] {
        let text = text.replace("(memory 1) (import", "(import");
        assert_eq!(refused(&text), Error::SharedMemory { index });
    }
    let message = refused("(module (memory 1 2 shared))").to_string();
    assert_eq!(
        message,
        "memory 0 is shared between threads, and the state of one instance cannot hold it"
    );
}

#[test]
fn an_export_with_the_reserved_prefix_is_refused_by_name() {
    for name in
        ["__wasm_jobs_", "__wasm_jobs_global_0", "__wasm_jobs_start", "__wasm_jobs_layout_x"]
    {
        let text = format!(r#"(module (func (export "f")) (func (export "{name}")))"#);
        assert_eq!(refused(&text), Error::ReservedExport { name: name.to_owned() });
    }
    let similar =
        r#"(module (func (export "__wasm_job_start")) (func (export "x__wasm_jobs_start")))"#;
    assert_eq!(transformed(similar).layout.entries.len(), 2);
    let message = refused(r#"(module (func (export "__wasm_jobs_start")))"#).to_string();
    assert_eq!(
        message,
        r#"export "__wasm_jobs_start": names with the prefix `__wasm_jobs_` are reserved for the transformation"#
    );
}

#[test]
fn a_transformed_module_is_refused_as_one() {
    let once = transformed(r#"(module (func (export "f")))"#);
    let name = once.layout.exports().next().unwrap().to_string();
    assert_eq!(transform(&once.wasm).unwrap_err(), Error::AlreadyTransformed { name });
    let low = refused(
        r#"(module (func (export "__wasm_jobs_start")) (func (export "__wasm_jobs_hash_low")))"#,
    );
    assert!(matches!(low, Error::AlreadyTransformed { .. }));
}

#[test]
fn a_function_that_cannot_have_two_more_locals_is_refused() {
    // The text format has no way to declare many locals at once.
    let text = |locals: usize, rest: &str| {
        let locals = "i32 ".repeat(locals);
        format!("(module (memory 1) (data $d) (func (local {locals}) (data.drop $d) {rest}))")
    };
    let init = "(memory.init $d (i32.const 0) (i32.const 0) (i32.const 0))";
    transformed(&text(49_998, init));
    let what = "locals in function 0".to_owned();
    assert_eq!(
        refused(&text(49_999, init)),
        Error::TooLarge { what, count: 50_001, limit: 50_000 }
    );
    transformed(&text(50_000, ""));
}

#[test]
fn text_is_refused_as_such() {
    let error = transform(b"(module)").unwrap_err().to_string();
    assert!(error.contains("not in the binary format"), "{error}");
}
