//! Poisoning: the state of an instance after a call that did not run to its end.

use super::failures::{FAILURES, failing};
use super::{ENGINE, Host, TOTAL, compile, instance, instance_of, linker};
use crate::support::{Event, Flag, Way, retry_timeouts, workers};
use std::time::Duration;
use wasm_jobs::wasmtime::{self, Caller, Extern, Linker};
use wasm_jobs::{Error, Func, Instance, InstanceOptions, JobPool, Step, Timeout};

/// Asserts that a poisoned instance refuses calls, and that its store can be read.
fn assert_poisoned(instance: &Instance<Host>, func: &Func<i32, i32, Host>) -> Result<(), Error> {
    assert!(instance.is_poisoned());
    assert!(matches!(instance.call::<i32, i32>(func.name(), 0), Err(Error::Poisoned)));
    assert!(matches!(func.call(0), Err(Error::Poisoned)));
    instance.func::<i32, i32>(func.name())?;
    let mut store = instance.store()?;
    let memory = store.memory("memory")?;
    assert_eq!(memory.size(&store), 1);
    Ok(())
}

#[test]
fn after_a_failure_the_instance_refuses_calls_until_it_is_declared_fit() -> Result<(), Error> {
    let instance = failing()?;
    let succeed = instance.func::<i32, i32>("succeed")?;
    for &way in Way::ALL {
        for &(export, _) in FAILURES {
            let mut future = instance.call::<i32, ()>(export, 1)?;
            assert!(way.finish(&mut future).is_err());
            assert_poisoned(&instance, &succeed)?;
            drop(future);
            assert_poisoned(&instance, &succeed)?;
            instance.clear_poison()?;
            assert!(!instance.is_poisoned());
            assert_eq!(instance.call::<i32, i32>("succeed", 0)?.wait()?, 7);
            assert_eq!(succeed.call(1)?.wait()?, 7);
        }
    }
    // The guest is still the same, because it has counted every call.
    let calls = i32::try_from(3 * FAILURES.len() * Way::ALL.len()).expect("the number is small");
    let mut store = instance.store()?;
    assert_eq!(store.global("begun")?.get(&mut store).i32(), Some(calls));
    Ok(())
}

#[test]
fn after_a_failure_the_instance_refuses_calls_until_it_is_reset() -> Result<(), Error> {
    let instance = failing()?;
    let succeed = instance.func::<i32, i32>("succeed")?;
    let fail = instance.func::<i32, ()>("unreachable")?;
    for round in 0..3 {
        for &(export, _) in FAILURES {
            assert!(instance.call::<i32, ()>(export, 1)?.wait().is_err());
            assert_poisoned(&instance, &succeed)?;
            instance.reset_with(Host { ticks: round, ..Host::default() })?;
            assert!(!instance.is_poisoned());
            let mut store = instance.store()?;
            assert_eq!(store.data().ticks, round, "the instance has the new state");
            assert_eq!(store.global("begun")?.get(&mut store).i32(), Some(0), "the guest is new");
            drop(store);
            assert_eq!(
                succeed.call(1)?.wait()?,
                7,
                "a function that was looked up before still works"
            );
            assert_eq!(instance.call::<i32, i32>("succeed", 0)?.wait()?, 7);
        }
    }
    assert!(matches!(fail.call(0)?.wait(), Err(Error::Trap(_))));
    Ok(())
}

#[test]
fn an_instance_that_is_well_may_be_reset_too() -> Result<(), Error> {
    let instance = instance(TOTAL)?;
    let add = instance.func::<i32, i32>("add")?;
    assert_eq!(add.call(5)?.wait()?, 5);
    instance.reset_with(Host::default())?;
    assert_eq!(add.call(1)?.wait()?, 1);
    let add_anew = instance.func::<i32, i32>("add")?;
    assert_eq!(add_anew.call(1)?.wait()?, 2);
    assert_eq!(add.call(1)?.wait()?, 3);
    instance.reset_with(Host::default())?;
    assert_eq!(add_anew.call(1)?.wait()?, 1);
    instance.clear_poison()?;
    assert_eq!(add.call(1)?.wait()?, 2, "clearing what is not poisoned changes nothing");
    Ok(())
}

