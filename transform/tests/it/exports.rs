use crate::run::{instance, state_exports, transformed, wasm};
use wasm_jobs_transform::{
    HASH_HIGH, HASH_LOW, LAYOUT_VERSION, Layout, PREFIX, START, StateExport, parse_export,
};
use wasmtime::{Linker, Module, Ref, Store, Val};

/// The exports of the state, as names without the prefix.
fn names(text: &str) -> Vec<String> {
    let exports = state_exports(&transformed(text).wasm);
    exports.iter().map(|export| export.to_string()[PREFIX.len()..].to_owned()).collect()
}

#[test]
fn a_module_without_anything_still_tells_its_layout_and_its_hash() {
    let text = "(module)";
    let transformed = transformed(text);
    let (mut store, instance) = instance(&transformed.wasm);
    let hash = Layout::hash_of(&wasm(text));
    assert_eq!(transformed.layout.hash, hash);
    let exports: Vec<_> =
        instance.exports(&mut store).map(|export| parse_export(export.name())).collect();
    assert_eq!(
        exports,
        [
            Some(StateExport::Layout { version: LAYOUT_VERSION, hash }),
            Some(StateExport::HashLow),
            Some(StateExport::HashHigh),
        ]
    );
    let layout = StateExport::Layout { version: LAYOUT_VERSION, hash }.to_string();
    let half = |range: std::ops::Range<usize>| i64::from_le_bytes(hash[range].try_into().unwrap());
    for (name, value) in [(&*layout, half(0..8)), (HASH_LOW, half(0..8)), (HASH_HIGH, half(8..16))]
    {
        let global = instance.get_global(&mut store, name).unwrap();
        assert_eq!(global.get(&mut store).unwrap_i64(), value, "{name}");
        assert_eq!(global.ty(&store).mutability(), wasmtime::Mutability::Const);
    }
}

#[test]
fn mutable_globals_are_exported_defined_or_imported() {
    let text = r#"(module
        (import "a" "a" (global i32))
        (import "a" "b" (global (mut i64)))
        (global i32 (i32.const 1))
        (global (mut v128) (v128.const i64x2 1 2)))"#;
    assert_eq!(names(text), ["global_1", "global_3"]);
}

#[test]
fn memories_are_exported_with_the_bounds_of_their_image() {
    let text = r#"(module
        (import "a" "a" (global $at i32))
        (import "a" "m" (memory 1))
        (memory $none 1)
        (memory $two 1)
        (memory $unknown 1)
        (memory $long i64 1)
        (data (memory 0) (i32.const 0) "abc")
        (data (memory $two) (i32.const 100) "abc")
        (data (memory $two) (i32.add (i32.const 2) (i32.const 8)) "abc")
        (data (memory $two) (i32.const 500) "")
        (data (memory $unknown) (global.get $at) "abc")
        (data (memory $long) (i64.const 7) "abc")
        (data "abc"))"#;
    assert_eq!(
        names(text),
        ["memory_0", "memory_1_0_0", "memory_2_10_103", "memory_3", "memory_4_7_10"]
    );
    let layout = transformed(text).layout;
    let runs: Vec<_> = layout.memories[2]
        .image
        .as_ref()
        .unwrap()
        .runs
        .iter()
        .map(|run| (run.offset, &*run.bytes))
        .collect();
    assert_eq!(runs, [(100, &b"abc"[..]), (10, b"abc")]);
}

#[test]
fn offsets_that_are_computed_are_known() {
    let image = |ty: &str, offset: &str| {
        let text = format!("(module (memory {ty} 1) (data (offset {offset}) \"a\"))");
        transformed(&text).layout.memories[0].image.as_ref().map(|image| image.range().start)
    };
    for (offset, expected) in [
        ("(i32.add (i32.const -1) (i32.const 11))", 10),
        ("(i32.sub (i32.const 3) (i32.const 5))", 0xffff_fffe),
        ("(i32.mul (i32.const -1) (i32.sub (i32.const 0) (i32.const 9)))", 9),
        ("(i32.const -1)", 0xffff_ffff),
    ] {
        assert_eq!(image("i32", offset), Some(expected), "{offset}");
        let offset = offset.replace("i32", "i64");
        assert_eq!(image("i64", &offset), Some(i64::from(expected as i32) as u64), "{offset}");
    }
}

