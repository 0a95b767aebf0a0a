//! Other threads read an instance while it makes calls.

use super::{Host, TOTAL, instance, instance_of};
use crate::support::{Flag, workers};
use std::thread;
use wasm_jobs::{EngineOptions, Error, Instance, Instances, Step, engine};

/// Calls `something` while other threads repeatedly `look` at the instance.
fn while_others_look<T>(
    instance: &Instance<Host>,
    look: impl Fn(&Instance<Host>) + Sync,
    something: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    let done = Flag::default();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.is_set() {
                    look(instance);
                }
            });
        }
        let result = something();
        done.set();
        result
    })
}

fn counting_fuel() -> Result<Instance<Host>, Error> {
    instance_of(&engine(&EngineOptions::default().pooling(1).fuel(true))?, TOTAL, Host::default())
}

#[test]
fn no_look_refuses_a_call() -> Result<(), Error> {
    let instance = counting_fuel()?;
    let add = instance.func::<i32, i32>("add")?;
    let look = |instance: &Instance<Host>| {
        assert!(!instance.is_poisoned());
        assert!(instance.fuel_remaining().is_ok());
        assert!(instance.time_used().is_err(), "time is not measured");
        // These need the store. A call in progress refuses them, and they do not refuse a call.
        for result in [instance.clear_poison(), instance.func::<i32, i32>("add").map(drop)] {
            assert!(matches!(result, Ok(()) | Err(Error::CallInProgress)), "{result:?}");
        }
    };
    let total = while_others_look(&instance, look, || {
        for _ in 0..3_000 {
            add.call(1)?.wait()?;
            drop(instance.store()?);
            drop(instance.call::<i32, i32>("add", 1)?);
        }
        add.call(1)?.wait()
    })?;
    assert_eq!(total, 3_001);
    Ok(())
}

#[test]
fn an_instance_that_is_looked_at_does_its_part_of_a_par_map() -> Result<(), Error> {
    let instances = [counting_fuel()?];
    let look = |instance: &Instance<Host>| {
        let _ = instance.fuel_remaining();
        let _ = instance.func::<i32, i32>("add");
    };
    let pool = workers(1);
    let totals = while_others_look(&instances[0], look, || {
        instances.par_map::<i32, i32, _>(&pool, vec![1; 1_000], "add").collect()
    })?;
    for (total, expected) in totals.into_iter().zip(1..) {
        assert_eq!(total?, expected);
    }
    Ok(())
}

#[test]
fn an_instance_in_use_tells_whether_it_is_poisoned_and_what_fuel_is_left() -> Result<(), Error> {
    let instance = counting_fuel()?;
    instance.store()?.set_fuel(1_000_000)?;
    let mut call = instance.call::<i32, i32>("add", 1)?;
    assert_eq!(instance.fuel_remaining()?, 1_000_000);
    assert_eq!(call.resume()?, Step::Yielded);
    assert!(!instance.is_poisoned(), "the call is half-way, and goes on");
    let left = instance.fuel_remaining()?;
    assert!((999_900..1_000_000).contains(&left), "{left}");
    drop(call);
    assert!(instance.is_poisoned());

    let mut guard = instance.store()?;
    assert!(instance.is_poisoned());
    guard.set_fuel(500)?;
    assert_eq!(instance.fuel_remaining()?, 500);
    // This sets the fuel through wasmtime, so that only the store knows of it.
    wasm_jobs::wasmtime::AsContextMut::as_context_mut(&mut guard).set_fuel(400)?;
    drop(guard);
    assert_eq!(instance.fuel_remaining()?, 400);
    Ok(())
}

#[test]
fn a_function_is_looked_up_once_after_a_reset_for_all_its_clones() -> Result<(), Error> {
    let instance = instance(TOTAL)?;
    let add = instance.func::<i32, i32>("add")?;
    let clones = [add.clone(), add.clone()];
    for _ in 0..3 {
        instance.reset_with(Host::default())?;
        let mut total = 0;
        for add in clones.iter().chain([&add]).cycle().take(10) {
            total += 1;
            assert_eq!(add.call(1)?.wait()?, total, "the clones call one guest");
        }
    }
    // Several threads share the clones.
    instance.reset_with(Host::default())?;
    let made = thread::scope(|scope| {
        let threads = clones.each_ref().map(|add| {
            scope.spawn(|| {
                let mut made = 0;
                while made < 500 {
                    match add.call(1) {
                        Ok(mut call) => {
                            call.wait().expect("the call does not fail");
                            made += 1;
                        }
                        Err(Error::CallInProgress) => thread::yield_now(),
                        Err(other) => panic!("{other:?}"),
                    }
                }
                made
            })
        });
        threads.map(|thread| thread.join().expect("the thread does not panic")).iter().sum::<i32>()
    });
    assert_eq!(add.call(0)?.wait()?, made);
    Ok(())
}