#[test]
fn a_call_dropped_before_its_first_step_poisons_nothing() -> Result<(), Error> {
    let instance = instance(TOTAL)?;
    drop(instance.call::<i32, i32>("add", 5)?);
    assert!(!instance.is_poisoned());

    let mut cancelled = instance.call::<i32, i32>("add", 5)?;
    cancelled.cancel();
    assert!(!instance.is_poisoned(), "the instance is free before the failure is taken");
    assert!(matches!(cancelled.wait(), Err(Error::Cancelled)));

    let mut lent = instance.call::<i32, i32>("add", 5)?;
    let runner = lent.to_job()?;
    drop(lent);
    assert!(!instance.is_poisoned());
    drop(runner);

    let mut refused = instance.call::<i32, i32>("add", 5)?;
    (|job| drop::<wasm_jobs::Job>(job)).submit(refused.to_job()?);
    drop(refused);
    assert_eq!(instance.call::<i32, i32>("add", 1)?.wait()?, 1);
    Ok(())
}

#[test]
fn a_call_dropped_half_way_poisons_its_instance() -> Result<(), Error> {
    let instance = instance(TOTAL)?;
    let add = instance.func::<i32, i32>("add")?;
    let mut future = add.call(5)?;
    assert_eq!(future.resume()?, Step::Yielded);
    drop(future);
    assert_poisoned(&instance, &add)?;
    // The call was half-way: it had written to its memory, and not yet to its global.
    let mut store = instance.store()?;
    let memory = store.memory("memory")?;
    assert_eq!(memory.data(&store)[8..12], 5_i32.to_le_bytes());
    assert_eq!(store.global("total")?.get(&mut store).i32(), Some(0));
    drop(store);
    instance.clear_poison()?;
    assert_eq!(add.call(1)?.wait()?, 1);
    Ok(())
}

#[test]
fn a_call_cancelled_half_way_poisons_its_instance() -> Result<(), Error> {
    let instance = instance(TOTAL)?;
    let add = instance.func::<i32, i32>("add")?;
    let mut future = add.call(5)?;
    assert_eq!(future.resume()?, Step::Yielded);
    future.cancel();
    assert_poisoned(&instance, &add)?;
    assert!(matches!(future.wait(), Err(Error::Cancelled)));
    assert_poisoned(&instance, &add)?;
    instance.reset_with(Host::default())?;
    assert_eq!(add.call(1)?.wait()?, 1);
    Ok(())
}

#[test]
fn a_call_cancelled_after_its_end_poisons_nothing() -> Result<(), Error> {
    let instance = instance(TOTAL)?;
    let mut future = instance.call::<i32, i32>("add", 5)?;
    while future.resume()? != Step::Done {}
    future.cancel();
    assert!(!instance.is_poisoned());
    assert_eq!(future.wait()?, 5);
    let mut future = instance.call::<i32, i32>("add", 5)?;
    while future.resume()? != Step::Done {}
    drop(future);
    assert!(!instance.is_poisoned());
    Ok(())
}

#[test]
fn a_waiting_job_whose_future_is_dropped_poisons_its_instance() -> Result<(), Error> {
    let event = Event::default();
    let host = Host { event: event.clone(), ..Host::default() };
    let instance = instance_of(&ENGINE, TOTAL, host)?;
    let add = instance.func::<i32, i32>("add")?;
    let mut future = instance.call::<i32, i32>("add_when_it_happens", 5)?;
    assert_eq!(future.resume()?, Step::Waiting);
    let handle = workers(1).submit(future.to_job()?);
    drop(future);
    handle.wait();
    assert_poisoned(&instance, &add)?;
    event.set();
    instance.clear_poison()?;
    assert_eq!(add.call(1)?.wait()?, 1);
    Ok(())
}

