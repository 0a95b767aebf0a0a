//! Guests that run inside a host function of a guest that is asked to be frozen. The request is to the outer one alone.

use super::{DEEP, Log, freezable, linked, linker};
use wasm_jobs::wasmtime::Caller;
use wasm_jobs::{
    CannotFreeze, Error, Instance, InstanceOptions, ManualClock, PreparedPre, Step, prepare_with,
};

/// Yields three times, and gives 123.
const INNER: &str = r#"(module
    (import "env" "yield" (func $yield))
    (func (export "run") (result i32) (local $n i32)
        (call $yield)
        (local.set $n (i32.const 100))
        (call $yield)
        (local.set $n (i32.add (local.get $n) (i32.const 20)))
        (call $yield)
        (i32.add (local.get $n) (i32.const 3))))"#;

/// Runs another guest in `host.other`, between two yields.
const OUTER: &str = r#"(module
    (import "env" "yield" (func $yield))
    (import "host" "other" (func $other (result i32)))
    (func (export "run") (param $first i32) (result i32) (local $n i32)
        (if (local.get $first) (then (call $yield)))
        (local.set $n (call $other))
        (call $yield)
        (i32.add (local.get $n) (i32.const 1000))))"#;

/// The outer guest, whose host function is this.
fn outer(
    other: impl Fn() -> Result<i32, Error> + Send + Sync + 'static,
) -> Result<PreparedPre<Log>, Error> {
    let mut linker = linker(&DEEP, &ManualClock::new())?;
    linker.func_wrap("host", "other", move |caller: Caller<'_, Log>| {
        caller.data().push(1);
        Ok(other()?)
    })?;
    let wasm = wat::parse_str(OUTER).expect("the text of a module");
    prepare_with(&DEEP, wasm, &freezable())?.instantiate_pre(&linker)
}

/// Asks the outer guest before it comes to its host function, and after that.
fn check(outer: &PreparedPre<Log>, expected: i32) -> Result<(), Error> {
    for asks_before in [false, true] {
        let log = Log::default();
        let instance = Instance::new(outer, log.clone())?;
        let mut call = instance.call::<i32, i32>("run", asks_before.into())?;
        if asks_before {
            assert_eq!(call.resume()?, Step::Yielded);
            call = call.freeze()?.thaw(outer, InstanceOptions::default(), log.clone())?;
            assert_eq!(call.resume()?, Step::Yielded);
        }
        // The step in which it is asked runs the other guest.
        let mut frozen = None;
        for _ in 0..2 {
            match call.freeze() {
                Ok(it) if log.take() == [1] => frozen = Some(it),
                Ok(it) => {
                    // It had not left its first yield.
                    call = it.thaw(outer, InstanceOptions::default(), log.clone())?;
                    assert_eq!(call.resume()?, Step::Yielded);
                    assert_eq!(call.resume()?, Step::Yielded, "the other one has run");
                }
                Err(error) => return Err(error),
            }
            if frozen.is_some() {
                break;
            }
        }
        let frozen = frozen.expect("it was frozen after the other guest had run");
        let mut thawed = frozen.thaw(outer, InstanceOptions::default(), log.clone())?;
        assert_eq!(thawed.wait()?, expected + 1000);
        assert!(log.take().is_empty(), "no host function runs twice");
    }
    Ok(())
}

#[test]
fn a_guest_that_could_be_frozen_runs_to_its_end() -> Result<(), Error> {
    let inner = linked(&DEEP, INNER)?;
    let outer =
        outer(move || Instance::new(&inner, Log::default())?.call::<(), i32>("run", ())?.wait())?;
    check(&outer, 123)
}

#[test]
fn a_guest_is_frozen_and_thawed_while_the_outer_one_is_asked() -> Result<(), Error> {
    let inner = linked(&DEEP, INNER)?;
    let outer = outer(move || {
        let instance = Instance::new(&inner, Log::default())?;
        let mut call = instance.call::<(), i32>("run", ())?;
        for _ in 0..3 {
            let frozen = call.freeze()?;
            call = frozen.thaw(&inner, InstanceOptions::default(), Log::default())?;
            assert_eq!(call.resume()?, Step::Yielded, "as before");
            assert!(call.resume().is_ok());
        }
        call.wait()
    })?;
    check(&outer, 123)
}

#[test]
fn a_guest_that_is_refused_does_not_refuse_the_outer_one() -> Result<(), Error> {
    let mut linker = linker(&DEEP, &ManualClock::new())?;
    linker.allow_shadowing(true);
    let options =
        wasm_jobs::PrepareOptions::default().freezable(true).waits_in(|_, name| name != "yield");
    let wasm = wat::parse_str(INNER).expect("the text of a module");
    let inner = prepare_with(&DEEP, wasm, &options)?.instantiate_pre(&linker)?;
    let outer = outer(move || {
        let instance = Instance::new(&inner, Log::default())?;
        let mut call = instance.call::<(), i32>("run", ())?;
        let refused = call.freeze();
        let is_refused = matches!(refused, Err(Error::CannotFreeze(CannotFreeze::Function { .. })));
        assert!(is_refused, "{refused:?}");
        call.wait()
    })?;
    check(&outer, 123)
}

#[test]
fn a_guest_of_the_same_module_is_another_one() -> Result<(), Error> {
    // Both import the same functions, which have to tell the stores apart.
    let depth = std::sync::atomic::AtomicI32::new(0);
    let pre = std::sync::Arc::new(std::sync::OnceLock::<PreparedPre<Log>>::new());
    let again = pre.clone();
    let outer = outer(move || {
        use std::sync::atomic::Ordering::SeqCst;
        if depth.fetch_add(1, SeqCst) % 2 == 1 {
            return Ok(7);
        }
        let pre = again.get().expect("it was set");
        Instance::new(pre, Log::default())?.call::<i32, i32>("run", 0)?.wait()
    })?;
    assert!(pre.set(outer.clone()).is_ok());
    check(&outer, 1007)
}
