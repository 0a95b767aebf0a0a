//! References in globals and tables: to functions, and to objects of the host's.

use super::super::ENGINE;
use super::{MACHINE, ON_DEMAND, call, linked};
use crate::support::block_on;
use std::any::Any;
use wasm_jobs::wasmtime::{self, ExternRef, Func, Rooted, StoreContextMut};
use wasm_jobs::{Checkpoint, Error, Instance, InstanceOptions, RefCodec};

/// Texts of the host's.
pub(in crate::guest) struct Texts;

impl<S: 'static> RefCodec<S> for Texts {
    fn encode(&self, object: &(dyn Any + Send + Sync)) -> Option<Vec<u8>> {
        object.downcast_ref::<String>().map(|text| text.clone().into_bytes())
    }

    fn decode(
        &self,
        bytes: &[u8],
        store: StoreContextMut<'_, S>,
    ) -> wasmtime::Result<Rooted<ExternRef>> {
        ExternRef::new(store, String::from_utf8(bytes.to_vec())?)
    }
}

/// Has the machine keep an object.
fn keep<T: Any + Send + Sync>(machine: &Instance<()>, at: i32, object: T) -> Result<(), Error> {
    let mut store = machine.store()?;
    let instance = store.instance()?;
    let keep =
        instance.get_typed_func::<(i32, Option<Rooted<ExternRef>>), ()>(&mut store, "keep")?;
    let object = ExternRef::new(&mut store, object)?;
    Ok(block_on(keep.call_async(&mut store, (at, Some(object))))?)
}

fn kept(machine: &Instance<()>, at: i32) -> Result<Option<String>, Error> {
    let mut store = machine.store()?;
    let instance = store.instance()?;
    let kept = instance.get_typed_func::<i32, Option<Rooted<ExternRef>>>(&mut store, "kept")?;
    let object = block_on(kept.call_async(&mut store, at))?;
    let Some(object) = object else { return Ok(None) };
    let object = object.data(&store)?.expect("an object of the host's");
    Ok(object.downcast_ref::<String>().cloned())
}

#[test]
fn objects_of_the_host_come_back_by_a_codec() -> Result<(), Error> {
    let pre = linked(&ON_DEMAND, MACHINE)?;
    let machine = Instance::new(&pre, ())?;
    machine.set_ref_codec(Texts)?;
    keep(&machine, 1, String::from("a texture"))?;
    let here = machine.checkpoint()?;
    keep(&machine, 1, String::from("another one"))?;
    keep(&machine, 0, String::from("and one more"))?;
    machine.rollback(&here)?;
    assert_eq!(kept(&machine, 1)?.as_deref(), Some("a texture"));
    assert_eq!(kept(&machine, 0)?, None);

    let loaded = Checkpoint::from_bytes(&pre, &here.to_bytes())?;
    assert_eq!(loaded.hash(), here.hash());
    let options = InstanceOptions::default();
    let twin = loaded.instantiate_with_ref_codec(&pre, options, || (), Texts)?;
    assert_eq!(kept(&twin, 1)?.as_deref(), Some("a texture"));
    keep(&twin, 0, String::from("the twin's"))?;
    let its = twin.checkpoint()?;
    machine.rollback(&its)?;
    assert_eq!(kept(&machine, 0)?.as_deref(), Some("the twin's"));

    let without = here.instantiate(&pre, ());
    assert!(matches!(without, Err(Error::CannotRestore { .. })), "{without:?}");
    Ok(())
}

#[test]
fn what_the_codec_does_not_know_is_named() -> Result<(), Error> {
    let machine = Instance::new(&linked(&ON_DEMAND, MACHINE)?, ())?;
    keep(&machine, 1, String::from("a texture"))?;
    let refused = machine.checkpoint().expect_err("there is no codec");
    assert!(refused.to_string().starts_with("element 1 of table 1 cannot be saved: "), "{refused}");
    machine.set_ref_codec(Texts)?;
    machine.checkpoint()?;
    keep(&machine, 0, 5_u8)?;
    let refused = machine.checkpoint().expect_err("the codec knows texts alone");
    assert!(refused.to_string().starts_with("element 0 of table 1 "), "{refused}");
    assert_eq!(kept(&machine, 1)?.as_deref(), Some("a texture"), "the guest is as it was");
    Ok(())
}

