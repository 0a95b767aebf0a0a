//! Checkpoints: a guest between two calls as data, and back.

mod adversity;
#[cfg(feature = "component-model")]
mod apart;
mod bytes;
mod configurations;
mod forged_modules;
mod growth;
mod looking_on;
mod memories;
pub(super) mod random;
pub(in crate::guest) mod references;
mod refusals;
mod sizes;
mod starts;
mod threads;
#[cfg(feature = "macros")]
mod wrapped;

use super::ENGINE;
use std::sync::LazyLock;
use wasm_jobs::wasmtime::{Engine, Linker, WasmParams, WasmResults};
use wasm_jobs::{Checkpoint, EngineOptions, Error, Instance, PreparedPre, prepare};

/// Engines of a pool give a guest one memory and one table. This one gives it as many as it likes.
static ON_DEMAND: LazyLock<Engine> = LazyLock::new(|| {
    wasm_jobs::engine(&EngineOptions::default().on_demand()).expect("the default options")
});

const MACHINE: &str = include_str!("checkpoints/machine.wat");

/// A guest that counts in a global that it does not export.
const COUNTER: &str = r#"(module $counter
    (global $n (mut i32) (i32.const 0))
    (func (export "next") (result i32)
        (global.set $n (i32.add (global.get $n) (i32.const 1)))
        (global.get $n))
    (func (export "next_and_trap")
        (global.set $n (i32.add (global.get $n) (i32.const 1)))
        unreachable))"#;

fn linked<S: Send + 'static>(engine: &Engine, text: &str) -> Result<PreparedPre<S>, Error> {
    let module = prepare(engine, wat::parse_str(text).expect("the text of a module"))?;
    let mut linker = Linker::new(engine);
    linker.func_wrap("env", "call", || 7_i32)?;
    module.instantiate_pre(&linker)
}

fn on_demand() -> Engine {
    ON_DEMAND.clone()
}

/// What is [`linked`], if it cannot fail.
fn pre<S: Send + 'static>(engine: &Engine, text: &str) -> PreparedPre<S> {
    linked(engine, text).expect("the guest can be prepared and linked")
}

fn machine() -> Result<Instance<()>, Error> {
    Instance::new(&linked(&ON_DEMAND, MACHINE)?, ())
}

fn counter() -> Result<Instance<()>, Error> {
    Instance::new(&linked(&ENGINE, COUNTER)?, ())
}

fn call<P, R, S>(instance: &Instance<S>, name: &str, params: P) -> Result<R, Error>
where
    P: WasmParams + Sync + 'static,
    R: WasmResults + Sync + 'static,
    S: Send + 'static,
{
    instance.call::<P, R>(name, params)?.wait()
}

fn next<S: Send + 'static>(instance: &Instance<S>) -> Result<i32, Error> {
    call(instance, "next", ())
}

#[test]
fn a_guest_goes_back_as_often_as_one_likes_and_in_any_order() -> Result<(), Error> {
    let counter = counter()?;
    let checkpoints: Vec<Checkpoint> = (1..=5)
        .map(|expected| {
            let here = counter.checkpoint()?;
            assert_eq!(next(&counter)?, expected);
            Ok(here)
        })
        .collect::<Result<_, Error>>()?;
    for place in [3, 0, 0, 4, 1, 2, 4] {
        counter.rollback(&checkpoints[place])?;
        assert_eq!(next(&counter)?, place as i32 + 1);
    }
    Ok(())
}

#[test]
fn state_of_every_kind_comes_back() -> Result<(), Error> {
    let machine = machine()?;
    let here = machine.checkpoint()?;
    call::<_, (), _>(&machine, "set_numbers", 11)?;
    call::<_, (), _>(&machine, "set_function", 2)?;
    call::<_, (), _>(&machine, "put_function", (3, 1))?;
    call::<_, (), _>(&machine, "store", (70_000, 5))?;
    call::<_, (), _>(&machine, "store", (8, 5))?;
    call::<_, (), _>(&machine, "drop", ())?;
    call::<_, (), _>(&machine, "drop_functions", ())?;
    let there = machine.checkpoint()?;

    machine.rollback(&here)?;
    let numbers: (i32, i64, f32, f64, i64) = call(&machine, "numbers", ())?;
    assert_eq!(numbers, (1, 2, 3.0, 4.0, 6));
    assert_eq!(call::<_, i32, _>(&machine, "load", 70_000)?, i32::from_le_bytes(*b"what"));
    assert_eq!(call::<_, i32, _>(&machine, "load", 8)?, 0);
    assert_eq!(call::<_, i32, _>(&machine, "ask", 3)?, -1);
    assert_eq!(call::<_, i32, _>(&machine, "ask_global", ())?, 1);
    call::<_, (), _>(&machine, "init", (100, 0, 4))?;
    call::<_, (), _>(&machine, "init_functions", (1, 1, 1))?;
    assert_eq!(call::<_, i32, _>(&machine, "ask", 1)?, 7, "an imported function");

    machine.rollback(&there)?;
    let numbers: (i32, i64, f32, f64, i64) = call(&machine, "numbers", ())?;
    assert_eq!(numbers, (11, 11, 11.0, 11.0, 11 << 32 | 11));
    assert_eq!(call::<_, i32, _>(&machine, "load", 70_000)?, 5);
    assert_eq!(call::<_, i32, _>(&machine, "load", 8)?, 5);
    assert_eq!(call::<_, i32, _>(&machine, "ask", 3)?, 1);
    assert_eq!(call::<_, i32, _>(&machine, "ask_global", ())?, 2);
    let dropped = call::<_, (), _>(&machine, "init", (100, 0, 4));
    assert!(matches!(dropped, Err(Error::Trap(_))), "{dropped:?}");
    Ok(())
}

