//! What checks carry around the call of the host comes back, case by case.

use crate::run::wasm;
use crate::stopped::Stops;
use std::sync::atomic::Ordering::Relaxed;
use wasm_jobs_transform::{Options, transform_with};
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
