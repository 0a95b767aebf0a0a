//! Calls that fail: traps, errors and panics of the host, uncaught exceptions.

use super::{ENGINE, Host, PRIMES, compile, instance_of, linker};
use crate::support::{Way, workers};
use std::error::Error as _;
use wasm_jobs::wasmtime::{self, AsContextMut as _, Caller, Extern, Linker, Trap};
use wasm_jobs::{
    EngineOptions, Error, Future, Instance, InstanceOptions, JobPool, engine, yield_now,
};

/// Exports that yield a given number of times and then fail. Each is named after its failure.
pub(super) const FAILING: &str = r#"(module $failing
    (import "env" "yield" (func $yield))
    (import "env" "refuse" (func $host_refuse))
    (import "env" "refuse_later" (func $host_refuse_later))
    (import "env" "panic" (func $host_panic))
    (import "env" "panic_later" (func $host_panic_later))
    (type $nothing (func))
    (memory (export "memory") 1)
    (table 3 funcref)
    (elem (i32.const 0) $yield_times)
    (tag $oops (param i32))
    (global $failures (export "begun") (mut i32) (i32.const 0))

    (func $yield_times (param i32)
        (global.set $failures (i32.add (global.get $failures) (i32.const 1)))
        (block $end
            (loop $next
                (br_if $end (i32.eqz (local.get 0)))
                (call $yield)
                (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
                (br $next))))

    (func (export "succeed") (param i32) (result i32)
        (call $yield_times (local.get 0)) (i32.const 7))

    (func $unreachable (export "unreachable") (param i32)
        (call $yield_times (local.get 0)) (unreachable))
    (func $divide_by_zero (export "divide_by_zero") (param i32)
        (call $yield_times (local.get 0)) (drop (i32.div_s (i32.const 1) (i32.const 0))))
    (func $overflow (export "overflow") (param i32)
        (call $yield_times (local.get 0))
        (drop (i32.div_s (i32.const 0x80000000) (i32.const -1))))
    (func $convert_nan (export "convert_nan") (param i32)
        (call $yield_times (local.get 0)) (drop (i32.trunc_f32_s (f32.const nan))))
    (func $read_outside (export "read_outside") (param i32)
        (call $yield_times (local.get 0)) (drop (i32.load (i32.const 65536))))
    (func $call_outside (export "call_outside") (param i32)
        (call $yield_times (local.get 0)) (call_indirect (type $nothing) (i32.const 9)))
    (func $call_null (export "call_null") (param i32)
        (call $yield_times (local.get 0)) (call_indirect (type $nothing) (i32.const 1)))
    (func $call_other_type (export "call_other_type") (param i32)
        (call $yield_times (local.get 0)) (call_indirect (type $nothing) (i32.const 0)))
    (func $recurse (result i32) (i32.add (call $recurse) (i32.const 1)))
    (func $exhaust_stack (export "exhaust_stack") (param i32)
        (call $yield_times (local.get 0)) (drop (call $recurse)))

    (func $throw (export "throw") (param i32)
        (call $yield_times (local.get 0)) (throw $oops (i32.const 1)))
    (func (export "refuse") (param i32) (call $yield_times (local.get 0)) (call $host_refuse))
    (func (export "refuse_later") (param i32)
        (call $yield_times (local.get 0)) (call $host_refuse_later))
    (func (export "panic") (param i32) (call $yield_times (local.get 0)) (call $host_panic))
    (func (export "panic_later") (param i32)
        (call $yield_times (local.get 0)) (call $host_panic_later)))"#;

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("the door is locked with {locks} locks")]
pub(super) struct Locked {
    locks: u32,
    source: Rusty,
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("the key is rusty")]
pub(super) struct Rusty;

const LOCKED: Locked = Locked { locks: 3, source: Rusty };

fn burn() {
    panic!("the door is on fire");
}

pub(super) fn failing_linker(engine: &wasmtime::Engine) -> Result<Linker<Host>, Error> {
    let mut linker = linker(engine)?;
    linker.func_wrap("env", "refuse", || -> wasmtime::Result<()> { Err(LOCKED.into()) })?;
    linker.func_wrap("env", "panic", burn)?;
    linker.func_wrap_async("env", "refuse_later", |_: Caller<'_, Host>, ()| {
        Box::new(async {
            yield_now().await;
            Err::<(), _>(LOCKED.into())
        })
    })?;
    linker.func_wrap_async("env", "panic_later", |_: Caller<'_, Host>, ()| {
        Box::new(async {
            yield_now().await;
            burn()
        })
    })?;
    Ok(linker)
}

pub(super) fn failing() -> Result<Instance<Host>, Error> {
    let pre = failing_linker(&ENGINE)?.instantiate_pre(&compile(&ENGINE, FAILING)?)?;
    Instance::new(&pre, Host::default())
}

