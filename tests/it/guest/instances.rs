//! Making instances: the start function, stores that a user made, the size of the pool.

use super::{ENGINE, Host, TOTAL, compile, instance, instance_of, linker, small_engine};
use crate::support::{Counter, Event, notifying};
use std::sync::mpsc;
use std::thread;
use wasm_jobs::wasmtime::{self, Caller, Store, StoreLimits, StoreLimitsBuilder};
use wasm_jobs::{EngineOptions, Error, Instance, engine, yield_now};

/// The start function calls `begin` of the host, and then sets a global.
const STARTING: &str = r#"(module $starting
    (import "env" "begin" (func $begin))
    (global (export "has_begun") (mut i32) (i32.const 0))
    (func $start (call $begin) (global.set 0 (i32.const 1)))
    (func (export "run") (result i32) (global.get 0))
    (start $start))"#;

type Begin = Box<dyn std::future::Future<Output = wasmtime::Result<()>> + Send>;

/// An instance whose start function calls `begin`.
fn starting(begin: impl Fn() -> Begin + Send + Sync + 'static) -> Result<Instance<Host>, Error> {
    let mut linker = linker(&ENGINE)?;
    linker.func_wrap_async("env", "begin", move |_: Caller<'_, Host>, ()| {
        let begin = begin();
        Box::new(Box::into_pin(begin))
    })?;
    Instance::new(&linker.instantiate_pre(&compile(&ENGINE, STARTING)?)?, Host::default())
}

#[derive(Debug, thiserror::Error)]
#[error("not today")]
struct NotToday;

#[test]
fn the_start_function_has_run_when_the_instance_is_there() -> Result<(), Error> {
    let instance = instance(
        r#"(module
            (import "env" "tick" (func $tick))
            (start $tick))"#,
    )?;
    assert_eq!(instance.store()?.data().ticks, 1);
    Ok(())
}

#[test]
fn a_start_function_that_yields_runs_to_its_end() -> Result<(), Error> {
    let steps = Counter::default();
    let counted = steps.clone();
    let instance = starting(move || {
        let steps = counted.clone();
        Box::new(async move {
            for _ in 0..5 {
                steps.add();
                yield_now().await;
            }
            Ok(())
        })
    })?;
    assert_eq!(steps.get(), 5);
    assert_eq!(instance.call::<(), i32>("run", ())?.wait()?, 1);
    Ok(())
}

#[test]
fn a_start_function_that_waits_is_waited_for() -> Result<(), Error> {
    let (event, (waiting, is_waiting)) = (Event::default(), mpsc::channel());
    let happens = event.clone();
    let setting = thread::spawn(move || {
        is_waiting.recv().expect("the start function runs");
        event.set();
    });
    let instance = starting(move || {
        let (waiting, happens) = (waiting.clone(), happens.happens());
        Box::new(async move {
            notifying(move || waiting.send(()).expect("the test is receiving"), happens).await;
            Ok(())
        })
    })?;
    setting.join().expect("the start function has waited");
    assert_eq!(instance.call::<(), i32>("run", ())?.wait()?, 1);
    Ok(())
}

#[test]
fn a_start_function_that_traps_gives_the_trap() -> Result<(), Error> {
    let made = instance(
        r#"(module
            (import "env" "yield" (func $yield))
            (func $start (call $yield) (unreachable))
            (start $start))"#,
    );
    match made {
        Err(Error::Trap(trap)) => {
            assert_eq!(trap.code(), wasmtime::Trap::UnreachableCodeReached);
            let backtrace = trap.backtrace().expect("the engine collects backtraces");
            assert_eq!(backtrace.frames()[0].func_name(), Some("start"));
        }
        other => panic!("{other:?}"),
    }
    Ok(())
}

