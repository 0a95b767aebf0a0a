//! Where an instance's state comes from: a function that makes it, or one state and no more.

use super::{ENGINE, compile};
use crate::support::Counter;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use wasm_jobs::wasmtime::{Caller, InstancePre, Linker};
use wasm_jobs::{EngineOptions, Error, Instance, InstanceOptions, Slice};

/// State that cannot be cloned, and that no `Fn` can make twice.
struct Given(Receiver<i32>);

const GUEST: &str = r#"(module
    (import "env" "next" (func $next (result i32)))
    (memory (export "memory") 1)
    (func (export "next") (result i32) (call $next))
    (func (export "grow") (result i32) (memory.grow (i32.const 100)))
    (func (export "trap") unreachable))"#;

fn pre() -> Result<InstancePre<Given>, Error> {
    let mut linker = Linker::<Given>::new(&ENGINE);
    linker.func_wrap("env", "next", |host: Caller<'_, Given>| {
        host.data().0.try_recv().expect("the test has sent a number")
    })?;
    Ok(linker.instantiate_pre(&compile(&ENGINE, GUEST)?)?)
}

fn given(number: i32) -> Given {
    let (sender, numbers) = channel();
    sender.send(number).expect("the receiver is here");
    Given(numbers)
}

#[test]
fn an_instance_with_one_state_keeps_to_its_limits() -> Result<(), Error> {
    let options =
        InstanceOptions::default().memory(1 << 20).slice(Slice::Time(Duration::from_millis(1)));
    let instance = Instance::with_state(&pre()?, options, given(7))?;
    assert_eq!(instance.call::<(), i32>("next", ())?.wait()?, 7);
    assert_eq!(instance.call::<(), i32>("grow", ())?.wait()?, -1);
    assert_eq!(instance.slice(), Slice::Time(Duration::from_millis(1)));
    Ok(())
}

#[test]
fn an_instance_with_one_state_is_reset_with_another_only() -> Result<(), Error> {
    let options = InstanceOptions::default().memory(1 << 20);
    let instance = Instance::with_state(&pre()?, options, given(1))?;
    assert!(matches!(instance.call::<(), ()>("trap", ())?.wait(), Err(Error::Trap(_))));
    assert!(matches!(instance.reset(), Err(Error::NoStateFactory)));
    assert!(instance.is_poisoned(), "a reset that was refused has changed nothing");
    instance.reset_with(given(2))?;
    assert_eq!(instance.call::<(), i32>("next", ())?.wait()?, 2);
    assert_eq!(instance.call::<(), i32>("grow", ())?.wait()?, -1, "the limits are kept");
    Ok(())
}

#[test]
fn options_that_the_engine_was_not_made_for_drop_the_one_state() -> Result<(), Error> {
    let engine = wasm_jobs::engine(&EngineOptions::default().on_demand())?;
    let pre = Linker::new(&engine).instantiate_pre(&compile(&engine, "(module)")?)?;
    let drops = Counter::default();
    let options = InstanceOptions::default().fuel(1);
    let refused = Instance::with_state(&pre, options, drops.on_drop());
    assert!(matches!(refused, Err(Error::Unsupported { .. })));
    assert_eq!(drops.get(), 1);
    Ok(())
}
