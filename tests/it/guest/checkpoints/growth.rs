//! Rolling back to before a memory or a table has grown. Neither can shrink, so the guest gets a new store.

use super::super::ENGINE;
use super::{MACHINE, ON_DEMAND, call, linked};
use wasm_jobs::wasmtime::Linker;
use wasm_jobs::{EngineOptions, Error, Instance, InstanceOptions, engine, prepare};

/// A guest with one memory, as guests of a pool have.
const GROWER: &str = r#"(module
    (memory 1)
    (func (export "grow") (param $pages i32) (result i32) (memory.grow (local.get $pages)))
    (func (export "size") (result i32) (memory.size))
    (func (export "store") (param $at i32) (param $value i32)
        (i32.store (local.get $at) (local.get $value)))
    (func (export "load") (param $at i32) (result i32) (i32.load (local.get $at))))"#;

#[test]
fn memory_that_has_grown_is_small_again() -> Result<(), Error> {
    // The pool has room for one guest.
    let engine = engine(&EngineOptions::default().pooling(1))?;
    let module = prepare(&engine, wat::parse_str(GROWER).expect("the text of a module"))?;
    let pre = module.instantiate_pre(&Linker::new(&engine))?;
    let instance = Instance::new(&pre, String::from("the host's"))?;
    let size = instance.func::<(), i32>("size")?;
    call::<_, (), _>(&instance, "store", (8, 5))?;
    let small = instance.checkpoint()?;
    assert_eq!(call::<_, i32, _>(&instance, "grow", 3)?, 1);
    call::<_, (), _>(&instance, "store", (8, 6))?;
    call::<_, (), _>(&instance, "store", (200_000, 7))?;
    let large = instance.checkpoint()?;
    for _ in 0..3 {
        instance.rollback(&small)?;
        assert_eq!(size.call(())?.wait()?, 1, "a function that was looked up before");
        assert_eq!(call::<_, i32, _>(&instance, "load", 8)?, 5);
        let beyond = instance.try_call::<_, i32>("load", 200_000)?.wait()?;
        assert!(beyond.is_err(), "{beyond:?}");
        assert_eq!(instance.store()?.data(), "the host's");
        instance.rollback(&large)?;
        assert_eq!(size.call(())?.wait()?, 4);
        assert_eq!(call::<_, i32, _>(&instance, "load", 8)?, 6);
        assert_eq!(call::<_, i32, _>(&instance, "load", 200_000)?, 7);
        assert_eq!(instance.checkpoint()?.hash(), large.hash());
    }
    Ok(())
}

#[test]
fn a_table_that_has_grown_is_small_again() -> Result<(), Error> {
    let machine = Instance::new(&linked(&ON_DEMAND, MACHINE)?, ())?;
    let here = machine.checkpoint()?;
    assert_eq!(call::<_, i32, _>(&machine, "grow_functions", (10, 2))?, 4);
    assert_eq!(call::<_, i32, _>(&machine, "ask", 13)?, 2);
    let large = machine.checkpoint()?;
    machine.rollback(&here)?;
    assert_eq!(call::<_, i32, _>(&machine, "functions", ())?, 4);
    machine.rollback(&large)?;
    assert_eq!(call::<_, i32, _>(&machine, "ask", 13)?, 2);
    Ok(())
}

#[test]
fn the_fuel_stays_what_it_is() -> Result<(), Error> {
    let engine = engine(&EngineOptions::default().pooling(1).fuel(true))?;
    let module = prepare(&engine, wat::parse_str(GROWER).expect("the text of a module"))?;
    let instance = Instance::new(&module.instantiate_pre(&Linker::new(&engine))?, ())?;
    instance.store()?.set_fuel(1_000)?;
    let here = instance.checkpoint()?;
    call::<_, i32, _>(&instance, "grow", 1)?;
    let left = instance.store()?.fuel()?;
    assert!(left < 1_000);
    instance.rollback(&here)?;
    assert_eq!(instance.store()?.fuel()?, left);
    assert_eq!(instance.fuel_remaining()?, left);
    Ok(())
}

#[test]
fn a_guest_gets_no_more_than_its_limits_allow() -> Result<(), Error> {
    let pre = linked(&ENGINE, GROWER)?;
    let large = Instance::new(&pre, ())?;
    call::<_, i32, _>(&large, "grow", 9)?;
    let large = large.checkpoint()?;

    let options = || InstanceOptions::default().memory(5 * 65_536);
    let refused = large.instantiate_with_options(&pre, options(), || ());
    assert!(matches!(refused, Err(Error::Wasmtime(_))), "{refused:?}");

    let small = Instance::with_options(&pre, options(), || ())?;
    call::<_, (), _>(&small, "store", (8, 5))?;
    let here = small.checkpoint()?;
    let refused = small.rollback(&large);
    assert!(matches!(refused, Err(Error::Wasmtime(_))), "{refused:?}");
    assert!(small.is_poisoned());
    small.rollback(&here)?;
    assert_eq!(call::<_, i32, _>(&small, "load", 8)?, 5);
    Ok(())
}

#[test]
fn the_limits_hold_after_a_rollback() -> Result<(), Error> {
    let options = InstanceOptions::default().memory(3 * 65_536);
    let instance = Instance::with_options(&linked(&ENGINE, GROWER)?, options, || ())?;
    let here = instance.checkpoint()?;
    for _ in 0..3 {
        assert_eq!(call::<_, i32, _>(&instance, "grow", 2)?, 1);
        assert_eq!(call::<_, i32, _>(&instance, "grow", 1)?, -1);
        instance.rollback(&here)?;
    }
    let twin = here.instantiate_with_options(
        &linked(&ENGINE, GROWER)?,
        InstanceOptions::default().memory(2 * 65_536),
        || (),
    )?;
    assert_eq!(call::<_, i32, _>(&twin, "grow", 2)?, -1);
    assert_eq!(call::<_, i32, _>(&twin, "grow", 1)?, 1);
    Ok(())
}

#[test]
fn a_guest_that_a_failed_reset_has_left_comes_back() -> Result<(), Error> {
    let engine = engine(&EngineOptions::default().pooling(1))?;
    let module = prepare(&engine, wat::parse_str(GROWER).expect("the text of a module"))?;
    let pre = module.instantiate_pre(&Linker::new(&engine))?;
    let instance = Instance::with_options(&pre, InstanceOptions::default(), || 1)?;
    call::<_, (), _>(&instance, "store", (8, 5))?;
    let here = instance.checkpoint()?;
    // Another module that cannot be made: it traps at once.
    let bad = wat::parse_str("(module (func $start unreachable) (start $start))");
    let bad = wasm_jobs::wasmtime::Module::new(&engine, bad.expect("the text of a module"))?;
    let bad = Linker::new(&engine).instantiate_pre(&bad)?;
    assert!(matches!(instance.reset_to(&bad), Err(Error::Trap(_))));
    let refused = instance.rollback(&here);
    assert!(matches!(refused, Err(Error::NotPrepared { .. })), "{refused:?}");
    instance.reset_to(&pre)?;
    instance.rollback(&here)?;
    assert_eq!(call::<_, i32, _>(&instance, "load", 8)?, 5);
    Ok(())
}
