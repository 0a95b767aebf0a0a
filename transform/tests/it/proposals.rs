//! A module of each proposal that is carried gives the same results afterwards. Each drops a segment, so that a body is rewritten.

use crate::run::{instance, outcome, transformed, wasm};
use wasmtime::Val;

/// Calls the export `f` with 5, before and after the transformation.
fn carried(fields: &str) -> Vec<String> {
    let text = format!(r#"(module (memory $main 1) (data $d "abc") {fields})"#);
    let (mut store, original) = instance(&wasm(&text));
    let expected = outcome(&mut store, original, "f", &[Val::I32(5)]).unwrap();
    let transformed = transformed(&text);
    assert_eq!(transformed.layout.dropped_data, [0]);
    let (mut store, new) = instance(&transformed.wasm);
    assert_eq!(outcome(&mut store, new, "f", &[Val::I32(5)]).unwrap(), expected);
    expected
}

const INIT: &str = "(memory.init $d (i32.const 1) (i32.const 1) (i32.const 2)) (data.drop $d)";

#[test]
fn exceptions_are_carried() {
    let found = carried(&format!(
        r#"(tag $t (param i32))
        (func $throw (param i32) {INIT} (throw $t (local.get 0)))
        (func (export "f") (param i32) (result i32) (local exnref)
            (block $caught (result i32)
                (try_table (catch $t $caught) (call $throw (local.get 0)))
                (i32.const 0)))"#
    ));
    assert_eq!(found, ["I32(5)"]);
}

#[test]
fn tail_calls_are_carried() {
    let found = carried(&format!(
        r#"(func $g (param i32) (result i32) (i32.load8_u (local.get 0)))
        (func (export "f") (param i32) (result i32) {INIT} (return_call $g (i32.const 2)))"#
    ));
    assert_eq!(found, ["I32(99)"]);
}

#[test]
fn function_references_are_carried() {
    let found = carried(&format!(
        r#"(type $t (func (param i32) (result i32)))
        (func $g (type $t) (i32.add (local.get 0) (i32.const 1)))
        (global $g (mut (ref $t)) (ref.func $g))
        (func (export "f") (param i32) (result i32)
            (local $r (ref $t)) (local.set $r (global.get $g)) {INIT}
            (call_ref $t (local.get 0) (local.get $r)))"#
    ));
    assert_eq!(found, ["I32(6)"]);
}

#[test]
fn vectors_are_carried() {
    let found = carried(&format!(
        r#"(global $v (mut v128) (v128.const i32x4 1 2 3 4))
        (func (export "f") (param i32) (result v128)
            {INIT}
            (global.set $v (i32x4.add (global.get $v) (i32x4.splat (local.get 0))))
            (i8x16.relaxed_swizzle (global.get $v) (v128.const i32x4 0 0 0 0)))"#
    ));
    assert_eq!(found.len(), 1);
}

#[test]
fn atomic_instructions_on_memories_that_are_not_shared_are_carried() {
    let found = carried(&format!(
        r#"(func (export "f") (param i32) (result i32)
            {INIT} (atomic.fence)
            (drop (i32.atomic.rmw.add (i32.const 8) (local.get 0)))
            (memory.atomic.notify (i32.const 8) (i32.const 1))
            (i32.add (i32.atomic.load (i32.const 8))))"#
    ));
    assert_eq!(found, ["I32(5)"]);
}

#[test]
fn several_memories_64_bit_addresses_and_several_results_are_carried() {
    let found = carried(&format!(
        r#"(memory $long i64 1 2)
        (data (memory $long) (i64.add (i64.const 2) (i64.const 1)) "xyz")
        (func (export "f") (param i32) (result i64 i32)
            {INIT}
            (memory.init $long $d (i64.const 9) (i32.const 0) (i32.const 0))
            (memory.copy $main $long (i32.const 0) (i64.const 3) (i32.const 1))
            (memory.size $long) (i32.load $main (i32.const 0)))"#
    ));
    assert_eq!(found.len(), 2);
}
