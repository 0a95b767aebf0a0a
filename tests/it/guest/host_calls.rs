//! Guests that yield before each call of the host.

use super::{ENGINE, Host, compile, link, linker, options_of_engines};
use crate::support::{Queue, Way};
use std::time::Duration;
use wasm_jobs::wasmtime::{self, Caller, Engine, Extern};
use wasm_jobs::{Error, Instance, InstanceOptions, JobPool, Slice, Step};

const GUEST: &str = r#"(module
    (import "env" "tick" (func $tick))
    (import "env" "yield" (func $yield))
    (import "env" "wait" (func $wait))
    (import "env" "back" (func $back))
    (memory (export "memory") 1 3)
    (func (export "ticks") (call $tick) (call $tick) (call $tick))
    (func (export "yields") (call $yield))
    (func (export "waits") (call $wait))
    (func (export "nothing"))
    (func (export "spins") (loop $again (br $again)))
    (func (export "grow") (result i32) (memory.grow (i32.const 1)))
    (func (export "calls_back") (call $back))
    (func (export "loops") (param $times i32)
        (loop $again
            (call $tick)
            (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1)))))))"#;

fn instance_on(engine: &Engine, options: InstanceOptions) -> Result<Instance<Host>, Error> {
    let mut linker = linker(engine)?;
    linker.func_wrap_async("env", "back", |mut host: Caller<'_, Host>, ()| {
        Box::new(async move {
            let Some(Extern::Func(ticks)) = host.get_export("ticks") else {
                panic!("the guest has it");
            };
            ticks.typed::<(), ()>(&host)?.call_async(&mut host, ()).await
        })
    })?;
    let pre = link(&linker, &compile(engine, GUEST)?)?;
    Instance::with_options(&pre, options, Host::default)
}

fn options() -> InstanceOptions {
    InstanceOptions::default().yield_before_host_calls(true)
}

fn instance(options: InstanceOptions) -> Result<Instance<Host>, Error> {
    instance_on(&ENGINE, options)
}

/// How often a call yields before it ends.
fn yields_of(instance: &Instance<Host>, export: &str) -> Result<usize, Error> {
    let mut future = instance.call::<(), ()>(export, ())?;
    let mut yields = 0;
    while future.resume()? == Step::Yielded {
        yields += 1;
    }
    future.try_get_result()?.expect("it does not wait");
    Ok(yields)
}

#[test]
fn a_guest_stops_before_each_call_of_a_synchronous_host_function() -> Result<(), Error> {
    let instance = instance(options())?;
    assert_eq!(yields_of(&instance, "ticks")?, 3);
    assert_eq!(instance.store()?.data().ticks, 3);
    assert_eq!(yields_of(&instance, "nothing")?, 0);
    Ok(())
}

#[test]
fn the_host_function_begins_in_the_next_step() -> Result<(), Error> {
    let instance = instance(options())?;
    for (steps, ticks) in [(1, 0), (2, 1), (3, 3)] {
        let before = instance.store()?.data().ticks;
        let mut future = instance.call::<(), ()>("ticks", ())?;
        for _ in 0..steps {
            assert_eq!(future.resume()?, Step::Yielded);
        }
        if steps == 3 {
            assert_eq!(future.resume()?, Step::Done);
        }
        drop(future);
        assert_eq!(instance.store()?.data().ticks - before, ticks);
        if steps < 3 {
            assert!(instance.is_poisoned(), "it was dropped half-way");
            instance.reset()?;
        }
    }
    Ok(())
}

#[test]
fn an_asynchronous_host_function_begins_after_a_yield_too() -> Result<(), Error> {
    let instance = instance(options())?;
    assert_eq!(yields_of(&instance, "yields")?, 2);
    let event = instance.store()?.data().event.clone();
    let mut future = instance.call::<(), ()>("waits", ())?;
    assert_eq!(future.resume()?, Step::Yielded);
    assert_eq!(future.resume()?, Step::Waiting);
    event.set();
    assert_eq!(future.resume()?, Step::Done);
    Ok(())
}

