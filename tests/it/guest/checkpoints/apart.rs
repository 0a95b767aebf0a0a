//! Engines, and the modules of components, that have nothing to do with each other.

use super::{call, on_demand};
use crate::support::block_on;
use wasm_jobs::wasmtime::component::{Component, Linker as ComponentLinker};
use wasm_jobs::wasmtime::{Linker, Store};
use wasm_jobs::{EngineOptions, Instance, engine, prepare};

fn component_of(modules: &[Vec<u8>]) -> Vec<u8> {
    // A component's binary: header, core module sections (id 1), exports (id 11) of sort core module.
    let mut out = b"\0asm\x0d\0\x01\0".to_vec();
    let leb = |mut n: usize| {
        let mut bytes = vec![];
        loop {
            let byte = (n & 0x7f) as u8;
            n >>= 7;
            if n == 0 {
                bytes.push(byte);
                break bytes;
            }
            bytes.push(byte | 0x80);
        }
    };
    for module in modules {
        out.push(1);
        out.extend(leb(module.len()));
        out.extend(module);
    }
    let mut exports = leb(modules.len());
    for n in 0..modules.len() {
        exports.extend([0x00, 2, b'm', b'0' + n as u8, 0x00, 0x11, n as u8, 0x00]);
    }
    out.push(11);
    out.extend(leb(exports.len()));
    out.extend(exports);
    out
}

#[test]
fn two_modules_of_one_component_are_not_confused() {
    let texts = [
        r#"(module (global $a (mut i32) (i32.const 1)) (func (export "get") (result i32) (global.get $a))
            (func (export "set") (param i32) (global.set $a (local.get 0))))"#,
        r#"(module (memory 1) (global $z (mut i64) (i64.const 1)) (global $a (mut i32) (i32.const 5)) (func (export "get") (result i32) (global.get $a))
            (func (export "set") (param i32) (global.set $a (local.get 0))))"#,
    ];
    // What `prepare` gives, as bytes.
    let modules: Vec<Vec<u8>> = texts
        .iter()
        .map(|text| wasm_jobs::transform::transform(&wat::parse_str(text).unwrap()).unwrap().wasm)
        .collect();
    let engine = on_demand();
    let component = Component::new(&engine, component_of(&modules)).unwrap();
    let mut store = Store::new(&engine, ());
    let of =
        block_on(ComponentLinker::new(&engine).instantiate_async(&mut store, &component)).unwrap();
    let modules = ["m0", "m1"].map(|name| of.get_module(&mut store, name).unwrap());
    let instances = modules.map(|module| {
        let pre = Linker::<()>::new(&engine).instantiate_pre(&module).unwrap();
        Instance::new(&pre, ()).unwrap()
    });
    for (instance, expected) in instances.iter().zip([1, 5]) {
        let here = instance.checkpoint().unwrap();
        call::<_, (), _>(instance, "set", 99).unwrap();
        instance.rollback(&here).unwrap();
        assert_eq!(call::<_, i32, _>(instance, "get", ()).unwrap(), expected);
    }
}

#[test]
fn engines_that_are_gone_keep_no_address_space() {
    // Each reserves 8 GiB and more for an instance. Many more engines than the address space has room for come and go.
    for _ in 0..12 {
        let engine = engine(&EngineOptions::default().pooling(3000)).unwrap();
        let module = prepare(&engine, wat::parse_str("(module (memory 1))").unwrap()).unwrap();
        let pre = module.instantiate_pre(&Linker::new(&engine)).unwrap();
        drop(Instance::new(&pre, ()).unwrap());
    }
}
