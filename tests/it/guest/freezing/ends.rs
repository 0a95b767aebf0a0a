//! How thawed calls end that do not just return, and what a frozen call shows of its guest.

use super::{DEEP, Log, When, begin, deep, linked, run};
use wasm_jobs::wasmtime::Trap;
use wasm_jobs::{EngineOptions, Error, Frozen, Instance, InstanceOptions, Step};

#[test]
fn an_exception_that_nobody_catches_ends_the_call_as_ever() {
    let text = r#"(module (import "env" "yield" (func $yield)) (tag $t (param i32))
        (func $f (call $yield) (throw $t (i32.const 1)))
        (func (export "run") (call $f)))"#;
    let pre = linked(&DEEP, text).unwrap();
    for when in [When::Never, When::Always] {
        let (result, ..) = run::<()>(&pre, when).unwrap();
        let error = result.expect_err("nobody catches it");
        assert!(error.to_string().contains("exception"), "{when:?}: {error}");
    }
}

#[test]
fn a_trap_after_the_thaw_ends_the_call_as_ever() {
    let text = r#"(module (import "env" "yield" (func $yield))
        (func $f (call $yield) (unreachable))
        (func (export "run") (call $f)))"#;
    let pre = linked(&DEEP, text).unwrap();
    for when in [When::Never, When::Always] {
        let (result, ..) = run::<()>(&pre, when).unwrap();
        let trap = result.expect_err("it traps");
        let is_unreachable = matches!(&trap, Error::Trap(trap)
            if trap.code() == Trap::UnreachableCodeReached);
        assert!(is_unreachable, "{when:?}: {trap:?}");
    }
}

#[test]
fn a_call_with_its_trap_as_a_value() -> Result<(), Error> {
    let text = r#"(module
        (import "env" "yield" (func $yield))
        (func (export "run") (param i32) (result i32)
            (call $yield)
            (if (local.get 0) (then (unreachable)))
            (i32.const 6)))"#;
    let pre = linked(&DEEP, text)?;
    let instance = Instance::with_options(&pre, InstanceOptions::default(), Log::default)?;
    for traps in [0, 1] {
        instance.reset()?;
        let mut call = instance.try_call::<i32, i32>("run", traps)?;
        assert_eq!(call.resume()?, Step::Yielded);
        let bytes = call.freeze()?.to_bytes();
        let frozen = Frozen::<i32>::from_bytes(&pre, &bytes)?;
        let result = frozen.thaw(&pre, InstanceOptions::default(), Log::default())?.wait();
        match traps {
            0 => assert_eq!(result?, 6),
            _ => assert!(matches!(result, Err(Error::Trap(_))), "{result:?}"),
        }
    }
    Ok(())
}

#[test]
fn the_fuel_of_the_call_runs_out_after_the_thaw() -> Result<(), Error> {
    let text = r#"(module
        (import "env" "yield" (func $yield))
        (func (export "run") (call $yield) (loop $again (br $again))))"#;
    let pre = linked(&deep(&EngineOptions::default().fuel(true)), text)?;
    let options = InstanceOptions::default().fuel(5_000);
    let instance = Instance::with_options(&pre, options.clone(), Log::default)?;
    let mut call = instance.call::<(), ()>("run", ())?;
    let frozen = call.freeze()?;
    let (there, mut call) = frozen.thaw_with_instance(&pre, options, Log::default())?;
    match call.wait() {
        Err(Error::Trap(trap)) => assert_eq!(trap.code(), Trap::OutOfFuel),
        other => panic!("{other:?}"),
    }
    assert_eq!(there.fuel_remaining()?, 0);
    Ok(())
}

