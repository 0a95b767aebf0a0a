//! Looking into an instance between its calls.

use super::{ENGINE, Host, TOTAL, compile, instance, instance_of, linker};
use crate::support::{Counter, Event, OnDrop, Way, workers};
use wasm_jobs::wasmtime::{AsContext, AsContextMut, ExternRef, Ref, RootScope, Val};
use wasm_jobs::{EngineOptions, Error, Instance, JobPool, OwnedRef, Step, engine, wasmtime};

#[test]
fn memory_is_read_and_written_between_calls() -> Result<(), Error> {
    let instance = instance(TOTAL)?;
    instance.call::<i32, i32>("add", 7)?.wait()?;
    {
        let mut store = instance.store()?;
        let memory = store.memory("memory")?;
        assert_eq!(memory.data(&store)[8..12], 7_i32.to_le_bytes());
        memory
            .write(&mut store, 8, &100_i32.to_le_bytes())
            .expect("the address is inside the memory");
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
        let one = table.get(&mut store, 0).expect("the table has two elements");
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
    let memory = wasmtimes.get_memory(&mut store, "memory").expect("the guest has a memory");
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
    // The memory is read before the future is used.
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
            let memory = store.memory("memory").expect("the guest has a memory");
            memory
                .write(&mut store, 8, &41_i32.to_le_bytes())
                .expect("the address is inside the memory");
        });
        writing.join().expect("writing does not panic");
        instance.call::<i32, i32>("add", 1)?.wait()?;
        let mut store = instance.store()?;
        let memory = store.memory("memory")?;
        assert_eq!(memory.data(&store)[8..12], 42_i32.to_le_bytes());
        Ok(())
    })
}

#[test]
fn numbers_and_arrays_are_read_and_written_in_a_memory() -> Result<(), Error> {
    let instance = instance(TOTAL)?;
    let mut memory = instance.memory("memory")?;
    let end = memory.size();
    assert_eq!(end, 65_536);

    memory.write(0, 0x0102_0304_u32)?;
    assert_eq!(memory.slice(0, 4)?, [4, 3, 2, 1], "the least byte first");
    assert_eq!(memory.read::<[u16; 2]>(0)?, [0x0304, 0x0102]);
    memory.write(1, -2.5_f64)?;
    assert_eq!(memory.read::<f64>(1)?.to_bits(), (-2.5_f64).to_bits(), "at an odd address");
    memory.write_slice(end - 6, &[-1_i16, 2, -3])?;
    assert_eq!(memory.read_vec::<i16>(end - 6, 3)?, [-1, 2, -3], "up to the last byte");
    memory.write(100, [[1_i64, 2], [3, 4]])?;
    assert_eq!(memory.read_vec::<i64>(100, 4)?, [1, 2, 3, 4]);
    memory.slice_mut(200, 3)?.fill(7);
    assert_eq!(memory.data()[199..204], [0, 7, 7, 7, 0]);
    memory.data_mut()[199] = 1;
    assert_eq!(memory.read::<u8>(199)?, 1);
    assert!(matches!(instance.store(), Err(Error::CallInProgress)), "the guard has the store");
    Ok(())
}

#[test]
fn what_ends_beyond_a_memory_is_neither_read_nor_written() -> Result<(), Error> {
    let instance = instance(TOTAL)?;
    let mut memory = instance.memory("memory")?;
    let end = memory.size();

    let read = memory.read::<u32>(end - 3);
    assert!(matches!(read, Err(Error::OutOfBounds { at: 65_533, count: 4, size: 65_536 })));
    let message = read.expect_err("the read ends outside the memory").to_string();
    assert_eq!(message, "out of bounds: 4 bytes or elements from 65533 on, where there are 65536");
    assert!(memory.read::<u8>(end).is_err());
    assert!(memory.read::<u8>(usize::MAX).is_err());
    assert!(memory.slice(end, 1).is_err());
    assert!(memory.slice(1, usize::MAX).is_err());
    assert!(memory.read_vec::<u64>(0, usize::MAX / 4).is_err());
    assert!(memory.write(end - 7, 1_u64).is_err());
    assert!(memory.write_slice(end - 7, &[1_u32, 2]).is_err());
    assert_eq!(memory.read_vec::<u8>(end - 7, 7)?, [0; 7], "nothing was written");

    assert!(memory.slice(end, 0)?.is_empty());
    assert!(memory.read_vec::<u64>(end, 0)?.is_empty());
    assert!(memory.slice(end + 1, 0).is_err());
    Ok(())
}