#[test]
fn what_is_imported_is_exported_as_it_is() {
    let text = r#"(module
        (import "a" "global" (global (mut i32)))
        (import "a" "memory" (memory 1))
        (import "a" "table" (table 2 funcref)))"#;
    let engine = crate::run::engine();
    let module = Module::new(&engine, transformed(text).wasm).unwrap();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    linker.define_unknown_imports_as_default_values(&mut store, &module).unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let global = linker.get(&mut store, "a", "global").unwrap().into_global().unwrap();
    global.set(&mut store, Val::I32(7)).unwrap();
    let exported = instance.get_global(&mut store, "__wasm_jobs_global_0").unwrap();
    assert_eq!(exported.get(&mut store).unwrap_i32(), 7);
    let memory = linker.get(&mut store, "a", "memory").unwrap().into_memory().unwrap();
    memory.write(&mut store, 100, b"abc").unwrap();
    let exported = instance.get_memory(&mut store, "__wasm_jobs_memory_0").unwrap();
    assert_eq!(&exported.data(&store)[100..103], b"abc");
    let table = linker.get(&mut store, "a", "table").unwrap().into_table().unwrap();
    table.grow(&mut store, 3, Ref::Func(None)).unwrap();
    let exported = instance.get_table(&mut store, "__wasm_jobs_table_0").unwrap();
    assert_eq!(exported.size(&store), 5);
}

#[test]
fn tables_are_exported_if_they_are_written_to_or_handed_out() {
    let text = r#"(module
        (import "a" "t" (table $imported 1 externref))
        (table $read 1 funcref)
        (table $exported (export "t") 1 externref)
        (table $set 1 externref)
        (table $grown 1 externref)
        (table $filled 1 externref)
        (table $copied 1 externref)
        (table $source 1 externref)
        (table $init 1 externref)
        (elem $e externref (ref.null extern))
        (func (table.set $set (i32.const 0) (ref.null extern)))
        (func (drop (table.grow $grown (ref.null extern) (i32.const 0))))
        (func (table.fill $filled (i32.const 0) (ref.null extern) (i32.const 0)))
        (func (table.copy $copied $source (i32.const 0) (i32.const 0) (i32.const 0)))
        (func (table.init $init $e (i32.const 0) (i32.const 0) (i32.const 0)))
        (func (drop (table.get $read (i32.const 0)))))"#;
    assert_eq!(
        names(text),
        ["table_0", "table_2", "table_3", "table_4", "table_5", "table_6", "table_8"]
    );
}