#[test]
fn a_runner_dropped_half_way_poisons_nothing() -> Result<(), Error> {
    let instance = instance(TOTAL)?;
    let mut future = instance.call::<i32, i32>("add", 5)?;
    let mut runner = future.to_job()?;
    assert_eq!(runner.resume(), Step::Yielded);
    drop(runner);
    assert!(!instance.is_poisoned(), "the call can go on");
    assert_eq!(future.wait()?, 5);
    assert!(!instance.is_poisoned());
    Ok(())
}

#[test]
fn other_instances_are_undisturbed() -> Result<(), Error> {
    let (failing, other) = (failing()?, instance(TOTAL)?);
    let mut going_on = other.call::<i32, i32>("add", 5)?;
    assert_eq!(going_on.resume()?, Step::Yielded);
    for &(export, _) in FAILURES {
        assert!(failing.call::<i32, ()>(export, 1)?.wait().is_err());
        failing.reset_with(Host::default())?;
    }
    assert_eq!(going_on.resume()?, Step::Done);
    assert_eq!(going_on.wait()?, 5);
    assert!(!other.is_poisoned());
    Ok(())
}

/// `outer` calls `inner` through the host, which swallows the result of `inner`.
const SWALLOWING: &str = r#"(module
    (import "env" "swallow" (func $swallow))
    (memory (export "memory") 1)
    (func (export "inner") (param i32)
        (i32.store (i32.const 8) (i32.const 1))
        (if (local.get 0) (then (unreachable)))
        (loop $again (br $again)))
    (func (export "outer") (param i32) (result i32) (call $swallow) (i32.const 3)))"#;

/// A guest whose host function calls `inner(traps)`.
fn swallowing(traps: i32, options: InstanceOptions) -> Result<Instance<Host>, Error> {
    let mut linker = linker(&ENGINE)?;
    linker.func_wrap_async("env", "swallow", move |mut guest: Caller<'_, Host>, ()| {
        Box::new(async move {
            let inner = guest.get_export("inner").and_then(Extern::into_func);
            let inner = inner.expect("the guest exports the function").typed::<i32, ()>(&guest)?;
            assert!(inner.call_async(&mut guest, traps).await.is_err());
            wasmtime::Result::Ok(())
        })
    })?;
    let pre = linker.instantiate_pre(&compile(&ENGINE, SWALLOWING)?)?;
    Instance::with_options(&pre, options, Host::default)
}

