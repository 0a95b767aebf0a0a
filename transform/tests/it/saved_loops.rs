//! Loops in twins: they go on where they were, with what they have on the stack.

use crate::run::wasm;
use crate::saved_cases::{gives, transformed};
use wasm_jobs_transform::{Options, transform_with};
use wasmtime::{Config, Engine, Module};

#[test]
fn a_loop_with_a_reference_that_is_never_null() {
    gives(
        r#"(module (type $t (func (result i32))) IMPORT
            (type $l (func (param (ref $t)) (result (ref $t))))
            (elem declare func $seven) (func $seven (type $t) (i32.const 7))
            (func (export "run") (result i32) (local $n i32)
                (ref.func $seven)
                (loop (type $l)
                    (drop (call $wait (i32.const 1)))
                    (local.set $n (i32.add (local.get $n) (i32.const 1)))
                    (br_if 0 (i32.lt_u (local.get $n) (i32.const 2))))
                (call_ref $t)))"#,
        "I32(7)",
        &[1, 1],
        2,
    );
}

#[test]
fn a_loop_inside_a_loop_with_a_reference_that_is_never_null() {
    gives(
        r#"(module (type $t (func (result i32))) IMPORT
            (type $l (func (param i32 (ref $t)) (result i32 (ref $t))))
            (elem declare func $seven $eight)
            (func $seven (type $t) (i32.const 7)) (func $eight (type $t) (i32.const 8))
            (func (export "run") (result i32) (local $n i32) (local $m i32)
                (loop $outer
                    (i32.const 100) (ref.func $seven)
                    (loop $inner (type $l)
                        (drop (call $wait (local.get $n)))
                        (local.set $n (i32.add (local.get $n) (i32.const 1)))
                        (br_if $inner (i32.and (local.get $n) (i32.const 1)))
                        (drop)
                        (ref.func $eight)
                        (br_if $inner (i32.lt_u (local.get $n) (i32.const 3))))
                    (call_ref $t) (i32.add) (i32.add (local.get $m)) (local.set $m)
                    (br_if $outer (i32.lt_u (local.get $n) (i32.const 8))))
                (local.get $m)))"#,
        "I32(324)",
        &[0, 1, 2, 3, 4, 5, 6, 7],
        8,
    );
}

#[test]
fn a_loop_whose_reference_is_of_a_wider_type_than_what_enters_it() {
    gives(
        r#"(module (type $t (func (result i32))) IMPORT
            (type $l (func (param funcref) (result funcref)))
            (table $tab 1 funcref)
            (elem (table $tab) (i32.const 0) func $eight)
            (elem declare func $seven) (func $seven (type $t) (i32.const 7))
            (func $eight (type $t) (i32.const 8))
            (func (export "run") (result i32) (local $n i32)
                (ref.func $seven)
                (loop (type $l)
                    (drop (call $wait (i32.const 1)))
                    (local.set $n (i32.add (local.get $n) (i32.const 1)))
                    (if (i32.lt_u (local.get $n) (i32.const 2))
                        (then (br 1 (table.get $tab (i32.const 0))))))
                (ref.is_null)))"#,
        "I32(0)",
        &[1, 1],
        2,
    );
}

#[test]
fn a_branch_to_a_loop_if_a_reference_is_null() {
    gives(
        r#"(module (type $t (func (result i32))) IMPORT
            (type $l (func (param (ref $t)) (result (ref $t))))
            (elem declare func $seven) (func $seven (type $t) (i32.const 7))
            (func (export "run") (result i32) (local $n i32) (local $r (ref null $t))
                (ref.func $seven)
                (loop (type $l)
                    (drop (call $wait (i32.const 1)))
                    (drop (br_on_null 0 (local.get $r) (local.set $r (ref.func $seven)))))
                (call_ref $t)))"#,
        "I32(7)",
        &[1, 1],
        2,
    );
}

