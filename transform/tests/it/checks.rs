//! What checks carry around the call of the host comes back, case by case.

use crate::run::wasm;
use crate::stopped::Stops;
use std::sync::atomic::Ordering::Relaxed;
use wasm_jobs_transform::{Options, transform_with};
use wasmparser::{Operator, Parser, Payload};
use wasmtime::{Config, Engine, Linker, Module, Store};

fn engine() -> Engine {
    Engine::new(Config::new().shared_memory(true)).unwrap()
}

/// Calls the export `f`, which is stopped at each check. Returns its result and how often it was stopped.
fn stopped(text: &str) -> (i32, u64) {
    let new = transform_with(&wasm(text), &Options::default().stops(true)).unwrap();
    let engine = engine();
    let module = Module::new(&engine, &new.wasm).unwrap_or_else(|error| panic!("{error:?}"));
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    let mut stops = Stops::at_the_first(u64::MAX);
    stops.define(&mut linker, &mut store);
    let instance = linker.instantiate(&mut store, &module).unwrap();
    stops.connect(&mut store, instance);
    let f = instance.get_typed_func::<(), i32>(&mut store, "f").unwrap();
    (f.call(&mut store, ()).unwrap(), stops.seen.load(Relaxed))
}

/// For each check of a module, the locals that it carries. It has to take back what it gives away.
fn carried(text: &str) -> Vec<Vec<u32>> {
    let functions = |wasm: &[u8]| {
        let count = Parser::new(0).parse_all(wasm).find_map(|payload| match payload.unwrap() {
            Payload::FunctionSection(functions) => Some(functions.count()),
            _ => None,
        });
        count.unwrap()
    };
    let new = transform_with(&wasm(text), &Options::default().stops(true)).unwrap();
    // The functions that checks call come after those of the module. None is imported.
    let first = functions(&wasm(text));
    let mut all = Vec::new();
    for payload in Parser::new(0).parse_all(&new.wasm) {
        let Payload::CodeSectionEntry(body) = payload.unwrap() else { continue };
        let operators = body.get_operators_reader().unwrap().into_iter();
        let operators: Vec<_> = operators.map(Result::unwrap).collect();
        for (at, operator) in operators.iter().enumerate() {
            let Operator::Call { function_index } = operator else { continue };
            let before = operators[..at]
                .iter()
                .rfind(|operator| !matches!(operator, Operator::LocalGet { .. }));
            if !matches!(before, Some(Operator::If { .. })) {
                continue; // It is a call of the guest's, or one inside of what checks call.
            }
            if *function_index < first {
                continue;
            }
            let gets = operators[..at].iter().rev().map_while(|operator| match operator {
                Operator::LocalGet { local_index } => Some(*local_index),
                _ => None,
            });
            let sets = operators[at + 1..].iter().map_while(|operator| match operator {
                Operator::LocalSet { local_index } => Some(*local_index),
                _ => None,
            });
            let carried: Vec<_> = gets.collect();
            let back: Vec<_> = sets.take(carried.len()).collect();
            assert_eq!(back, carried);
            all.push(carried.into_iter().rev().collect());
        }
    }
    all
}

#[test]
fn locals_that_are_read_at_any_target_of_a_table_of_branches_are_carried() {
    let text = r#"(module (func (export "f") (param i32) (result i32) (local i32 i32 i32 i32)
        (block $a (block $b (block $c
            (loop $l
                (if (i32.eqz (local.get 0)) (then
                    (local.set 1 (i32.const 1)) (local.set 2 (i32.const 2))
                    (local.set 3 (i32.const 3)) (local.set 4 (i32.const 4))))
                (br_table $l $a $b $c (local.get 0))))
            (return (local.get 1)))
            (return (local.get 2)))
        (local.get 3)))"#;
    assert_eq!(carried(text), [[0, 1, 2, 3]]);
}

#[test]
fn locals_that_are_read_only_by_a_handler_are_carried() {
    let text = r#"(module (tag $e) (func $throw (throw $e))
        (func (export "f") (param i32) (result i32) (local i32 i32 i32)
            (block $caught
                (loop $l
                    (try_table (catch_all $caught)
                        (if (local.get 0) (then (local.set 1 (i32.const 1)) (local.set 2 (i32.const 2))))
                        (try_table (catch $e $l) (call $throw))
                        (local.set 2 (i32.const 3)))
                    (br $l)))
            (local.get 1)))"#;
    assert_eq!(carried(text), [[0, 1]]);
}

#[test]
fn locals_that_the_loop_does_not_use_or_that_are_written_before_they_are_read_stay() {
    let text = r#"(module (func (export "f") (param i32 i32 i32) (result i32)
        (loop $l
            (local.set 2 (i32.const 5))
            (br_if $l (local.tee 0 (i32.sub (local.get 0) (local.get 2)))))
        (local.get 1)))"#;
    assert_eq!(carried(text), [[0]]);
}

#[test]
fn references_to_functions_of_a_type_are_carried_in_locals_and_operands() {
    let text = r#"(module
        (type $unused (func (param i64)))
        (type $t (func (result i32)))
        (type $same (func (result i32)))
        (elem declare func $seven $eight)
        (func $seven (type $same) (i32.const 7))
        (func $eight (type $t) (i32.const 8))
        (func (export "f") (result i32)
            (local $never_null (ref $t)) (local $nullable (ref null $same)) (local $n i32)
            (local.set $never_null (ref.func $seven))
            (local.set $nullable (ref.func $eight))
            (ref.func $seven)
            (loop $again (param (ref $same)) (result (ref $t))
                (local.set $n (i32.add (local.get $n) (call_ref $t (local.get $never_null))))
                (local.set $n (i32.add (local.get $n) (call_ref $t (local.get $nullable))))
                (br_if $again (i32.lt_s (local.get $n) (i32.const 100))))
            (call_ref $t)
            (i32.add (local.get $n))))"#;
    let (result, stops) = stopped(text);
    assert_eq!(result, 112);
    assert!(stops >= 7, "{stops}");
}

#[test]
fn there_is_a_check_before_each_instruction_that_copies_or_fills() {
    let checks = |code: &str| {
        let text = format!(
            r#"(module (memory 1) (table 1 funcref) (data $data "some data") (elem $elem func)
                (func $copy (memory.copy (i32.const 0) (i32.const 9) (i32.const 9)))
                (func (export "f") (local i32) {code}))"#
        );
        transform_with(&wasm(&text), &Options::default().stops(true)).unwrap().checks
    };
    let own = checks("");
    assert_eq!(own, 1);
    for instruction in [
        "(memory.copy (i32.const 0) (i32.const 9) (i32.const 9))",
        "(memory.fill (i32.const 0) (i32.const 9) (i32.const 9))",
        "(memory.init $data (i32.const 0) (i32.const 0) (i32.const 9))",
        "(table.copy (i32.const 0) (i32.const 0) (i32.const 1))",
        "(table.fill (i32.const 0) (ref.null func) (i32.const 1))",
        "(table.init $elem (i32.const 0) (i32.const 0) (i32.const 0))",
        "(drop (table.grow (ref.null func) (i32.const 1)))",
    ] {
        assert_eq!(checks(&instruction.repeat(3)), own + 3, "{instruction}");
        // That is enough for a loop, too.
        let in_a_loop = format!("(loop {instruction} (br_if 0 (local.get 0)))");
        assert_eq!(checks(&in_a_loop), own + 1, "{instruction}");
    }
    // A function that copies needs none around its calls.
    assert_eq!(checks("(call $copy) (call $copy)"), own);
    assert_eq!(checks("(drop (memory.grow (i32.const 1)))"), own);
}
