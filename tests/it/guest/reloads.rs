//! Hot reload: `Instance::reset_to`.

use super::{ENGINE, Host, compile, linker, small_engine};
use crate::support::Flag;
use wasm_jobs::wasmtime::InstancePre;
use wasm_jobs::{Error, Instance, InstanceOptions, Step};

/// The module of a version: `version` gives it, and `wait` waits in the host.
fn version(number: i32) -> Result<InstancePre<Host>, Error> {
    let text = format!(
        r#"(module $v{number}
            (import "env" "wait" (func $wait))
            (memory (export "memory") 1)
            (func (export "version") (result i32) (i32.const {number}))
            (func (export "wait") (call $wait)))"#
    );
    Ok(linker(&ENGINE)?.instantiate_pre(&compile(&ENGINE, &text)?)?)
}

fn instance() -> Result<Instance<Host>, Error> {
    Instance::with_options(&version(1)?, InstanceOptions::default(), || Host {
        ticks: 7,
        ..Host::default()
    })
}

#[test]
fn functions_that_were_looked_up_call_the_new_module() -> Result<(), Error> {
    let instance = instance()?;
    let func = instance.func::<(), i32>("version")?;
    assert_eq!(func.call(())?.wait()?, 1);
    instance.store()?.data_mut().ticks = 9;
    instance.reset_to(&version(2)?)?;
    assert_eq!(func.call(())?.wait()?, 2);
    assert_eq!(instance.store()?.data().ticks, 7, "the state is new, too");
    instance.reset()?;
    assert_eq!(func.call(())?.wait()?, 2, "a reset stays with the new module");
    instance.reset_to_with(&version(3)?, Host { ticks: 11, ..Host::default() })?;
    assert_eq!(func.call(())?.wait()?, 3);
    assert_eq!(instance.store()?.data().ticks, 11);
    assert!(format!("{instance:?}").contains("v3"), "{instance:?}");
    Ok(())
}

#[test]
fn memory_is_carried_over_by_the_host() -> Result<(), Error> {
    let instance = instance()?;
    let saved = {
        let mut store = instance.store()?;
        let memory = store.memory("memory")?;
        memory.write(&mut store, 64, b"score 42").unwrap();
        memory.data(&store).to_vec()
    };
    instance.reset_to(&version(2)?)?;
    let mut store = instance.store()?;
    let memory = store.memory("memory")?;
    assert_eq!(memory.data(&store)[64..72], [0; 8]);
    memory.write(&mut store, 0, &saved).unwrap();
    assert_eq!(&memory.data(&store)[64..72], b"score 42");
    Ok(())
}

#[test]
fn a_call_that_waits_refuses_it_until_it_has_ended() -> Result<(), Error> {
    let instance = instance()?;
    let mut future = instance.call::<(), ()>("wait", ())?;
    assert_eq!(future.resume()?, Step::Waiting);
    assert!(matches!(instance.reset_to(&version(2)?), Err(Error::CallInProgress)));
    future.cancel();
    assert!(matches!(future.wait(), Err(Error::Cancelled)));
    instance.reset_to(&version(2)?)?;
    assert_eq!(instance.call::<(), i32>("version", ())?.wait()?, 2);
    Ok(())
}

#[test]
fn a_module_that_cannot_be_instantiated_leaves_the_instance_poisoned_until_another_can()
-> Result<(), Error> {
    let instance = instance()?;
    let text = "(module $bad (func $start unreachable) (start $start))";
    let bad = linker(&ENGINE)?.instantiate_pre(&compile(&ENGINE, text)?)?;
    assert!(matches!(instance.reset_to(&bad), Err(Error::Trap(_))));
    assert!(instance.is_poisoned());
    assert!(matches!(instance.call::<(), i32>("version", ()), Err(Error::Poisoned)));
    assert!(matches!(instance.reset(), Err(Error::Trap(_))), "it is one of the bad module now");
    instance.reset_to(&version(1)?)?;
    assert_eq!(instance.call::<(), i32>("version", ())?.wait()?, 1);
    Ok(())
}

#[test]
fn a_function_that_the_new_module_lacks_is_told_when_it_is_called() -> Result<(), Error> {
    let instance = instance()?;
    let func = instance.func::<(), i32>("version")?;
    instance.reset_to(&linker(&ENGINE)?.instantiate_pre(&compile(&ENGINE, "(module)")?)?)?;
    let error = func.call(()).expect_err("it has no such export");
    assert!(
        matches!(&error, Error::ExportNotFound { export } if &**export == "version"),
        "{error}"
    );
    Ok(())
}

#[test]
fn a_module_of_another_engine_is_refused_and_changes_nothing() -> Result<(), Error> {
    let instance = instance()?;
    let engine = small_engine();
    let other = linker(&engine)?.instantiate_pre(&compile(&engine, "(module $other)")?)?;
    let error = instance.reset_to(&other).expect_err("it has another engine");
    assert!(matches!(&error, Error::OtherEngine { module } if module.contains("other")), "{error}");
    assert_eq!(instance.call::<(), i32>("version", ())?.wait()?, 1);

    let instance = Instance::new(&version(1)?, Host::default())?;
    assert!(matches!(instance.reset_to(&version(2)?), Err(Error::NoStateFactory)));
    assert_eq!(instance.call::<(), i32>("version", ())?.wait()?, 1);
    instance.reset_to_with(&version(2)?, Host::default())?;
    assert_eq!(instance.call::<(), i32>("version", ())?.wait()?, 2);
    Ok(())
}

#[test]
fn a_state_function_that_panics_changes_nothing() -> Result<(), Error> {
    let panics = Flag::default();
    let does = panics.clone();
    let instance = Instance::with_options(&version(1)?, InstanceOptions::default(), move || {
        assert!(!does.is_set(), "on purpose");
        Host::default()
    })?;
    panics.set();
    let reset = std::panic::AssertUnwindSafe(|| instance.reset_to(&version(2).unwrap()));
    assert!(std::panic::catch_unwind(reset).is_err());
    assert!(!instance.is_poisoned());
    assert_eq!(instance.call::<(), i32>("version", ())?.wait()?, 1);
    instance.reset_with(Host::default())?;
    assert_eq!(instance.call::<(), i32>("version", ())?.wait()?, 1, "it is one of the old module");
    Ok(())
}
