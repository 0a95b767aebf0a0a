//! Calls whose results have a trap as a value: they are frozen and go on as such.

use super::{DEEP, Log, linked};
use std::time::Duration;
use wasm_jobs::wasmtime::Trap as Code;
use wasm_jobs::{
    Error, Frozen, Instance, InstanceOptions, PreparedPre, Step, Timeout, Trap,
    func_wrap_resumable, prepare_with, yield_now,
};

/// `divide` yields twice, three functions deep, and divides. `pair` gives two values. `forever` never ends.
const GUEST: &str = r#"(module
    (import "env" "yield" (func $yield))
    (func $inner (param i32 i32) (result i32)
        (call $yield)
        (call $yield)
        (i32.div_s (local.get 0) (local.get 1)))
    (func $divide (export "divide") (param i32 i32) (result i32)
        (i32.add (call $inner (local.get 0) (local.get 1)) (i32.const 1)))
    (func (export "pair") (result i32 i64) (call $yield) (i32.const 7) (i64.const 8))
    (func (export "forever") (call $yield) (loop $again (br $again))))"#;

/// The call as it goes on, frozen at each of its suspensions, through bytes as well.
fn frozen_everywhere(
    pre: &PreparedPre<Log>,
    by: i32,
) -> Result<(Instance<Log>, Result<i32, Trap>), Error> {
    let mut instance = Instance::new(pre, Log::default())?;
    let mut call = instance.try_call::<(i32, i32), i32>("divide", (84, by))?;
    let mut times = 0;
    while call.resume()? != Step::Done {
        let frozen: Frozen<Result<i32, Trap>> = call.freeze()?;
        let frozen = Frozen::<Result<i32, Trap>>::from_bytes(pre, &frozen.to_bytes())?;
        assert_eq!(frozen.export(), "divide");
        (instance, call) =
            frozen.thaw_with_instance(pre, InstanceOptions::default(), Log::default())?;
        assert_eq!(call.resume()?, Step::Yielded);
        times += 1;
    }
    assert_eq!(times, 2);
    Ok((instance, call.try_get_result()?.expect("the call has ended")))
}

#[test]
fn a_thawed_call_gives_its_result_or_its_trap_as_a_value() -> Result<(), Error> {
    let pre = linked(&DEEP, GUEST)?;
    let (instance, result) = frozen_everywhere(&pre, 2)?;
    assert_eq!(result.expect("it does not trap"), 43);
    assert!(!instance.is_poisoned());

    let (instance, result) = frozen_everywhere(&pre, 0)?;
    let trap = result.expect_err("nothing can be divided by zero");
    assert_eq!(trap.code(), Code::IntegerDivisionByZero);
    assert!(instance.is_poisoned(), "a trap poisons, as a value, too");
    Ok(())
}

#[test]
fn an_instance_goes_back_to_before_the_trap() -> Result<(), Error> {
    let pre = linked(&DEEP, GUEST)?;
    let instance = Instance::new(&pre, Log::default())?;
    let mut call = instance.try_call::<(i32, i32), i32>("divide", (1, 0))?;
    assert_eq!(call.resume()?, Step::Yielded);
    let here = call.checkpoint()?;
    assert!(call.wait()?.is_err());
    for _ in 0..3 {
        let mut call = instance.thaw(&here)?;
        let trap = call.wait()?.expect_err("it traps each time");
        assert_eq!(trap.code(), Code::IntegerDivisionByZero);
    }
    Ok(())
}

#[test]
fn the_owner_may_choose_anew_what_a_trap_is() -> Result<(), Error> {
    let pre = linked(&DEEP, GUEST)?;
    let instance = Instance::new(&pre, Log::default())?;
    let mut call = instance.call::<(i32, i32), i32>("divide", (1, 0))?;
    let bytes = call.freeze()?.to_bytes();
    let as_value = Frozen::<Result<i32, Trap>>::from_bytes(&pre, &bytes)?;
    let mut call = as_value.thaw(&pre, InstanceOptions::default(), Log::default())?;
    assert!(call.wait()?.is_err());
    let as_error = Frozen::<i32>::from_bytes(&pre, &bytes)?;
    let mut call = as_error.thaw(&pre, InstanceOptions::default(), Log::default())?;
    assert!(matches!(call.wait(), Err(Error::Trap(_))));

    // The results still have to be those of the export.
    let other = Frozen::<Result<i64, Trap>>::from_bytes(&pre, &bytes)?;
    let refused = other.thaw(&pre, InstanceOptions::default(), Log::default());
    assert!(matches!(refused, Err(Error::InvalidFrozen { .. })), "{refused:?}");

    let mut call = instance_of(&pre)?.try_call::<(), (i32, i64)>("pair", ())?;
    let frozen = call.freeze()?;
    let mut call = frozen.thaw(&pre, InstanceOptions::default(), Log::default())?;
    assert_eq!(call.wait()?.expect("it does not trap"), (7, 8));
    Ok(())
}

#[test]
fn other_failures_are_still_errors() -> Result<(), Error> {
    let pre = linked(&DEEP, GUEST)?;
    let mut call = instance_of(&pre)?.try_call::<(), ()>("forever", ())?;
    let frozen = call.freeze()?;
    let limit = InstanceOptions::default().running_timeout(Duration::from_millis(200));
    let mut call = frozen.thaw(&pre, limit, Log::default())?;
    let Err(Error::TimedOut(why)) = call.wait() else { panic!("it never ends") };
    assert_eq!(why.limit, Timeout::Running);
    Ok(())
}

#[test]
fn a_parked_call_gives_its_trap_as_a_value() -> Result<(), Error> {
    let text = r#"(module
        (import "host" "pause" (func $pause))
        (func (export "run") (param i32) (result i32)
            (call $pause)
            (i32.div_s (i32.const 6) (local.get 0))))"#;
    let mut linker = super::linker(&DEEP, &wasm_jobs::ManualClock::new())?;
    func_wrap_resumable(&mut linker, "host", "pause", |_, (): ()| yield_now())?;
    let wasm = wat::parse_str(text).unwrap();
    let pre = prepare_with(&DEEP, wasm, &super::freezable())?.instantiate_pre(&linker)?;
    let options = InstanceOptions::default().park_after(Duration::ZERO);
    for (by, expected) in [(2, Some(3)), (0, None)] {
        let mut call = instance_of(&pre)?.try_call::<i32, i32>("run", by)?;
        let frozen = call.freeze()?;
        let mut call = frozen.thaw(&pre, options.clone(), Log::default())?;
        assert_eq!(call.wait()?.ok(), expected);
    }
    Ok(())
}

fn instance_of(pre: &PreparedPre<Log>) -> Result<Instance<Log>, Error> {
    Instance::new(pre, Log::default())
}
