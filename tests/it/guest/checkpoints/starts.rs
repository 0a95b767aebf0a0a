//! The start function of a prepared module.

use super::super::ENGINE;
use super::next;
use std::time::Duration;
use wasm_jobs::wasmtime::Linker;
use wasm_jobs::{
    Error, Instance, InstanceOptions, InstancePool, OnReturn, PreparedPre, Timeout, add_yield,
    prepare,
};

/// A guest whose start function counts its runs, yields half-way, and tells its host.
const STARTER: &str = r#"(module $starter
    (import "env" "yield" (func $yield))
    (import "env" "started" (func $started))
    (global $n (mut i32) (i32.const 0))
    (func $start
        (global.set $n (i32.add (global.get $n) (i32.const 10)))
        (call $yield)
        (call $started))
    (func (export "next") (result i32)
        (global.set $n (i32.add (global.get $n) (i32.const 1)))
        (global.get $n))
    (start $start))"#;

fn starter() -> Result<PreparedPre<u32>, Error> {
    let module = prepare(&ENGINE, wat::parse_str(STARTER).expect("the text of a module"))?;
    let mut linker = Linker::<u32>::new(&ENGINE);
    add_yield(&mut linker, "env", "yield")?;
    linker.func_wrap("env", "started", |mut host: wasm_jobs::wasmtime::Caller<'_, u32>| {
        *host.data_mut() += 1;
    })?;
    module.instantiate_pre(&linker)
}

#[test]
fn it_runs_once_for_a_new_guest_and_not_for_one_that_goes_on() -> Result<(), Error> {
    let pre = starter()?;
    let instance = Instance::with_options(&pre, InstanceOptions::default(), || 0)?;
    assert_eq!(*instance.store()?.data(), 1);
    assert_eq!(next(&instance)?, 11);
    let here = instance.checkpoint()?;
    let twin = here.instantiate(&pre, 0)?;
    assert_eq!(*twin.store()?.data(), 0, "the start function did not run");
    assert_eq!(next(&twin)?, 12);
    instance.rollback(&here)?;
    assert_eq!(*instance.store()?.data(), 1);
    instance.reset()?;
    assert_eq!(*instance.store()?.data(), 1);
    assert_eq!(next(&instance)?, 11, "a reset starts anew");
    Ok(())
}

#[test]
fn it_keeps_to_the_limits() -> Result<(), Error> {
    let text = "(module (func $start loop br 0 end) (start $start))";
    let module = prepare(&ENGINE, wat::parse_str(text).expect("the text of a module"))?;
    let pre = module.instantiate_pre(&Linker::<()>::new(&ENGINE))?;
    let options = InstanceOptions::default().running_timeout(Duration::from_millis(10));
    let late = Instance::with_options(&pre, options, || ());
    assert!(
        matches!(&late, Err(Error::TimedOut(why)) if why.limit == Timeout::Running),
        "{late:?}"
    );
    Ok(())
}

#[test]
fn its_trap_is_an_error_of_the_instance() -> Result<(), Error> {
    let text = "(module (func $start unreachable) (start $start))";
    let module = prepare(&ENGINE, wat::parse_str(text).expect("the text of a module"))?;
    let pre = module.instantiate_pre(&Linker::<()>::new(&ENGINE))?;
    let trapped = Instance::new(&pre, ());
    assert!(matches!(trapped, Err(Error::Trap(_))), "{trapped:?}");
    Ok(())
}

#[test]
fn a_pool_of_instances_starts_each_guest_once() -> Result<(), Error> {
    let pre = starter()?;
    let make = move || Instance::with_options(&pre, InstanceOptions::default(), || 0);
    let pool = InstancePool::with_on_return(1, make, |_| OnReturn::Reset)?;
    for _ in 0..3 {
        let instance = pool.get_blocking()?;
        assert_eq!(instance.call::<(), i32>("next", ())?.wait()?, 11);
        assert_eq!(*instance.store()?.data(), 1);
    }
    Ok(())
}

#[test]
fn a_pool_of_instances_rolls_them_back_when_they_return() -> Result<(), Error> {
    let pre = starter()?;
    let here = Instance::new(&pre, 0)?.checkpoint()?;
    let make = {
        let here = here.clone();
        move || here.instantiate(&pre, 0)
    };
    let pool =
        InstancePool::with_on_return(1, make, move |instance| match instance.rollback(&here) {
            Ok(()) => OnReturn::Keep,
            Err(_) => OnReturn::Reset,
        })?;
    for _ in 0..3 {
        let instance = pool.get_blocking()?;
        assert_eq!(instance.call::<(), i32>("next", ())?.wait()?, 11);
        assert_eq!(*instance.store()?.data(), 0, "no start function has run");
    }
    assert_eq!((pool.stats().made, pool.stats().resets), (1, 0));
    Ok(())
}