#[test]
fn functions_are_exported_if_the_state_can_hold_references_to_them() {
    let functions = r#"
        (import "a" "f" (func $imported))
        (func $called)
        (func $exported (export "f") (call $called))
        (func $in_elem)
        (func $in_global)
        (func $in_table_init)
        (func $declared (drop (ref.func $declared)))
        (elem declare func $declared)
        (elem funcref (ref.func $in_elem) (ref.func $imported))
        (global funcref (ref.func $in_global))
        (table 1 funcref (ref.func $in_table_init))"#;
    let all = ["function_0", "function_2", "function_3", "function_4", "function_5", "function_6"];
    // No state holds references to functions: the table is private, and nothing writes to it.
    assert_eq!(names(&format!("(module {functions})")), [""; 0]);
    let global = format!("(module {functions} (global (mut funcref) (ref.null func)))");
    assert_eq!(names(&global)[1..], all);
    let typed =
        format!("(module {functions} (type $t (func)) (global (mut (ref null $t)) (ref.null $t)))");
    assert_eq!(names(&typed)[1..], all);
    let table = format!(r#"(module {functions} (export "t" (table 0)))"#);
    assert_eq!(names(&table)[1..], all);
    let external = format!("(module {functions} (global (mut externref) (ref.null extern)))");
    assert_eq!(names(&external), ["global_1"]);
}

#[test]
fn flags_are_exported_for_passive_segments_that_are_dropped() {
    let text = r#"(module
        (memory 1) (table 1 externref)
        (data $kept "a")
        (data $dropped "b")
        (data $active (i32.const 0) "c")
        (elem $kept externref (ref.null extern))
        (elem $dropped externref (ref.null extern))
        (elem $active (table 0) (i32.const 0) externref (ref.null extern))
        (func (data.drop $dropped) (data.drop $dropped) (data.drop $active) (elem.drop $dropped) (elem.drop $active)))"#;
    assert_eq!(names(text), ["memory_0_0_1", "dropped_data_1", "dropped_elem_1"]);
}

#[test]
fn the_start_function_is_exported_and_does_not_run_by_itself() {
    let text = r#"(module
        (global $ran (export "ran") (mut i32) (i32.const 0))
        (func $start (global.set $ran (i32.const 1)))
        (start $start))"#;
    let transformed = transformed(text);
    assert_eq!(transformed.layout.start, Some(0));
    let (mut store, instance) = instance(&transformed.wasm);
    let ran = instance.get_global(&mut store, "ran").unwrap();
    assert_eq!(ran.get(&mut store).unwrap_i32(), 0);
    let start = instance.get_typed_func::<(), ()>(&mut store, START).unwrap();
    start.call(&mut store, ()).unwrap();
    assert_eq!(ran.get(&mut store).unwrap_i32(), 1);
}

#[test]
fn the_layout_lists_the_functions_that_the_module_exports_itself() {
    let text = r#"(module
        (func (export "b") (export "a"))
        (memory (export "memory") 1)
        (func $start)
        (start $start))"#;
    assert_eq!(transformed(text).layout.entries, ["b", "a"]);
}

#[test]
fn names_are_read_back_and_others_are_not() {
    let hash = *b"0123456789abcdef";
    let exports = [
        StateExport::Layout { version: 1, hash },
        StateExport::Layout { version: 0, hash: [0; 16] },
        StateExport::Layout { version: u32::MAX, hash: [255; 16] },
        StateExport::HashLow,
        StateExport::HashHigh,
        StateExport::Global(0),
        StateExport::Global(u32::MAX),
        StateExport::Memory { index: 3, image: None },
        StateExport::Memory { index: 0, image: Some(0..0) },
        StateExport::Memory { index: 10, image: Some(20..u64::MAX) },
        StateExport::Table(7),
        StateExport::Function(7),
        StateExport::DroppedData(7),
        StateExport::DroppedElem(7),
        StateExport::Start,
    ];
    for export in exports {
        assert_eq!(parse_export(&export.to_string()), Some(export));
    }
    for other in [
        "memory",
        "__wasm_jobs_",
        "__wasm_jobs_other_1",
        "__wasm_jobs_global_",
        "__wasm_jobs_global_01",
        "__wasm_jobs_global_+1",
        "__wasm_jobs_global_1_2",
        "__wasm_jobs_global_4294967296",
        "__wasm_jobs_memory_1_2",
        "__wasm_jobs_memory_1_3_2",
        "__wasm_jobs_memory_1_2_3_4",
        "__wasm_jobs_memory_1_2_18446744073709551616",
        "__wasm_jobs_dropped_1",
        "__wasm_jobs_layout_1",
        "__wasm_jobs_layout_1_30313233343536373839616263646566a",
        "__wasm_jobs_layout_1_3031323334353637383961626364656A",
        "__wasm_jobs_start_1",
    ] {
        assert_eq!(parse_export(other), None, "{other}");
    }
}