#[test]
fn a_start_function_whose_host_function_fails_gives_the_error() {
    let made = starting(|| {
        Box::new(async {
            yield_now().await;
            Err(NotToday.into())
        })
    });
    match made {
        Err(Error::Host(error)) => assert!(error.downcast_ref::<NotToday>().is_some()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_start_function_whose_host_function_panics_gives_the_panic() {
    let made = starting(|| {
        Box::new(async {
            yield_now().await;
            panic!("not today");
        })
    });
    match made {
        Err(Error::Panic(panic)) => assert_eq!(panic.message().as_deref(), Some("not today")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_start_function_that_is_the_hosts_own_and_fails_gives_the_error_too() -> Result<(), Error> {
    let mut linker = linker(&ENGINE)?;
    linker.func_wrap("env", "begin", |_: Caller<'_, Host>| -> wasmtime::Result<()> {
        Err(NotToday.into())
    })?;
    let module =
        compile(&ENGINE, r#"(module (import "env" "begin" (func $begin)) (start $begin))"#)?;
    match Instance::new(&linker.instantiate_pre(&module)?, Host::default()) {
        // No function of the guest lies in between, so the library cannot tell an error of the host from one of wasmtime.
        Err(Error::Host(error) | Error::Wasmtime(error)) => {
            assert!(error.downcast_ref::<NotToday>().is_some());
        }
        other => panic!("{other:?}"),
    }
    Ok(())
}

#[test]
fn data_that_does_not_fit_is_a_trap_of_the_start() {
    match instance(r#"(module (memory 1) (data (i32.const 65535) "two"))"#) {
        Err(Error::Trap(trap)) => assert_eq!(trap.code(), wasmtime::Trap::MemoryOutOfBounds),
        other => panic!("{other:?}"),
    }
}

#[test]
fn instances_of_one_module_have_nothing_in_common() -> Result<(), Error> {
    let (one, other) = (instance(TOTAL)?, instance(TOTAL)?);
    let (mut of_one, mut of_other) =
        (one.call::<i32, i32>("add", 1)?, other.call::<i32, i32>("add", 10)?);
    let (mut step_of_one, mut step_of_other) = (of_one.resume()?, of_other.resume()?);
    while (step_of_one, step_of_other) != (wasm_jobs::Step::Done, wasm_jobs::Step::Done) {
        (step_of_one, step_of_other) = (of_one.resume()?, of_other.resume()?);
    }
    assert_eq!((of_one.wait()?, of_other.wait()?), (1, 10));
    Ok(())
}

#[test]
fn a_store_of_ones_own_keeps_its_limits() -> Result<(), Error> {
    let mut linker = wasmtime::Linker::<StoreLimits>::new(&ENGINE);
    wasm_jobs::add_yield(&mut linker, "env", "yield")?;
    let module = compile(
        &ENGINE,
        r#"(module
            (import "env" "yield" (func $yield))
            (memory (export "memory") 1)
            (func (export "grow") (param i32) (result i32)
                (call $yield)
                (memory.grow (local.get 0))))"#,
    )?;
    let limited_to = |pages: usize| {
        let limits = StoreLimitsBuilder::new().memory_size(pages * 65_536).build();
        let mut store = Store::new(&ENGINE, limits);
        store.limiter(|limits| limits);
        store
    };
    let instance = Instance::with_store(&linker.instantiate_pre(&module)?, limited_to(2))?;
    let grow = instance.func::<i32, i32>("grow")?;
    assert_eq!(grow.call(1)?.wait()?, 1);
    assert_eq!(grow.call(1)?.wait()?, -1);

    let mut in_progress = grow.call(1)?;
    assert!(matches!(instance.reset_with_store(limited_to(3)), Err(Error::CallInProgress)));
    let _ = in_progress.resume()?;
    drop(in_progress);
    assert!(instance.is_poisoned());
    instance.reset_with_store(limited_to(3))?;
    assert_eq!(grow.call(2)?.wait()?, 1);
    assert_eq!(grow.call(1)?.wait()?, -1);
    Ok(())
}

#[test]
fn an_instance_that_is_dropped_makes_room_in_the_pool() -> Result<(), Error> {
    let engine = engine(&EngineOptions::default().pooling(2))?;
    let mut instances = Vec::new();
    for _ in 0..2 {
        let instance = instance_of(&engine, TOTAL, Host::default())?;
        assert_eq!(instance.call::<i32, i32>("add", 1)?.wait()?, 1);
        instances.push(instance);
    }
    for _ in 0..10 {
        match instance_of(&engine, TOTAL, Host::default()) {
            Err(Error::TooManyInstances { instances, .. }) => assert_eq!(instances, 2),
            other => panic!("{other:?}"),
        }
        instances.remove(0);
        let instance = instance_of(&engine, TOTAL, Host::default())?;
        assert_eq!(instance.call::<i32, i32>("add", 1)?.wait()?, 1);
        instances.push(instance);
    }
    for instance in &instances {
        assert_eq!(instance.call::<i32, i32>("add", 1)?.wait()?, 2, "the others are undisturbed");
    }
    Ok(())
}

#[test]
fn a_pool_holds_as_many_guests_that_throw_as_it_says() -> Result<(), Error> {
    let engine = engine(&EngineOptions::default().pooling(2))?;
    let guest = r#"(module
        (memory (export "memory") 1)
        (tag $oops (param i32))
        (func (export "try") (param i32) (result i32)
            (block $caught (result i32)
                (try_table (catch $oops $caught) (throw $oops (local.get 0)))
                (unreachable))))"#;
    let instances = [
        instance_of(&engine, guest, Host::default())?,
        instance_of(&engine, guest, Host::default())?,
    ];
    for instance in &instances {
        assert_eq!(instance.call::<i32, i32>("try", 6)?.wait()?, 6);
    }
    let made = instance_of(&engine, guest, Host::default());
    assert!(matches!(made, Err(Error::TooManyInstances { instances: 2, .. })));
    Ok(())
}

#[test]
fn an_instance_in_a_full_pool_can_be_reset() -> Result<(), Error> {
    let engine = engine(&EngineOptions::default().pooling(1))?;
    let instance = instance_of(&engine, TOTAL, Host::default())?;
    for _ in 0..3 {
        assert_eq!(instance.call::<i32, i32>("add", 1)?.wait()?, 1);
        instance.reset_with(Host::default())?;
    }
    Ok(())
}

#[test]
fn an_instance_whose_start_fails_leaves_its_room_to_others() -> Result<(), Error> {
    let engine = engine(&EngineOptions::default().pooling(1))?;
    for _ in 0..3 {
        let made = instance_of(
            &engine,
            "(module (func $start (unreachable)) (start $start))",
            Host::default(),
        );
        assert!(matches!(made, Err(Error::Trap(_))));
    }
    let instance = instance_of(&engine, TOTAL, Host::default())?;
    assert_eq!(instance.call::<i32, i32>("add", 1)?.wait()?, 1);
    Ok(())
}

#[test]
fn a_call_keeps_its_room_in_the_pool_when_its_instance_is_dropped() -> Result<(), Error> {
    let engine = engine(&EngineOptions::default().pooling(1))?;
    let instance = instance_of(&engine, TOTAL, Host::default())?;
    let mut future = instance.call::<i32, i32>("add", 1)?;
    let _ = future.resume()?;
    drop(instance);
    let made = instance_of(&engine, TOTAL, Host::default());
    assert!(matches!(made, Err(Error::TooManyInstances { .. })));
    assert_eq!(future.wait()?, 1);
    let instance = instance_of(&engine, TOTAL, Host::default())?;
    assert_eq!(instance.call::<i32, i32>("add", 1)?.wait()?, 1);
    Ok(())
}

#[test]
fn instances_are_made_on_several_threads() -> Result<(), Error> {
    let engine = small_engine();
    let pre = linker(&engine)?.instantiate_pre(&compile(&engine, TOTAL)?)?;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let instance = Instance::new(&pre, Host::default())
                        .expect("the pool has room for four instances");
                    let mut future =
                        instance.call::<i32, i32>("add", 3).expect("the instance is free");
                    assert_eq!(future.wait().expect("the call does not fail"), 3);
                }
            });
        }
    });
    Ok(())
}