#[test]
fn a_table_of_branches_to_loops_inside_each_other_with_parameters() {
    gives(
        r#"(module IMPORT (type $l (func (param i32 i64) (result i32 i64)))
            (func (export "run") (result i32 i64) (local $n i32)
                (i32.const 10) (i64.const 20)
                (loop $outer (type $l)
                    (loop $inner (type $l)
                        (i64.add (i64.extend_i32_s (call $wait (i32.const 1))))
                        (local.set $n (i32.add (local.get $n) (i32.const 1)))
                        (block $out (type $l)
                        (br_table $inner $outer $out (i32.sub (local.get $n) (i32.const 1))))
                        )
                    (i64.add (i64.extend_i32_s (call $wait (i32.const 2)))))))"#,
        "I32(10) I64(29)",
        &[1, 1, 1, 2],
        4,
    );
}

#[test]
fn a_handler_that_leads_to_a_loop() {
    gives(
        r#"(module IMPORT (type $l (func (param i32) (result i32))) (tag $e (param i32))
            (func (export "run") (result i32)
                (i32.const 100)
                (i32.const 0)
                (loop $l (type $l)
                    (i32.add (call $wait (i32.const 5)))
                    (try_table (param i32) (result i32) (catch $e $l)
                        (i32.add (call $wait (i32.const 7)))
                        (if (param i32) (result i32) (i32.lt_u (i32.const 30) (call $wait (i32.const 0)))
                           (then))
                        (if (param i32) (result i32) (i32.lt_u (call $wait (i32.const 0)) (i32.const 1))
                           (then (throw $e)) (else (i32.add (call $wait (i32.const 2)))))))
                (i32.add)))"#,
        "I32(117)",
        &[5, 7, 0, 0, 2],
        5,
    );
}

#[test]
fn a_twin_grows_with_its_function_and_not_with_its_loops() {
    let size = |loops: usize| {
        let (begins, ends) = ("(loop ".repeat(loops), ")".repeat(loops));
        let text = format!(
            r#"(module (import "host" "wait" (func $wait)) (func {begins} (call $wait) {ends}))"#
        );
        transformed(&text).unwrap().wasm.len()
    };
    assert!(size(4_000) < size(1_000) * 5, "{} {}", size(4_000), size(1_000));
}

/// A twin has each of them twice.
#[test]
fn a_deep_nest_of_loops_with_references_is_refused() {
    let text = |depth: usize| {
        let begins = "(loop (type $l) ".repeat(depth);
        let ends = ")".repeat(depth);
        format!(
            r#"(module (type $t (func)) (type $l (func (param (ref $t)) (result (ref $t))))
                (import "host" "wait" (func $wait)) (func $f (type $t)) (elem declare func $f)
                (func (export "run") (drop (ref.func $f) {begins} (call $wait) {ends})))"#
        )
    };
    let size = transformed(&text(100)).unwrap().wasm.len();
    assert!(size < 400_000, "{size}");
    let error = transformed(&text(2_000)).unwrap_err().to_string();
    assert!(error.contains("loops inside each other that have references"), "{error}");
}

/// So it is found out when the module is compiled, and not when a call is to go on.
#[test]
fn an_engine_without_tail_calls_refuses_both_modules() {
    let text = r#"(module (import "host" "wait" (func $wait (param i32) (result i32)))
        (func (export "run") (result i32) (call $wait (i32.const 1))))"#;
    let mut config = Config::new();
    config.wasm_tail_call(false);
    let engine = Engine::new(&config).unwrap();
    let twins = transformed(text).unwrap();
    let plain = transform_with(&wasm(text), &Options::default().saves_calls(true)).unwrap();
    for new in [twins, plain] {
        let error = format!("{:?}", Module::new(&engine, &new.wasm).unwrap_err());
        assert!(error.contains("tail calls"), "{error}");
        Module::new(&Engine::default(), &new.wasm).unwrap();
    }
}