#[test]
fn without_the_option_a_straight_line_of_host_calls_is_one_step() -> Result<(), Error> {
    let instance = instance(InstanceOptions::default())?;
    assert_eq!(yields_of(&instance, "ticks")?, 0);
    let engine = wasm_jobs::engine(&options_of_engines().fuel(true).pooling(4))?;
    let instance = instance_on(&engine, InstanceOptions::default().slice(Slice::Fuel(1)))?;
    let mut future = instance.call::<(), ()>("ticks", ())?;
    let mut seen = Vec::new();
    while future.resume()? == Step::Yielded {
        seen.push(instance.fuel_remaining()?);
    }
    assert!(seen.len() <= 1, "a slice of fuel ended between two calls: {seen:?}");
    Ok(())
}

#[test]
fn every_way_brings_such_a_call_to_its_end() -> Result<(), Error> {
    for &way in Way::ALL {
        let instance = instance(options())?;
        way.finish(&mut instance.call::<(i32,), ()>("loops", (100,))?)?;
        assert_eq!(instance.store()?.data().ticks, 100);
    }
    Ok(())
}

#[test]
fn the_guest_stops_before_calls_that_are_nested_in_host_functions() -> Result<(), Error> {
    let instance = instance(options().nesting(2))?;
    assert_eq!(yields_of(&instance, "calls_back")?, 4);
    Ok(())
}

#[test]
fn fuel_and_its_limits_count_as_without_the_option() -> Result<(), Error> {
    let engine = wasm_jobs::engine(&options_of_engines().fuel(true).pooling(4))?;
    let mut left = Vec::new();
    for yields in [false, true] {
        let options = InstanceOptions::default().yield_before_host_calls(yields);
        for slice in [Slice::Unbounded, Slice::Fuel(50), Slice::Fuel(1)] {
            let instance = instance_on(&engine, options.clone().fuel(100_000).slice(slice))?;
            instance.call::<(i32,), ()>("loops", (50,))?.wait()?;
            assert_eq!(instance.store()?.data().ticks, 50);
            left.push(instance.fuel_remaining()?);
        }
        let instance = instance_on(&engine, options.fuel(100))?;
        let end = instance.call::<(i32,), ()>("loops", (1_000_000,))?.wait();
        let Err(Error::Trap(trap)) = end else { panic!("it has used its fuel up: {end:?}") };
        assert_eq!(trap.code(), wasmtime::Trap::OutOfFuel);
    }
    assert!(left.iter().all(|fuel| *fuel == left[0]), "{left:?}");
    Ok(())
}

#[test]
fn wasmtimes_own_calls_of_the_host_yield_too() -> Result<(), Error> {
    let instance = instance(options())?;
    let mut future = instance.call::<(), i32>("grow", ())?;
    assert_eq!(future.resume()?, Step::Yielded);
    assert_eq!(future.wait()?, 1);
    Ok(())
}

#[test]
fn a_call_that_stopped_before_a_host_function_is_cancelled() -> Result<(), Error> {
    let (instance, queue) = (instance(options())?, Queue::default());
    let mut future = instance.call::<(), ()>("ticks", ())?;
    assert_eq!(future.resume()?, Step::Yielded);
    let job = queue.submit(future.to_job()?);
    job.cancel();
    assert!(job.is_complete());
    assert!(matches!(future.try_get_result(), Err(Error::Cancelled)));
    instance.reset()?;
    assert_eq!(yields_of(&instance, "ticks")?, 3);
    Ok(())
}

#[test]
fn a_slice_of_fuel_after_one_of_time_ends_too() -> Result<(), Error> {
    let engine = wasm_jobs::engine(&options_of_engines().fuel(true).pooling(1))?;
    let instance = instance_on(&engine, options().slice(Slice::Time(Duration::from_millis(1))))?;
    let mut future = instance.call::<(), ()>("spins", ())?;
    for slice in [Slice::Fuel(1000), Slice::Time(Duration::from_millis(1)), Slice::Fuel(7)] {
        // An epoch check is a call of the host, where the guest stops too. There the store cannot be told a slice of fuel.
        for _ in 0..4 {
            assert_eq!(future.resume()?, Step::Yielded);
        }
        instance.set_slice(slice)?;
    }
    for _ in 0..4 {
        assert_eq!(future.resume()?, Step::Yielded);
    }
    Ok(())
}