type IsRight = fn(&Error) -> bool;

/// The exports that fail, each with a check for its error.
pub(super) const FAILURES: &[(&str, IsRight)] = &[
    ("unreachable", |error| is_trap(error, Trap::UnreachableCodeReached)),
    ("divide_by_zero", |error| is_trap(error, Trap::IntegerDivisionByZero)),
    ("overflow", |error| is_trap(error, Trap::IntegerOverflow)),
    ("convert_nan", |error| is_trap(error, Trap::BadConversionToInteger)),
    ("read_outside", |error| is_trap(error, Trap::MemoryOutOfBounds)),
    ("call_outside", |error| is_trap(error, Trap::TableOutOfBounds)),
    ("call_null", |error| is_trap(error, Trap::IndirectCallToNull)),
    ("call_other_type", |error| is_trap(error, Trap::BadSignature)),
    ("exhaust_stack", |error| is_trap(error, Trap::StackOverflow)),
    ("throw", |error| matches!(error, Error::UncaughtException)),
    ("refuse", is_locked),
    ("refuse_later", is_locked),
    ("panic", is_fire),
    ("panic_later", is_fire),
];

fn is_trap(error: &Error, code: Trap) -> bool {
    matches!(error, Error::Trap(trap) if trap.code() == code)
}

fn is_locked(error: &Error) -> bool {
    matches!(error, Error::Host(error) if error.downcast_ref() == Some(&LOCKED))
}

fn is_fire(error: &Error) -> bool {
    matches!(error, Error::Panic(panic) if panic.message().as_deref() == Some("the door is on fire"))
}

