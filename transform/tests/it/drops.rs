//! Segments that are dropped, and undoing that.

use crate::run::{instance, outcome, transformed, wasm};
use wasm_jobs_transform::StateExport;
use wasmtime::{Instance, Store, Val};

/// Operands for memory.init and table.init around the ends of a segment of 3 items, and of a memory of 65,536 bytes or a table of 10
/// elements.
const SOURCES: [i32; 6] = [0, 1, 3, 4, -1, i32::MIN];
const LENGTHS: [i32; 6] = [0, 1, 3, 4, -1, i32::MIN];
const DESTINATIONS: [i64; 8] = [0, 7, 10, 11, 65_533, 65_536, 65_537, 0xffff_ffff];

/// Functions that fill and drop, for memories and tables whose indices have the type `$i`.
fn bulk(index: &str) -> String {
    let (before, after) = match index {
        "i32" => ("(i32.wrap_i64 ", ")"),
        _ => ("", ""),
    };
    let destination = format!("{before}(local.get 0){after}");
    let operands = format!("{destination} (local.get 1) (local.get 2)");
    format!(
        r#"(module
        (memory $other (export "other") 1)
        (memory $memory (export "memory") {index} 1)
        (table $other (export "other table") 1 funcref)
        (table $table (export "table") {index} 10 funcref)
        (data $before "xx")
        (data $data "abc")
        (elem $before func $f)
        (elem $elem func $f $f $g)
        (func $f) (func $g)
        (func (export "memory.init") (param i64 i32 i32)
            (memory.init $memory $data {operands}))
        (func (export "data.drop") (data.drop $data))
        (func (export "table.init") (param i64 i32 i32) (local f64 i64)
            (table.init $table $elem {operands}))
        (func (export "elem.drop") (elem.drop $elem))
        (func (export "kept") (param i64 i32 i32)
            (memory.init $other $before (i32.const 0) (i32.const 0) (i32.const 2))
            (table.init $other $before (i32.const 0) (i32.const 0) (i32.const 1))))"#
    )
}

/// All that can be seen of the instance: the memory and which elements of the table are not null.
fn seen(store: &mut Store<()>, instance: Instance) -> (Vec<u8>, Vec<bool>) {
    let memory = instance.get_memory(&mut *store, "memory").unwrap();
    let memory = memory.data(&*store)[..].to_vec();
    let table = instance.get_table(&mut *store, "table").unwrap();
    let elements = (0..table.size(&*store)).map(|at| {
        let element = table.get(&mut *store, at).unwrap();
        element.as_func().unwrap().is_some()
    });
    (memory, elements.collect())
}

fn inits_do_as_before_the_transformation(index: &str) {
    let text = bulk(index);
    let transformed = transformed(&text);
    assert_eq!(transformed.layout.dropped_data, [1]);
    assert_eq!(transformed.layout.dropped_elem, [1]);
    let (mut before, original) = instance(&wasm(&text));
    let (mut after, new) = instance(&transformed.wasm);
    let mut dropped = Vec::new();
    for drop in [None, Some("data.drop"), Some("elem.drop"), Some("data.drop"), Some("elem.drop")] {
        if let Some(drop) = drop {
            assert_eq!(outcome(&mut before, original, drop, &[]), Ok(vec![]));
            assert_eq!(outcome(&mut after, new, drop, &[]), Ok(vec![]));
            dropped.push(drop);
        }
        for (destination, source, length) in operands() {
            let operands = [Val::I64(destination), Val::I32(source), Val::I32(length)];
            let wide = |value: i32| u64::from(value as u32);
            let destination = match index {
                "i32" => wide(destination as i32),
                _ => destination as u64,
            };
            let traps = |segment: u64, size: u64| {
                wide(source) + wide(length) > segment || destination + wide(length) > size
            };
            let data = if dropped.contains(&"data.drop") { 0 } else { 3 };
            let elem = if dropped.contains(&"elem.drop") { 0 } else { 3 };
            for (init, traps, trap) in [
                ("memory.init", traps(data, 65_536), "MemoryOutOfBounds"),
                ("table.init", traps(elem, 10), "TableOutOfBounds"),
            ] {
                let expected = if traps { Err(trap.to_owned()) } else { Ok(vec![]) };
                let about = || format!("{init} {operands:?} after {dropped:?}");
                assert_eq!(
                    outcome(&mut before, original, init, &operands),
                    expected,
                    "{}",
                    about()
                );
                assert_eq!(outcome(&mut after, new, init, &operands), expected, "{}", about());
            }
        }
        let expected = seen(&mut before, original);
        assert!(seen(&mut after, new) == expected, "after {dropped:?}");
    }
}

