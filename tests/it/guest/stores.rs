//! Looking into an instance between its calls.

use super::{ENGINE, Host, TOTAL, compile, instance, instance_of, linker};
use crate::support::{Event, Way, workers};
use wasm_jobs::wasmtime::{AsContext, AsContextMut, Ref, Val};
use wasm_jobs::{EngineOptions, Error, Instance, JobPool, Step, engine, wasmtime};

#[test]
fn memory_is_read_and_written_between_calls() -> Result<(), Error> {
    let instance = instance(TOTAL)?;
    instance.call::<i32, i32>("add", 7)?.wait()?;
    {
        let mut store = instance.store()?;
        let memory = store.memory("memory")?;
        assert_eq!(memory.data(&store)[8..12], 7_i32.to_le_bytes());
        memory.write(&mut store, 8, &100_i32.to_le_bytes()).expect("it is inside");
        assert!(memory.write(&mut store, 65_535, b"two").is_err());
    }
    instance.call::<i32, i32>("add", 1)?.wait()?;
    let mut store = instance.store()?;
    let memory = store.memory("memory")?;
    assert_eq!(memory.data(&store)[8..12], 101_i32.to_le_bytes());
    Ok(())
}

#[test]
fn globals_are_read_and_set_between_calls() -> Result<(), Error> {
    let instance = instance(TOTAL)?;
    let mut store = instance.store()?;
    let total = store.global("total")?;
    assert_eq!(total.get(&mut store).i32(), Some(0));
    total.set(&mut store, Val::I32(40))?;
    drop(store);
    assert_eq!(instance.call::<i32, i32>("add", 2)?.wait()?, 42);
    Ok(())
}

#[test]
fn tables_are_read_and_set_between_calls() -> Result<(), Error> {
    let instance = instance(
        r#"(module
            (type $number (func (result i32)))
            (table (export "table") 2 funcref)
            (elem (i32.const 0) $one)
            (func $one (result i32) (i32.const 1))
            (func (export "call") (param i32) (result i32)
                (call_indirect (type $number) (local.get 0))))"#,
    )?;
    let call = instance.func::<i32, i32>("call")?;
    assert_eq!(call.call(0)?.wait()?, 1);
    {
        let mut store = instance.store()?;
        let table = store.table("table")?;
        let one = table.get(&mut store, 0).expect("it has two");
        assert!(matches!(table.get(&mut store, 1), Some(Ref::Func(None))));
        table.set(&mut store, 1, one)?;
    }
    assert_eq!(call.call(1)?.wait()?, 1);
    Ok(())
}

#[test]
fn the_hosts_state_is_there_between_calls() -> Result<(), Error> {
    let instance = instance(
        r#"(module
            (import "env" "tick" (func $tick))
            (func (export "run") (call $tick)))"#,
    )?;
    instance.store()?.data_mut().ticks = 10;
    instance.call::<(), ()>("run", ())?.wait()?;
    let store = instance.store()?;
    assert_eq!(store.data().ticks, 11);
    assert_eq!(store.as_context().data().ticks, 11);
    Ok(())
}

#[test]
fn the_guard_stands_for_the_store() -> Result<(), Error> {
    let instance = instance(TOTAL)?;
    let mut store = instance.store()?;
    let wasmtimes = store.instance()?;
    assert!(wasmtimes.get_func(&mut store, "add").is_some());
    assert!(wasmtimes.get_func(&mut store, "subtract").is_none());
    let memory = wasmtimes.get_memory(&mut store, "memory").expect("it has one");
    assert_eq!(memory.size(&store), 1);
    assert_eq!(memory.grow(&mut store, 1)?, 1);
    store.as_context_mut().data_mut().ticks = 3;
    assert_eq!(store.data().ticks, 3);
    Ok(())
}

#[test]
fn while_a_call_is_in_progress_there_is_no_store() -> Result<(), Error> {
    let instance = instance(TOTAL)?;
    let mut future = instance.call::<i32, i32>("add", 1)?;
    assert!(matches!(instance.store(), Err(Error::CallInProgress)));
    assert_eq!(future.resume()?, Step::Yielded);
    assert!(matches!(instance.store(), Err(Error::CallInProgress)));
    assert_eq!(future.resume()?, Step::Done);
    assert!(instance.store().is_ok());
    assert_eq!(future.wait()?, 1);
    Ok(())
}

