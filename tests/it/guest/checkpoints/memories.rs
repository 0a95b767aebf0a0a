//! Memories of all kinds, and their initial contents.

use super::super::ENGINE;
use super::{ON_DEMAND, call, linked};
use wasm_jobs::wasmtime::{Linker, Memory, MemoryType, Store};
use wasm_jobs::{Checkpoint, Error, Instance, prepare};

fn comes_back(engine: &wasm_jobs::wasmtime::Engine, text: &str) -> Result<(), Error> {
    let pre = linked::<()>(engine, text)?;
    let instance = Instance::new(&pre, ())?;
    let begin: i64 = call(&instance, "look", ())?;
    let first = instance.checkpoint()?;
    call::<_, (), _>(&instance, "change", ())?;
    let changed: i64 = call(&instance, "look", ())?;
    assert_ne!(begin, changed);
    let second = instance.checkpoint()?;
    let bytes = second.to_bytes();
    instance.rollback(&first)?;
    assert_eq!(call::<_, i64, _>(&instance, "look", ())?, begin);
    instance.rollback(&second)?;
    assert_eq!(call::<_, i64, _>(&instance, "look", ())?, changed);
    instance.reset_with(())?;
    assert_eq!(call::<_, i64, _>(&instance, "look", ())?, begin);
    instance.rollback(&Checkpoint::from_bytes(&pre, &bytes)?)?;
    assert_eq!(call::<_, i64, _>(&instance, "look", ())?, changed);
    let twin = first.instantiate(&pre, ())?;
    assert_eq!(call::<_, i64, _>(&twin, "look", ())?, begin);
    Ok(())
}

#[test]
fn one_of_64_bits() -> Result<(), Error> {
    comes_back(
        &ENGINE,
        r#"(module
            (memory i64 1)
            (data (i64.const 20000) "\01\02\03\04\05\06\07\08")
            (func (export "look") (result i64) (i64.load (i64.const 20000)))
            (func (export "change") (i64.store (i64.const 20004) (i64.const -3))))"#,
    )
}

#[test]
fn several() -> Result<(), Error> {
    comes_back(
        &ON_DEMAND,
        r#"(module
            (memory $a 1) (memory $b 2)
            (data (memory $b) (i32.const 66000) "\01\02\03\04\05\06\07\08")
            (func (export "look") (result i64)
                (i64.add (i64.load $a (i32.const 8)) (i64.load $b (i32.const 66000))))
            (func (export "change")
                (i64.store $a (i32.const 8) (i64.const 77))
                (i64.store $b (i32.const 66000) (i64.const 700))))"#,
    )
}

#[test]
fn one_without_contents() -> Result<(), Error> {
    comes_back(
        &ENGINE,
        r#"(module
            (memory 1)
            (func (export "look") (result i64) (i64.load (i32.const 65528)))
            (func (export "change") (i64.store (i32.const 65528) (i64.const 1))))"#,
    )
}

#[test]
fn none() -> Result<(), Error> {
    comes_back(
        &ENGINE,
        r#"(module
            (global $n (mut i64) (i64.const 5))
            (func (export "look") (result i64) (global.get $n))
            (func (export "change") (global.set $n (i64.const 6))))"#,
    )
}

#[test]
fn contents_that_the_guest_sets_to_zero() -> Result<(), Error> {
    comes_back(
        &ENGINE,
        r#"(module
            (memory 4)
            (data (i32.const 100000) "\01\02\03\04\05\06\07\08")
            (func (export "look") (result i64) (i64.load (i32.const 100000)))
            (func (export "change") (i64.store (i32.const 100000) (i64.const 0))))"#,
    )
}

