//! What a call that was saved, refused or thawed leaves behind: for the call itself, and for those after it.

use super::{DEEP, Log, begin, deep, freezable, linker};
use std::thread::sleep;
use std::time::Duration;
use wasm_jobs::wasmtime::{AsContextMut, Caller, Engine, Linker, TypedFunc};
use wasm_jobs::{
    CannotFreeze, EngineOptions, Error, Instance, InstanceOptions, ManualClock, PreparedPre, Step,
    Timeout, add_yield, prepare_with,
};

/// `sum(n)` adds n numbers, and yields after each. `slow` calls a slow function of the host's, and yields. `add` changes a global between calls.
const GUEST: &str = r#"(module
    (import "env" "yield" (func $yield))
    (import "env" "sleep" (func $sleep (param i64)))
    (import "host" "slow" (func $slow))
    (import "host" "grant" (func $grant))
    (global $n (mut i32) (i32.const 0))
    (func (export "sum") (param $n i32) (result i32) (local $sum i32)
        (loop $next
            (local.set $sum (i32.add (local.get $sum) (local.get $n)))
            (global.set $n (i32.add (global.get $n) (i32.const 1)))
            (call $yield)
            (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (local.get $sum))
    (func (export "slow") (result i32) (call $slow) (call $yield) (i32.const 7))
    (func (export "nap") (result i32) (call $sleep (i64.const 1000)) (i32.const 8))
    (func (export "granted") (result i32) (local $left i32)
        (call $grant)
        (call $yield)
        (local.set $left (i32.const 2000))
        (loop $next (br_if $next (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
        (i32.const 9))
    (func (export "count") (result i32) (global.get $n)))"#;

/// How long `slow` takes, and the limit of a call. Instantiating counts as a call, and has to be in time on a busy machine, too.
const SLOW: Duration = Duration::from_millis(600);
const LIMIT: Duration = Duration::from_millis(500);

fn pre(engine: &Engine, clock: &ManualClock) -> Result<PreparedPre<Log>, Error> {
    let mut linker = linker(engine, clock)?;
    linker.func_wrap("host", "slow", || sleep(SLOW))?;
    linker.func_wrap("host", "grant", |mut caller: Caller<'_, Log>| {
        // Not each engine counts fuel.
        let _ = caller.as_context_mut().set_fuel(1_000_000);
    })?;
    prepare_with(engine, wat::parse_str(GUEST).unwrap(), &freezable())?.instantiate_pre(&linker)
}

#[test]
fn a_call_that_times_out_in_the_step_that_saves_it_leaves_no_trace() -> Result<(), Error> {
    let pre = pre(&DEEP, &ManualClock::new())?;
    let options = InstanceOptions::default().running_timeout(LIMIT);
    let instance = Instance::with_options(&pre, options, Log::default)?;
    let mut call = instance.call::<(), i32>("slow", ())?;
    assert!(matches!(call.freeze(), Err(Error::CannotFreeze(CannotFreeze::Ended))));
    let Err(Error::TimedOut(why)) = call.try_get_result() else { panic!("it was too slow") };
    assert_eq!(why.limit, Timeout::Running);
    assert!(instance.is_poisoned());
    instance.clear_poison()?;
    let mut sum = instance.call::<i32, i32>("sum", 3)?;
    assert_eq!(sum.resume()?, Step::Yielded, "it runs as ever");
    assert_eq!(sum.wait()?, 6);
    Ok(())
}

#[test]
fn a_thawed_call_that_is_dropped_before_its_first_step_leaves_a_poisoned_instance()
-> Result<(), Error> {
    let pre = pre(&DEEP, &ManualClock::new())?;
    let (instance, mut call) = begin::<_, i32>(&pre, "sum", 3)?;
    assert_eq!(call.resume()?, Step::Yielded);
    let here = call.checkpoint()?;
    drop(call);
    for is_cancelled in [false, true] {
        let mut thawed = instance.thaw(&here)?;
        assert!(!instance.is_poisoned());
        if is_cancelled {
            thawed.cancel();
        }
        drop(thawed);
        assert!(instance.is_poisoned(), "it is half-way through the call");
    }
    let (other, thawed) =
        here.thaw_with_instance(&pre, InstanceOptions::default(), Log::default())?;
    drop(thawed);
    assert!(other.is_poisoned());
    assert_eq!(instance.thaw(&here)?.wait()?, 6);
    Ok(())
}

#[test]
fn checkpoints_without_a_step_between_them_are_of_one_place() -> Result<(), Error> {
    let clock = ManualClock::new();
    let pre = pre(&DEEP, &clock)?;
    let (_instance, mut call) = begin::<_, i32>(&pre, "sum", 3)?;
    assert_eq!(call.resume()?, Step::Yielded);
    let first = call.checkpoint()?.to_bytes();
    for _ in 0..5 {
        assert_eq!(call.checkpoint()?.to_bytes(), first);
    }
    assert_eq!(call.freeze()?.to_bytes(), first);

    // So many that a wait inside of a wait for each would take all of the stack.
    let (_instance, mut call) = begin::<_, i32>(&pre, "nap", ())?;
    assert_eq!(call.resume()?, Step::Waiting);
    let first = call.checkpoint()?.to_bytes();
    for _ in 0..20_000 {
        let _ = call.checkpoint()?;
    }
    assert_eq!(call.checkpoint()?.to_bytes(), first);
    clock.tick(Duration::from_nanos(1_000));
    assert_eq!(call.wait()?, 8);
    Ok(())
}

#[test]
fn fuel_that_the_host_has_granted_stays() -> Result<(), Error> {
    let pre = pre(&deep(&EngineOptions::default().fuel(true)), &ManualClock::new())?;
    let options = InstanceOptions::default().fuel(1_000);
    let instance = Instance::with_options(&pre, options, Log::default)?;
    let mut call = instance.call::<(), i32>("granted", ())?;
    assert_eq!(call.resume()?, Step::Yielded);
    let _ = call.checkpoint()?;
    let left = instance.fuel_remaining()?;
    assert!((999_000..1_000_000).contains(&left), "{left}");
    assert_eq!(call.wait()?, 9);
    let left = instance.fuel_remaining()?;
    assert!((900_000..999_000).contains(&left), "{left}");
    Ok(())
}

/// The function that the host calls.
type Around = Option<TypedFunc<(), i32>>;

/// The host's function is the outermost one, and has no frame.
#[test]
fn a_call_that_an_exported_import_has_made_is_nested() -> Result<(), Error> {
    let text = r#"(module
        (import "env" "yield" (func $yield))
        (import "host" "around" (func $around (result i32)))
        (func (export "inner") (result i32) (call $yield) (i32.const 5))
        (export "run" (func $around)))"#;
    let mut linker = Linker::<Around>::new(&DEEP);
    add_yield(&mut linker, "env", "yield")?;
    linker.func_wrap_async("host", "around", |mut caller: Caller<'_, Around>, ()| {
        Box::new(async move {
            let inner = caller.data().clone().expect("the test has set it");
            Ok(inner.call_async(caller.as_context_mut(), ()).await? * 2)
        })
    })?;
    let module = prepare_with(&DEEP, wat::parse_str(text).unwrap(), &freezable())?;
    let pre = module.instantiate_pre(&linker)?;
    let instance = Instance::new(&pre, None)?;
    {
        let mut store = instance.store()?;
        let (mut store, exports) = store.parts()?;
        let inner = exports.get_typed_func::<(), i32>(&mut store, "inner").unwrap();
        *store.data_mut() = Some(inner);
    }
    let mut call = instance.call::<(), i32>("run", ())?;
    match call.freeze() {
        Err(Error::CannotFreeze(CannotFreeze::Nested)) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(call.wait()?, 10);
    Ok(())
}