#[test]
fn each_failure_is_given_as_what_it_is_whichever_way_the_call_came_to_it() -> Result<(), Error> {
    let instance = failing()?;
    for &way in Way::ALL {
        for &(export, is_right) in FAILURES {
            for yields in [0, 3] {
                let mut future = instance.call::<i32, ()>(export, yields)?;
                let error = way.finish(&mut future).expect_err("the call fails");
                assert!(is_right(&error), "{export} {way:?}: {error:?}");
                assert!(future.is_disposed());
                assert!(matches!(future.try_get_result(), Err(Error::ResultTaken)));
                instance.clear_poison()?;
                let mut well = instance.call::<i32, i32>("succeed", yields)?;
                assert_eq!(way.finish(&mut well)?, 7, "{export} {way:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn a_trap_tells_where_the_guest_was() -> Result<(), Error> {
    let instance = failing()?;
    for export in ["unreachable", "divide_by_zero", "read_outside", "call_null"] {
        let error = instance.call::<i32, ()>(export, 1)?.wait().expect_err("the guest traps");
        let message = error.to_string();
        let Error::Trap(trap) = error else { panic!("{error:?}") };
        let backtrace = trap.backtrace().expect("the engine collects backtraces");
        let names: Vec<_> = backtrace.frames().iter().map(|frame| frame.func_name()).collect();
        assert_eq!(names, [Some(export)]);
        assert!(message.contains(export), "{message}");
        assert!(message.contains(&trap.code().to_string()), "{message}");
        assert!(trap.source().is_some());
        instance.clear_poison()?;
    }

    let error = instance.call::<i32, ()>("exhaust_stack", 0)?.wait().expect_err("the guest traps");
    let Error::Trap(trap) = error else { panic!("{error:?}") };
    let backtrace = trap.backtrace().expect("the engine collects backtraces");
    assert_eq!(backtrace.frames()[0].func_name(), Some("recurse"));
    Ok(())
}

#[test]
fn a_host_error_keeps_its_sources() -> Result<(), Error> {
    let instance = failing()?;
    for export in ["refuse", "refuse_later"] {
        let error = instance.call::<i32, ()>(export, 0)?.wait().expect_err("the call fails");
        let mut messages = vec![error.to_string()];
        let mut source = error.source();
        while let Some(error) = source {
            messages.push(error.to_string());
            source = error.source();
        }
        let messages = messages.join(" | ");
        assert!(messages.contains("the door is locked with 3 locks"), "{messages}");
        assert!(messages.contains("the key is rusty"), "{messages}");
        let Error::Host(error) = error else { panic!("{error:?}") };
        assert_eq!(
            error
                .downcast_ref::<Locked>()
                .and_then(|locked| locked.source().and_then(|source| source.downcast_ref())),
            Some(&Rusty)
        );
        assert_eq!(
            error.downcast::<Locked>().expect("the error is the one that the host returned"),
            LOCKED
        );
        instance.clear_poison()?;
    }
    Ok(())
}

#[test]
fn a_host_function_that_the_guest_exports_fails_as_a_host_function() -> Result<(), Error> {
    let pre = failing_linker(&ENGINE)?.instantiate_pre(&compile(
        &ENGINE,
        r#"(module
            (import "env" "refuse" (func $refuse))
            (import "env" "panic" (func $panic))
            (export "refuse" (func $refuse))
            (export "panic" (func $panic)))"#,
    )?)?;
    let instance = Instance::new(&pre, Host::default())?;
    let error = instance.call::<(), ()>("refuse", ())?.wait().expect_err("the call fails");
    assert!(is_locked(&error), "{error:?}");
    instance.clear_poison()?;
    let error = instance.call::<(), ()>("panic", ())?.wait().expect_err("the call fails");
    assert!(is_fire(&error), "{error:?}");
    Ok(())
}

#[test]
fn failures_without_backtraces_are_what_they_are() -> Result<(), Error> {
    let mut config = EngineOptions::default().on_demand().config();
    config.wasm_backtrace_max_frames(None);
    let engine = wasmtime::Engine::new(&config)?;
    let pre = failing_linker(&engine)?.instantiate_pre(&compile(&engine, FAILING)?)?;
    let instance = Instance::new(&pre, Host::default())?;
    for &(export, is_right) in FAILURES {
        let error = instance.call::<i32, ()>(export, 1)?.wait().expect_err("the call fails");
        assert!(is_right(&error), "{export}: {error:?}");
        if let Error::Trap(trap) = &error {
            assert!(trap.backtrace().is_none());
            assert!(error.to_string().contains(&trap.code().to_string()), "{error}");
        }
        instance.clear_poison()?;
    }
    Ok(())
}

#[test]
fn a_trap_that_the_host_gives_is_a_trap() -> Result<(), Error> {
    let mut linker = Linker::<()>::new(&ENGINE);
    linker.func_wrap("env", "interrupt", || -> wasmtime::Result<()> {
        Err(Trap::Interrupt.into())
    })?;
    let module = compile(
        &ENGINE,
        r#"(module (import "env" "interrupt" (func $f)) (func (export "run") (call $f)))"#,
    )?;
    let instance = Instance::new(&linker.instantiate_pre(&module)?, ())?;
    let error = instance.call::<(), ()>("run", ())?.wait().expect_err("the guest traps");
    assert!(is_trap(&error, Trap::Interrupt), "{error:?}");
    Ok(())
}

#[test]
fn an_exception_that_the_guest_catches_is_no_failure_even_across_a_yield() -> Result<(), Error> {
    let instance = instance_of(
        &ENGINE,
        r#"(module
            (import "env" "yield" (func $yield))
            (tag $oops (param i32))
            (func $throws (param i32) (call $yield) (throw $oops (local.get 0)))
            (func (export "try") (param i32) (result i32)
                (block $caught (result i32)
                    (try_table (catch $oops $caught)
                        (call $yield)
                        (call $throws (local.get 0)))
                    (unreachable))))"#,
        Host::default(),
    )?;
    for &way in Way::ALL {
        let mut future = instance.call::<i32, i32>("try", 5)?;
        assert_eq!(way.finish(&mut future)?, 5, "{way:?}");
    }
    assert!(!instance.is_poisoned());
    Ok(())
}

#[test]
fn exceptions_that_nobody_catches_leave_nothing_behind() -> Result<(), Error> {
    let instance = failing()?;
    for _ in 0..50 {
        let error = instance.call::<i32, ()>("throw", 0)?.wait().expect_err("the guest throws");
        assert!(matches!(error, Error::UncaughtException), "{error:?}");
        assert!(!instance.store()?.as_context_mut().has_pending_exception());
        instance.clear_poison()?;
        assert_eq!(instance.call::<i32, i32>("succeed", 0)?.wait()?, 7);
    }
    Ok(())
}

/// `throw` throws an exception and catches none; `keep(n)` throws and catches n exceptions, and keeps all of them.
const EXCEPTIONS: &str = r#"(module
    (import "env" "throw_inside" (func $throw_inside))
    (tag $oops (param i32))
    (table $kept (export "kept") 100000 exnref)
    (func (export "throw") (throw $oops (i32.const 1)))
    (func (export "throw_inside") (call $throw_inside))
    (func $catch (param $n i32)
        (table.set $kept (local.get $n)
            (block $caught (result exnref)
                (try_table (catch_all_ref $caught) (throw $oops (i32.const 1)))
                (unreachable))))
    (func (export "keep") (param $count i32) (local $n i32)
        (loop $again
            (call $catch (local.get $n))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $n) (local.get $count))))))"#;