#[test]
fn a_function_of_another_instance_is_refused() -> Result<(), Error> {
    let text = r#"(module
        (table (export "table") 2 funcref)
        (global (export "global") (mut funcref) (ref.null func))
        (func (export "own")))"#;
    let instance = Instance::new(&linked(&ENGINE, text)?, ())?;
    let before = instance.checkpoint()?;
    let mut store = instance.store()?;
    let stranger = Func::wrap(&mut store, || ());
    let own = store.instance()?.get_func(&mut store, "own");
    store.table("table")?.set(&mut store, 0, own.into())?;
    drop(store);
    let own = instance.checkpoint()?;
    assert_ne!(own.hash(), before.hash());
    let mut store = instance.store()?;
    store.table("table")?.set(&mut store, 1, Some(stranger).into())?;
    drop(store);
    let refused = instance.checkpoint().expect_err("it has no number");
    assert!(refused.to_string().starts_with("element 1 of table 0 cannot be saved"), "{refused}");
    instance.rollback(&own)?;
    let mut table = instance.table("table")?;
    assert!(table.get(0)?.func().is_some());
    assert!(table.get(1)?.func().is_none());
    drop(table);
    let mut store = instance.store()?;
    store.global("global")?.set(&mut store, Some(stranger).into())?;
    drop(store);
    let refused = instance.checkpoint().expect_err("it has no number");
    assert!(refused.to_string().starts_with("global 0 cannot be saved"), "{refused}");
    Ok(())
}

#[test]
fn an_exception_is_refused_by_its_place() -> Result<(), Error> {
    let text = r#"(module
        (tag $t (param i32))
        (global $kept (mut exnref) (ref.null exn))
        (func (export "catch")
            (global.set $kept
                (block $caught (result exnref)
                    (try_table (catch_all_ref $caught) (throw $t (i32.const 1)))
                    unreachable)))
        (func (export "forget") (global.set $kept (ref.null exn))))"#;
    let instance = Instance::new(&linked(&ENGINE, text)?, ())?;
    let here = instance.checkpoint()?;
    call::<_, (), _>(&instance, "catch", ())?;
    let refused = instance.checkpoint().expect_err("an exception has no name");
    assert!(refused.to_string().starts_with("global 0 cannot be saved"), "{refused}");
    instance.rollback(&here)?;
    assert_eq!(instance.checkpoint()?.hash(), here.hash());
    Ok(())
}

#[test]
fn typed_references_that_are_never_null() -> Result<(), Error> {
    let text = r#"(module
        (type $f (func (result i32)))
        (table $t 2 (ref $f) (ref.func $one))
        (global $g (mut (ref $f)) (ref.func $one))
        (func $one (type $f) (i32.const 1))
        (func $two (type $f) (i32.const 2))
        (func (export "change") (result i32)
            (table.set $t (i32.const 1) (ref.func $two))
            (global.set $g (ref.func $two))
            (table.grow $t (ref.func $two) (i32.const 2)))
        (func (export "look") (result i32 i32 i32)
            (call_ref $f (table.get $t (i32.const 1))) (call_ref $f (global.get $g)) (table.size $t))
        (elem declare func $one $two))"#;
    let pre = linked(&ENGINE, text)?;
    let instance = Instance::new(&pre, ())?;
    let here = instance.checkpoint()?;
    call::<_, i32, _>(&instance, "change", ())?;
    let there = instance.checkpoint()?;
    instance.rollback(&here)?;
    assert_eq!(call::<_, (i32, i32, i32), _>(&instance, "look", ())?, (1, 1, 2));
    let there = Checkpoint::from_bytes(&pre, &there.to_bytes())?;
    instance.rollback(&there)?;
    assert_eq!(call::<_, (i32, i32, i32), _>(&instance, "look", ())?, (2, 2, 4));
    Ok(())
}
