//! Whether the points of a module show which functions of the host's are on the stack.

use wasm_jobs_transform::{Options, transform_with};

/// A module with `$wait`, an import in which calls wait, and these parts.
fn shows(parts: &str) -> bool {
    let text = format!(
        r#"(module
            (type $plain (func))
            (import "env" "wait" (func $wait))
            (import "env" "other" (func $other))
            (func $waits (call $wait))
            {parts})"#
    );
    let wasm = wat::parse_str(text).unwrap();
    let transformed = transform_with(&wasm, &Options::default().saves_calls(true)).unwrap();
    assert!(!transformed.frames.points.is_empty());
    transformed.frames.shows_host_calls
}

/// A function that calls by a table. `more` is what else there is.
fn by_table(more: &str) -> bool {
    shows(&format!(
        r#"(table $t 4 funcref)
        (elem (i32.const 0) func $waits)
        (func (export "run") (param i32) (call_indirect $t (type $plain) (local.get 0)))
        {more}"#
    ))
}

#[test]
fn direct_calls_show_all() {
    assert!(shows(r#"(func (export "run") (call $waits) (call $other))"#));
    // No indirect call can be on the stack.
    assert!(shows(
        r#"(table (export "t") 1 funcref)
        (elem (i32.const 0) func $other)
        (func (export "run") (call $waits))"#
    ));
}

#[test]
fn a_table_of_the_modules_own_functions_shows_all() {
    assert!(by_table(""));
    assert!(by_table(r#"(func (export "change") (table.set $t (i32.const 1) (ref.func $waits)))"#));
    assert!(by_table(r#"(global $own (mut funcref) (ref.func $waits))"#));
    assert!(by_table(r#"(global (export "fixed") funcref (ref.func $waits))"#));
}

#[test]
fn the_host_comes_in_by_a_table_a_global_or_a_value() {
    for way in [
        r#"(export "t" (table $t))"#,
        r#"(global (export "g") (mut funcref) (ref.null func))"#,
        r#"(func (export "give") (param funcref))"#,
        r#"(func (export "get") (result funcref) (unreachable))"#,
        r#"(tag (export "e") (param funcref))"#,
    ] {
        assert!(!by_table(way), "{way}");
    }
    for way in [
        r#"(import "env" "t" (table 1 funcref))"#,
        r#"(import "env" "g" (global funcref))"#,
        r#"(import "env" "give" (func (result funcref)))"#,
        r#"(import "env" "e" (tag (param externref)))"#,
    ] {
        let text = format!(
            r#"(module
                (type $plain (func))
                {way}
                (import "env" "wait" (func $wait))
                (func $waits (call $wait))
                (table $own 4 funcref)
                (elem (table $own) (i32.const 0) func $waits)
                (func (export "run") (param i32)
                    (call $wait)
                    (call_indirect $own (type $plain) (local.get 0))))"#
        );
        let wasm = wat::parse_str(text).unwrap();
        let transformed = transform_with(&wasm, &Options::default().saves_calls(true)).unwrap();
        assert!(!transformed.frames.shows_host_calls, "{way}");
    }
}

#[test]
fn an_import_is_called_indirectly() {
    for import in [
        "(elem (i32.const 1) func $other)",
        "(elem (i32.const 1) funcref (ref.func $other))",
        "(elem declare func $other) (func (drop (ref.func $other)))",
        "(global funcref (ref.func $other))",
        "(table 1 1 funcref (ref.func $other))",
    ] {
        assert!(!by_table(import), "{import}");
    }
}

#[test]
fn an_export_is_a_function_of_the_hosts() {
    assert!(!shows(r#"(export "run" (func $other)) (func (export "f") (call $waits))"#));
}

#[test]
fn a_tail_call_takes_its_caller_from_the_stack() {
    assert!(!shows(r#"(func (export "run") (return_call $waits))"#));
    assert!(!shows(r#"(func $f (return_call $other)) (func (export "run") (call $f))"#));
}