#[test]
fn while_a_guard_is_there_the_instance_makes_no_calls() -> Result<(), Error> {
    let instance = instance(TOTAL)?;
    let add = instance.func::<i32, i32>("add")?;
    let store = instance.store()?;
    assert!(matches!(instance.call::<i32, i32>("add", 1), Err(Error::CallInProgress)));
    assert!(matches!(add.call(1), Err(Error::CallInProgress)));
    assert!(matches!(instance.store(), Err(Error::CallInProgress)));
    assert!(matches!(instance.reset_with(Host::default()), Err(Error::CallInProgress)));
    drop(store);
    assert_eq!(add.call(1)?.wait()?, 1);
    Ok(())
}

#[test]
fn what_the_guest_wrote_is_there_whoever_finished_its_call() -> Result<(), Error> {
    let instance = instance(TOTAL)?;
    for (round, &way) in (1_i32..).zip(Way::ALL) {
        let mut future = instance.call::<i32, i32>("add", 1)?;
        assert_eq!(way.finish(&mut future)?, round);
        let mut store = instance.store()?;
        let memory = store.memory("memory")?;
        assert_eq!(memory.data(&store)[8..12], round.to_le_bytes(), "{way:?}");
    }
    Ok(())
}

#[test]
fn what_the_guest_wrote_is_there_when_its_handle_is_complete() -> Result<(), Error> {
    let event = Event::default();
    let host = Host { event: event.clone(), ..Host::default() };
    let instance = instance_of(&ENGINE, TOTAL, host)?;
    let mut future = instance.call::<i32, i32>("add_when_it_happens", 1)?;
    let handle = workers(1).submit(future.to_job()?);
    event.set();
    handle.wait();
    // Before the future is asked for anything.
    let mut store = instance.store()?;
    let memory = store.memory("memory")?;
    assert_eq!(memory.data(&store)[8..12], 1_i32.to_le_bytes());
    assert!(future.has_result());
    Ok(())
}

#[test]
fn fuel_is_given_and_used_up() -> Result<(), Error> {
    let engine = engine(&EngineOptions::default().pooling(1).fuel(true))?;
    let instance = instance_of(
        &engine,
        r#"(module
            (func (export "count") (param i32)
                (loop $next
                    (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
                    (br_if $next (local.get 0)))))"#,
        Host::default(),
    )?;
    let count = instance.func::<i32, ()>("count")?;
    assert_eq!(instance.store()?.fuel()?, u64::MAX, "as much as there can be");
    count.call(1_000)?.wait()?;

    instance.store()?.set_fuel(100_000)?;
    count.call(1_000)?.wait()?;
    let left = instance.store()?.fuel()?;
    assert!(left < 100_000);
    instance.store()?.set_fuel(100)?;
    for &way in Way::ALL {
        match way.finish(&mut count.call(1_000)?) {
            Err(Error::Trap(trap)) => assert_eq!(trap.code(), wasmtime::Trap::OutOfFuel),
            other => panic!("{way:?}: {other:?}"),
        }
        instance.clear_poison()?;
    }
    instance.store()?.set_fuel(100_000)?;
    count.call(1_000)?.wait()
}

#[test]
fn a_store_of_ones_own_keeps_its_fuel() -> Result<(), Error> {
    let engine = engine(&EngineOptions::default().pooling(1).fuel(true))?;
    let pre = linker(&engine)?.instantiate_pre(&compile(&engine, TOTAL)?)?;
    let mut store = wasmtime::Store::new(&engine, Host::default());
    store.set_fuel(1_000)?;
    let instance = Instance::with_store(&pre, store)?;
    assert_eq!(instance.call::<i32, i32>("add", 1)?.wait()?, 1);
    let left = instance.store()?.fuel()?;
    assert!((1..1_000).contains(&left), "{left}");
    Ok(())
}

#[test]
fn a_guard_goes_to_another_thread() -> Result<(), Error> {
    let instance = instance(TOTAL)?;
    std::thread::scope(|scope| {
        let mut store = instance.store()?;
        let writing = scope.spawn(move || {
            let memory = store.memory("memory").expect("it has one");
            memory.write(&mut store, 8, &41_i32.to_le_bytes()).expect("it is inside");
        });
        writing.join().expect("writing does not panic");
        instance.call::<i32, i32>("add", 1)?.wait()?;
        let mut store = instance.store()?;
        let memory = store.memory("memory")?;
        assert_eq!(memory.data(&store)[8..12], 42_i32.to_le_bytes());
        Ok(())
    })
}