#[test]
fn a_timeout_that_a_host_function_swallows_is_the_end_of_the_call() -> Result<(), Error> {
    let timeout = Duration::from_millis(5);
    for (options, limit) in [
        (InstanceOptions::default().running_timeout(timeout), Timeout::Running),
        (InstanceOptions::default().elapsed_timeout(timeout), Timeout::Elapsed),
    ] {
        for &way in Way::ALL {
            // On a slow machine, the call may time out before it has begun. Then the test tries again.
            let (instance, outer, why) = loop {
                let instance = retry_timeouts(|| swallowing(0, options.clone()))?;
                let outer = instance.func::<i32, i32>("outer")?;
                match way.finish(&mut outer.call(0)?) {
                    Err(Error::TimedOut(why)) if !why.begun => assert!(!instance.is_poisoned()),
                    Err(Error::TimedOut(why)) => break (instance, outer, why),
                    end => panic!("{way:?}: {end:?}"),
                }
            };
            assert_eq!((&*why.name, why.limit), (r#"export "outer""#, limit));
            assert_poisoned(&instance, &outer)?;
        }
    }
    Ok(())
}

/// wasmtime reports a trap only to the caller. The documentation of poisoning names this limitation.
#[test]
fn a_trap_that_a_host_function_swallows_poisons_nothing() -> Result<(), Error> {
    let instance = swallowing(1, InstanceOptions::default())?;
    assert_eq!(instance.call::<i32, i32>("outer", 0)?.wait()?, 3);
    assert!(!instance.is_poisoned());
    assert_eq!(instance.memory("memory")?.read::<i32>(8)?, 1, "the inner call was half-way");
    Ok(())
}

/// wasmtime reports a trap only to the caller. So the caller poisons the instance.
#[test]
fn a_trap_in_a_call_of_the_stores_poisons_what_its_caller_says() -> Result<(), Error> {
    let module = compile(&ENGINE, r#"(module (func (export "trap") (param i32) (unreachable)))"#)?;
    let pre = Linker::<()>::new(&ENGINE).instantiate_pre(&module)?;
    let instance = Instance::new(&pre, ())?;
    let mut store = instance.store()?;
    let trap = store.instance()?.get_typed_func::<i32, ()>(&mut store, "trap")?;
    assert!(trap.call(&mut store, 0).is_err());
    assert!(!instance.is_poisoned());
    store.poison();
    assert!(instance.is_poisoned());
    drop(store);
    assert!(matches!(instance.call::<i32, ()>("trap", 0), Err(Error::Poisoned)));
    instance.clear_poison()?;
    assert!(!instance.is_poisoned());
    assert!(matches!(instance.call::<i32, ()>("trap", 0)?.wait(), Err(Error::Trap(_))));
    Ok(())
}

/// A linker for a guest that starts only if the host allows it.
fn picky() -> Result<Linker<Host>, Error> {
    let mut linker = linker(&ENGINE)?;
    linker.func_wrap("env", "may_start", |host: Caller<'_, Host>| {
        i32::from(host.data().done.is_set())
    })?;
    Ok(linker)
}

const PICKY: &str = r#"(module $picky
    (import "env" "may_start" (func $may_start (result i32)))
    (memory (export "memory") 1)
    (func $start (if (i32.eqz (call $may_start)) (then (unreachable))))
    (start $start)
    (func (export "double") (param i32) (result i32)
        (i32.mul (local.get 0) (i32.const 2))))"#;

#[test]
fn a_reset_whose_start_function_traps_leaves_the_instance_poisoned() -> Result<(), Error> {
    let well = || {
        let done = Flag::default();
        done.set();
        Host { done, ..Host::default() }
    };
    let pre = picky()?.instantiate_pre(&compile(&ENGINE, PICKY)?)?;
    assert!(matches!(Instance::new(&pre, Host::default()), Err(Error::Trap(_))));
    let instance = Instance::new(&pre, well())?;
    let double = instance.func::<i32, i32>("double")?;
    assert_eq!(double.call(4)?.wait()?, 8);

    for _ in 0..2 {
        assert!(matches!(
            instance.reset_with(Host { ticks: 9, ..Host::default() }),
            Err(Error::Trap(_))
        ));
        assert!(instance.is_poisoned());
        assert!(matches!(instance.call::<i32, i32>("double", 4), Err(Error::Poisoned)));
        assert!(matches!(double.call(4), Err(Error::Poisoned)));
        assert!(matches!(instance.func::<i32, i32>("double"), Err(Error::Poisoned)));
        assert!(matches!(instance.clear_poison(), Err(Error::Poisoned)));
        let mut store = instance.store()?;
        assert_eq!(store.data().ticks, 9, "the host's state is there, the guest is not");
        assert!(matches!(store.instance(), Err(Error::Poisoned)));
        assert!(matches!(store.memory("memory"), Err(Error::Poisoned)));
    }

    instance.reset_with(well())?;
    assert!(!instance.is_poisoned());
    assert_eq!(double.call(4)?.wait()?, 8);
    assert_eq!(instance.call::<i32, i32>("double", 5)?.wait()?, 10);
    Ok(())
}