#[test]
fn contents_at_an_address_that_the_host_gives() -> Result<(), Error> {
    let text = r#"(module
        (import "env" "at" (global $at i32))
        (memory 1)
        (data (global.get $at) "here it is")
        (func (export "load") (param $at i32) (result i32) (i32.load (local.get $at)))
        (func (export "store") (param $at i32) (param $value i32)
            (i32.store (local.get $at) (local.get $value))))"#;
    let module = prepare(&ON_DEMAND, wat::parse_str(text).expect("the text of a module"))?;
    let instance = |at: i32| -> Result<_, Error> {
        let mut store = Store::new(&ON_DEMAND, ());
        let ty = wasm_jobs::wasmtime::GlobalType::new(
            wasm_jobs::wasmtime::ValType::I32,
            wasm_jobs::wasmtime::Mutability::Const,
        );
        let global = wasm_jobs::wasmtime::Global::new(&mut store, ty, at.into())?;
        let mut linker = Linker::new(&ON_DEMAND);
        linker.define(&store, "env", "at", global)?;
        Instance::with_store(&module.instantiate_pre(&linker)?, store)
    };
    let here = i32::from_le_bytes(*b"here");
    let (one, other) = (instance(100)?, instance(5_000)?);
    assert_eq!(call::<_, i32, _>(&one, "load", 100)?, here);
    let first = one.checkpoint()?;
    call::<_, (), _>(&one, "store", (100, 3))?;
    one.rollback(&first)?;
    assert_eq!(call::<_, i32, _>(&one, "load", 100)?, here);
    other.rollback(&first)?;
    assert_eq!(call::<_, i32, _>(&other, "load", 100)?, here, "as the other one was");
    assert_eq!(call::<_, i32, _>(&other, "load", 5_000)?, 0);
    assert_eq!(other.checkpoint()?.hash(), first.hash());
    Ok(())
}

#[test]
fn one_of_the_host() -> Result<(), Error> {
    let text = r#"(module
        (import "env" "memory" (memory 1))
        (data (i32.const 8) "guest")
        (func (export "load") (param $at i32) (result i32) (i32.load (local.get $at))))"#;
    let module = prepare(&ON_DEMAND, wat::parse_str(text).expect("the text of a module"))?;
    let mut store = Store::new(&ON_DEMAND, ());
    let memory = Memory::new(&mut store, MemoryType::new(1, Some(2)))?;
    memory.write(&mut store, 100, b"host").expect("the memory has room");
    let mut linker = Linker::new(&ON_DEMAND);
    linker.define(&store, "env", "memory", memory)?;
    let instance = Instance::with_store(&module.instantiate_pre(&linker)?, store)?;
    let here = instance.checkpoint()?;
    memory.write(instance.store()?, 100, b"HOST").expect("the memory has room");
    memory.write(instance.store()?, 8, b"GUEST").expect("the memory has room");
    memory.write(instance.store()?, 60_000, b"x").expect("the memory has room");
    instance.rollback(&here)?;
    for (at, expected) in [(100, *b"host"), (8, *b"gues"), (60_000, [0; 4])] {
        assert_eq!(call::<_, i32, _>(&instance, "load", at)?, i32::from_le_bytes(expected));
    }
    Ok(())
}

#[test]
fn what_a_module_says_of_its_memory_does_not_reach_other_modules() -> Result<(), Error> {
    // A stranger's module claims to be the other one, with other contents. It was not prepared.
    let text = r#"(module
        (memory (export "memory") 1)
        (data (i32.const 4096) "contents")
        (func (export "load") (param $at i32) (result i32) (i32.load (local.get $at))))"#;
    let wasm = wat::parse_str(text).expect("the text of a module");
    let prepared = wasm_jobs::transform::transform(&wasm).expect("the module can be prepared").wasm;
    let forged: Vec<u8> = {
        let at = prepared.windows(8).position(|bytes| bytes == b"contents").expect("it is there");
        let mut forged = prepared.clone();
        forged[at..][..8].copy_from_slice(b"STOLEN!!");
        forged
    };
    let linked = |wasm: &[u8]| -> Result<_, Error> {
        let module = wasm_jobs::wasmtime::Module::new(&ENGINE, wasm)?;
        Ok(Linker::<()>::new(&ENGINE).instantiate_pre(&module)?)
    };
    let _stranger = Instance::new(&linked(&forged)?, ())?;
    let pre = linked(&prepared)?;
    let instance = Instance::new(&pre, ())?;
    let here = instance.checkpoint()?;
    assert_eq!(here.size().bytes, 0, "all is as in the beginning");
    instance.memory("memory")?.data_mut()[4096..4104].copy_from_slice(b"changed!");
    instance.rollback(&here)?;
    assert_eq!(&instance.memory("memory")?.data()[4096..4104], b"contents");
    Ok(())
}