#[test]
fn a_trap_can_be_undone() -> Result<(), Error> {
    let counter = counter()?;
    assert_eq!(next(&counter)?, 1);
    let here = counter.checkpoint()?;
    let trap = call::<_, (), _>(&counter, "next_and_trap", ());
    assert!(matches!(trap, Err(Error::Trap(_))), "{trap:?}");
    assert!(matches!(next(&counter), Err(Error::Poisoned)));
    counter.rollback(&here)?;
    assert!(!counter.is_poisoned());
    assert_eq!(next(&counter)?, 2);
    Ok(())
}

#[test]
fn a_twin_goes_on_by_itself() -> Result<(), Error> {
    let pre = linked(&ENGINE, COUNTER)?;
    let counter = Instance::new(&pre, ())?;
    assert_eq!(next(&counter)?, 1);
    let here = counter.checkpoint()?;
    let twin = here.instantiate(&pre, ())?;
    assert_eq!((next(&twin)?, next(&twin)?), (2, 3));
    assert_eq!(next(&counter)?, 2);
    drop(counter);
    let third = here.instantiate(&pre, ())?;
    assert_eq!(next(&third)?, 2);
    twin.rollback(&third.checkpoint()?)?;
    assert_eq!(next(&twin)?, 3, "a checkpoint of another instance");
    Ok(())
}

#[test]
fn the_state_of_the_host_is_saved_if_that_is_asked_for() -> Result<(), Error> {
    let instance = Instance::new(&linked(&ENGINE, COUNTER)?, vec![1])?;
    let (with, without) = (instance.checkpoint_with_state()?, instance.checkpoint()?);
    assert_eq!(with.state(), &[1]);
    next(&instance)?;
    instance.store()?.data_mut().push(2);
    instance.rollback(&without)?;
    assert_eq!(instance.store()?.data(), &[1, 2]);
    instance.rollback_with_state(&with)?;
    assert_eq!(instance.store()?.data(), &[1]);
    assert_eq!(next(&instance)?, 1);
    instance.rollback_with_state(&without.with_state(vec![9]))?;
    assert_eq!(instance.store()?.data(), &[9]);
    Ok(())
}

#[test]
fn a_checkpoint_goes_to_other_threads() -> Result<(), Error> {
    let pre = linked(&ENGINE, COUNTER)?;
    let here = Instance::new(&pre, ())?.checkpoint()?;
    let hash = here.hash();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let twin = here.clone().instantiate(&pre, ()).expect("the pool has room");
                assert_eq!(twin.checkpoint().expect("there is no call").hash(), hash);
                assert_eq!(next(&twin).expect("the guest returns"), 1);
            });
        }
    });
    Ok(())
}

#[test]
fn guests_in_the_same_state_have_the_same_hash() -> Result<(), Error> {
    let (one, other) = (machine()?, machine()?);
    let hashes =
        || -> Result<_, Error> { Ok((one.checkpoint()?.hash(), other.checkpoint()?.hash())) };
    let (first, its_twin) = hashes()?;
    assert_eq!(first, its_twin);
    call::<_, (), _>(&one, "store", (40_000, 5))?;
    let (changed, same) = hashes()?;
    assert_eq!(same, first);
    assert_ne!(changed, first);
    // The same contents at another place.
    call::<_, (), _>(&other, "store", (48_192, 5))?;
    assert_ne!(hashes()?.1, changed);
    call::<_, (), _>(&other, "store", (48_192, 0))?;
    call::<_, (), _>(&other, "store", (40_000, 5))?;
    assert_eq!(hashes()?.1, changed);
    // A page is again as in the beginning.
    call::<_, (), _>(&one, "store", (40_000, 0))?;
    assert_eq!(hashes()?.0, first);
    for (name, value) in [("set_function", 2), ("set_numbers", 3)] {
        let before = hashes()?.0;
        call::<_, (), _>(&one, name, value)?;
        assert_ne!(hashes()?.0, before, "{name}");
    }
    let before = hashes()?.0;
    call::<_, (), _>(&one, "put_function", (2, 1))?;
    assert_ne!(hashes()?.0, before, "a table");
    let before = hashes()?.0;
    call::<_, (), _>(&one, "drop", ())?;
    assert_ne!(hashes()?.0, before, "a segment");
    let before = hashes()?.0;
    assert_eq!(call::<_, i32, _>(&one, "grow", 1)?, 2);
    assert_ne!(hashes()?.0, before, "a size");
    Ok(())
}