/// All triples of a destination, a source and a length.
fn operands() -> impl Iterator<Item = (i64, i32, i32)> {
    DESTINATIONS.into_iter().flat_map(|destination| {
        SOURCES.into_iter().flat_map(move |source| {
            LENGTHS.into_iter().map(move |length| (destination, source, length))
        })
    })
}

#[test]
fn inits_of_dropped_segments_do_as_before_the_transformation() {
    inits_do_as_before_the_transformation("i32");
}

#[test]
fn inits_of_dropped_segments_with_64_bit_memories_and_tables_do_too() {
    inits_do_as_before_the_transformation("i64");
}

#[test]
fn a_drop_is_undone_by_its_flag() {
    let (mut store, instance) = instance(&transformed(&bulk("i32")).wasm);
    let all = [Val::I64(0), Val::I32(0), Val::I32(3)];
    for (init, drop, flag) in [
        ("memory.init", "data.drop", StateExport::DroppedData(1)),
        ("table.init", "elem.drop", StateExport::DroppedElem(1)),
    ] {
        let flag = instance.get_global(&mut store, &flag.to_string()).unwrap();
        assert_eq!(flag.get(&mut store).unwrap_i32(), 0);
        outcome(&mut store, instance, drop, &[]).unwrap();
        assert_eq!(flag.get(&mut store).unwrap_i32(), -1);
        outcome(&mut store, instance, init, &all).unwrap_err();
        flag.set(&mut store, Val::I32(0)).unwrap();
        assert_eq!(outcome(&mut store, instance, init, &all), Ok(vec![]));
    }
}

#[test]
fn active_segments_stay_dropped() {
    let text = r#"(module (memory 1) (table 1 funcref)
        (data $d (i32.const 0) "abc") (elem $e (i32.const 0) $f) (elem $declared declare func $f)
        (func $f)
        (func (export "drop") (data.drop $d) (elem.drop $e) (elem.drop $declared))
        (func (export "memory.init") (memory.init $d (i32.const 0) (i32.const 0) (i32.const 1)))
        (func (export "table.init") (table.init $e (i32.const 0) (i32.const 0) (i32.const 1)))
        (func (export "declared") (table.init $declared (i32.const 0) (i32.const 0) (i32.const 1)))
        (func (export "nothing") (table.init $e (i32.const 1) (i32.const 0) (i32.const 0))))"#;
    let (mut store, instance) = instance(&transformed(text).wasm);
    for _ in 0..2 {
        outcome(&mut store, instance, "nothing", &[]).unwrap();
        let traps = [
            ("memory.init", "MemoryOutOfBounds"),
            ("table.init", "TableOutOfBounds"),
            ("declared", "TableOutOfBounds"),
        ];
        for (init, trap) in traps {
            assert_eq!(outcome(&mut store, instance, init, &[]), Err(trap.to_owned()));
        }
        outcome(&mut store, instance, "drop", &[]).unwrap();
    }
}

#[test]
fn an_init_that_cannot_be_reached_is_rewritten_to_valid_code() {
    let text = r#"(module (memory 1) (data $d "abc")
        (func (export "f") (result i32)
            (block (result i32)
                (br 0 (i32.const 7))
                memory.init $d
                (i32.const 1)
                memory.init $d
                (i32.const 1) (i32.const 2)
                memory.init $d
                data.drop $d
                unreachable)))"#;
    let (mut store, instance) = instance(&transformed(text).wasm);
    assert_eq!(outcome(&mut store, instance, "f", &[]), Ok(vec!["I32(7)".to_owned()]));
}

#[test]
fn a_function_with_many_groups_of_locals_gets_two_more() {
    // The number of groups grows from one byte to two.
    let groups = "(local i32) (local i64)".repeat(63) + "(local f32)";
    let text = format!(
        r#"(module (memory (export "memory") 1) (data $d "abc")
        (func (export "f") (param i32) (result i64) {groups}
            (local.set 2 (i64.const 9))
            (memory.init $d (local.get 0) (i32.const 1) (i32.const 2))
            (data.drop $d)
            (local.get 2)))"#
    );
    let (mut store, instance) = instance(&transformed(&text).wasm);
    let result = outcome(&mut store, instance, "f", &[Val::I32(5)]);
    assert_eq!(result, Ok(vec!["I64(9)".to_owned()]));
    let memory = instance.get_memory(&mut store, "memory").unwrap();
    assert_eq!(memory.data(&store)[4..8], *b"\0bc\0");
}