/// Stores 1, yields, stores 2, yields, stores 3. `load` gives what is there.
const STORES: &str = r#"(module
    (import "env" "yield" (func $yield))
    (memory (export "memory") 1 8)
    (func (export "run") (result i32)
        (i32.store (i32.const 8) (i32.const 1)) (call $yield)
        (i32.store (i32.const 8) (i32.const 2)) (call $yield)
        (drop (memory.grow (i32.const 3)))
        (i32.store (i32.const 8) (i32.const 3)) (call $yield)
        (memory.size))
    (func (export "load") (result i32) (i32.load (i32.const 8))))"#;

#[test]
fn the_guest_of_a_frozen_call_is_a_checkpoint() -> Result<(), Error> {
    let pre = linked(&DEEP, STORES)?;
    let (instance, mut call) = begin::<_, i32>(&pre, "run", ())?;
    let mut guests = Vec::new();
    for stored in 1..=3 {
        let frozen = call.freeze()?;
        let guest = frozen.guest();
        let there = guest.instantiate(&pre, Log::default())?;
        assert_eq!(there.call::<(), i32>("load", ())?.wait()?, stored);
        assert_eq!(there.checkpoint()?.hash(), guest.hash());
        guests.push((guest, stored));
        call = frozen.thaw(&pre, InstanceOptions::default(), Log::default())?;
        // It yields once more, and then goes on.
        assert_eq!(call.resume()?, Step::Yielded);
        if stored < 3 {
            assert_eq!(call.resume()?, Step::Yielded);
        }
    }
    assert_eq!(call.wait()?, 4);
    for (guest, stored) in guests {
        instance.rollback(&guest)?;
        assert_eq!(instance.call::<(), i32>("load", ())?.wait()?, stored);
    }
    Ok(())
}

#[test]
fn the_limits_are_those_of_the_instance_in_which_it_goes_on() -> Result<(), Error> {
    let pre = linked(&DEEP, STORES)?;
    let (_instance, mut call) = begin::<_, i32>(&pre, "run", ())?;
    let small = call.freeze()?;
    let page = 65_536;
    let limited = |pages: usize| InstanceOptions::default().memory(pages * page);
    // The guest asks for three pages more.
    for (pages, expected) in [(8, 4), (4, 4), (3, 1)] {
        let mut call = small.thaw(&pre, limited(pages), Log::default())?;
        assert_eq!(call.wait()?, expected, "of {pages} pages");
    }
    // One that has grown does not fit into less.
    let mut call = small.thaw(&pre, limited(4), Log::default())?;
    let mut large = call.freeze()?;
    for _ in 0..2 {
        call = large.thaw(&pre, limited(4), Log::default())?;
        assert_eq!((call.resume()?, call.resume()?), (Step::Yielded, Step::Yielded));
        large = call.freeze()?;
    }
    assert!(large.thaw(&pre, limited(3), Log::default()).is_err());
    assert_eq!(large.thaw(&pre, limited(4), Log::default())?.wait()?, 4);
    Ok(())
}

#[test]
fn after_a_reset_an_instance_of_a_thawed_call_is_as_any_other() -> Result<(), Error> {
    let pre = linked(&DEEP, STORES)?;
    let (_instance, mut call) = begin::<_, i32>(&pre, "run", ())?;
    let frozen = call.freeze()?;
    let (there, mut call) =
        frozen.thaw_with_instance(&pre, InstanceOptions::default(), Log::default())?;
    assert_eq!(call.wait()?, 4);
    let after = there.checkpoint()?;
    assert_eq!(there.call::<(), i32>("load", ())?.wait()?, 3);
    there.reset_with(Log::default())?;
    assert_eq!(there.call::<(), i32>("load", ())?.wait()?, 0);
    let mut call = there.call::<(), i32>("run", ())?;
    let frozen = call.freeze()?;
    assert_eq!(frozen.thaw(&pre, InstanceOptions::default(), Log::default())?.wait()?, 4);
    there.rollback(&after)?;
    assert_eq!(there.call::<(), i32>("load", ())?.wait()?, 3);
    assert_eq!(there.checkpoint()?.hash(), after.hash());
    Ok(())
}