/// An instance with 1 MiB for its memory and its exceptions.
fn throwing() -> Result<Instance<Host>, Error> {
    let engine = engine(&EngineOptions::default().on_demand())?;
    let mut linker = linker(&engine)?;
    linker.func_wrap_async("env", "throw_inside", |mut guest: Caller<'_, Host>, ()| {
        Box::new(async move {
            let throw = guest.get_export("throw").and_then(Extern::into_func);
            let throw = throw.expect("the guest exports the function").typed::<(), ()>(&guest)?;
            let thrown = throw.call_async(&mut guest, ()).await;
            assert!(thrown.is_err());
            // The exception is still in the store. The call fails with this error.
            Err::<(), _>(LOCKED.into())
        })
    })?;
    let pre = linker.instantiate_pre(&compile(&engine, EXCEPTIONS)?)?;
    Instance::with_options(&pre, InstanceOptions::default().memory(1 << 20), Host::default)
}

#[test]
fn exceptions_that_nobody_catches_use_up_no_memory() -> Result<(), Error> {
    let instance = throwing()?;
    let throw = instance.func::<(), ()>("throw")?;
    let throw_inside = instance.func::<(), ()>("throw_inside")?;
    for n in 0..20_000 {
        let end = throw.call(())?.wait();
        assert!(matches!(end, Err(Error::UncaughtException)), "{n}: {end:?}");
        instance.clear_poison()?;
    }
    for n in 0..20_000 {
        let end = throw_inside.call(())?.wait();
        assert!(matches!(&end, Err(error) if is_locked(error)), "{n}: {end:?}");
        assert!(!instance.store()?.as_context_mut().has_pending_exception());
        instance.clear_poison()?;
    }
    Ok(())
}

#[test]
fn a_guest_that_keeps_more_exceptions_than_it_has_memory_for() -> Result<(), Error> {
    let instance = throwing()?;
    let keep = instance.func::<i32, ()>("keep")?;
    keep.call(1_000)?.wait()?;
    let error = keep.call(100_000)?.wait().expect_err("the exceptions use up the memory");
    assert!(matches!(error, Error::GcHeapOutOfMemory(_)), "{error:?}");
    let message = error.to_string();
    assert!(message.starts_with("the guest keeps more exceptions than"), "{message}");
    assert!(instance.is_poisoned());
    instance.reset()?;
    keep.call(1_000)?.wait()
}

#[test]
fn a_failure_takes_down_no_worker_and_no_other_call() -> Result<(), Error> {
    let pool = workers(1);
    let (failing, other) = (failing()?, instance_of(&ENGINE, PRIMES, Host::default())?);
    let mut undisturbed = other.call::<(i32, i32), i32>("count_primes", (0, 10_000))?;
    let handle = pool.submit(undisturbed.to_job()?);
    for &(export, is_right) in FAILURES {
        let mut future = failing.call::<i32, ()>(export, 2)?;
        pool.submit(future.to_job()?).wait();
        let error = future.try_get_result().expect_err("the call fails");
        assert!(is_right(&error), "{export}: {error:?}");
        failing.clear_poison()?;
    }
    handle.wait();
    assert_eq!(undisturbed.try_get_result()?, Some(1229));
    let mut after = Future::new(async { Ok(()) });
    pool.submit(after.to_job()?).wait();
    assert_eq!(after.try_get_result()?, Some(()));
    Ok(())
}

#[cfg(feature = "rayon")]
#[test]
fn a_failure_takes_down_no_worker_of_rayons() -> Result<(), Error> {
    let pool = crate::rayon_pools::pool(1);
    let worker = pool.install(|| std::thread::current().id());
    let failing = failing()?;
    for &(export, is_right) in FAILURES {
        let mut future = failing.call::<i32, ()>(export, 2)?;
        pool.submit(future.to_job()?).wait();
        let error = future.try_get_result().expect_err("the call fails");
        assert!(is_right(&error), "{export}: {error:?}");
        failing.clear_poison()?;
    }
    assert_eq!(pool.install(|| std::thread::current().id()), worker);
    Ok(())
}

#[test]
fn a_guests_stack_is_as_large_as_the_engines_options_say() -> Result<(), Error> {
    const DEPTH: &str = r#"(module
        (func $dive (export "dive") (param i32) (result i32)
            (if (result i32) (i32.eqz (local.get 0))
                (then (i32.const 0))
                (else
                    (i32.add
                        (i32.const 1)
                        (call $dive (i32.sub (local.get 0) (i32.const 1))))))))"#;
    let small = engine(&EngineOptions::default().pooling(1).wasm_stack(32 * 1024))?;
    let large = engine(&EngineOptions::default().pooling(1).wasm_stack(8 * 1024 * 1024))?;
    let instance = instance_of(&small, DEPTH, Host::default())?;
    let error =
        instance.call::<i32, i32>("dive", 10_000)?.wait().expect_err("the recursion is too deep");
    assert!(is_trap(&error, Trap::StackOverflow), "{error:?}");
    let instance = instance_of(&large, DEPTH, Host::default())?;
    assert_eq!(instance.call::<i32, i32>("dive", 10_000)?.wait()?, 10_000);
    Ok(())
}