#[cfg(feature = "bytemuck")]
#[test]
fn structs_are_read_and_written_in_a_memory() -> Result<(), Error> {
    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
    struct Creature {
        position: [f32; 2],
        health: u32,
        kind: u16,
        flags: [u8; 2],
    }
    let creature = |n: u16| Creature {
        position: [f32::from(n), -1.0],
        health: 0x0102_0304,
        kind: n,
        flags: [7, 8],
    };
    let instance = instance(TOTAL)?;
    let mut memory = instance.memory("memory")?;
    let end = memory.size();

    memory.write(3, creature(1))?;
    assert_eq!(memory.read::<Creature>(3)?, creature(1), "at an odd address");
    assert_eq!(memory.slice(3 + 8, 8)?, [4, 3, 2, 1, 1, 0, 7, 8], "as C lays it out for wasm");
    memory.write_slice(end - 32, &[creature(2), creature(3)])?;
    assert_eq!(memory.read_vec::<Creature>(end - 32, 2)?, [creature(2), creature(3)]);
    assert_eq!(memory.typed_slice::<Creature>(end - 32, 2)?, [creature(2), creature(3)]);
    memory.typed_slice_mut::<Creature>(end - 32, 2)?[1].kind = 9;
    assert_eq!(memory.read::<Creature>(end - 16)?.kind, 9);
    assert_eq!(memory.read::<[Creature; 2]>(end - 32)?[1].kind, 9);

    let misaligned = memory.typed_slice::<Creature>(2, 1).expect_err("it needs a multiple of 4");
    assert!(matches!(misaligned, Error::Misaligned { at: 2, align: 4 }));
    assert!(misaligned.to_string().contains("address 2 is not a multiple of 4"));
    assert!(memory.typed_slice_mut::<u64>(end - 4, 1).is_err());
    assert!(matches!(memory.typed_slice::<Creature>(end - 12, 1), Err(Error::OutOfBounds { .. })));
    assert!(memory.typed_slice::<Creature>(0, usize::MAX / 8).is_err());
    assert!(memory.typed_slice::<Creature>(end, 0)?.is_empty());
    Ok(())
}

#[test]
fn a_memory_and_a_table_grow_between_calls_as_far_as_they_may() -> Result<(), Error> {
    let instance = instance(
        r#"(module (memory (export "memory") 1 3) (table (export "table") 1 4 funcref))"#,
    )?;
    let mut memory = instance.memory("memory")?;
    assert_eq!(memory.grow(2)?, 1);
    assert_eq!(memory.size(), 3 * 65_536);
    assert!(matches!(memory.grow(1), Err(Error::Wasmtime(_))));
    drop(memory);

    let mut table = instance.table("table")?;
    let none = table.get(0)?;
    assert_eq!(table.grow(3, none.clone())?, 1);
    assert_eq!(table.size(), 4);
    assert!(table.grow(1, none.clone()).is_err());
    assert!(matches!(table.get(4), Err(Error::OutOfBounds { at: 4, count: 1, size: 4 })));
    assert!(matches!(table.set(4, none), Err(Error::OutOfBounds { .. })));
    let of_another_type = OwnedRef::Extern(None);
    assert!(matches!(table.set(0, of_another_type), Err(Error::Wasmtime(_))));
    assert_eq!(table.store().data().ticks, 0);
    Ok(())
}

#[test]
fn what_a_table_gives_is_alive_until_it_is_dropped_and_no_longer() -> Result<(), Error> {
    let instance = instance(r#"(module (table (export "table") 2 externref))"#)?;
    let dropped = Counter::default();
    let mut table = instance.table("table")?;
    let object = {
        let mut scope = RootScope::new(table.store());
        let object = ExternRef::new(&mut scope, dropped.on_drop())?;
        object.to_owned_rooted(&mut scope)?
    };
    table.set(0, object)?;
    for _ in 0..1_000 {
        assert!(!table.get(0)?.is_null());
    }
    let element = table.get(0)?;
    let none = table.get(1)?;
    assert!(none.is_null());
    assert_eq!(table.grow(1, element.clone())?, 2);
    table.set(0, none.clone())?;
    table.set(2, none)?;
    table.store().as_context_mut().gc(None)?;
    assert_eq!(dropped.get(), 0, "the element is here");
    let same = {
        let mut scope = RootScope::new(table.store());
        let Ref::Extern(Some(same)) = element.to_ref(&mut scope) else { panic!("{element:?}") };
        same.data(&scope)?.is_some_and(|data| data.is::<OnDrop>())
    };
    assert!(same);
    drop(element);
    table.store().as_context_mut().gc(None)?;
    assert_eq!(dropped.get(), 1);
    Ok(())
}

#[test]
fn a_global_has_one_type() -> Result<(), Error> {
    let instance = instance(
        r#"(module
            (global (export "a") (mut i32) (i32.const 1))
            (global (export "b") i64 (i64.const 2))
            (global (export "c") (mut f32) (f32.const 3))
            (global (export "d") (mut f64) (f64.const 4))
            (global (export "e") (mut v128) (v128.const i64x2 5 0))
            (func (export "f")))"#,
    )?;
    let mut store = instance.store()?;
    store.set_global("a", -1)?;
    store.set_global("c", 1.5_f32)?;
    store.set_global("d", 2.5)?;
    store.set_global("e", wasmtime::V128::from(6))?;
    assert_eq!(store.get_global::<i32>("a")?, -1);
    assert_eq!(store.get_global::<i64>("b")?, 2);
    assert_eq!(store.get_global::<f32>("c")?.to_bits(), 1.5_f32.to_bits());
    assert_eq!(store.get_global::<f64>("d")?.to_bits(), 2.5_f64.to_bits());
    assert_eq!(store.get_global::<wasmtime::V128>("e")?.as_u128(), 6);

    let text = |error: Error| error.to_string();
    assert_eq!(
        store.get_global::<i64>("a").map_err(text),
        Err("export \"a\": it is a global of type mut i32, and was asked for as i64".to_owned())
    );
    assert_eq!(
        store.set_global("b", 3_i64).map_err(text),
        Err("export \"b\": it is a global of type i64, and was asked for as mut i64".to_owned())
    );
    assert!(matches!(store.set_global("c", 1_i32), Err(Error::WrongType(_))));
    assert!(matches!(store.get_global::<i32>("f"), Err(Error::ExportKind(_))));
    assert!(matches!(store.get_global::<i32>("g"), Err(Error::ExportNotFound { .. })));
    Ok(())
}
