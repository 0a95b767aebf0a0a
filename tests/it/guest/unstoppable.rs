//! Guests that nothing stops while they run: on engines without epochs and flags, and inside a wait of wasm's own.

use super::{Host, compile, instance_of, linker};
use crate::support::retry_timeouts;
use std::time::Duration;
use wasm_jobs::wasmtime::{Caller, Engine};
use wasm_jobs::{EngineOptions, Error, Instance, InstanceOptions, Slice, Step, Stops, Timeout};

const MS: Duration = Duration::from_millis(1);

/// `count(n)` counts to n. `spin` loops until `is_done`.
const GUEST: &str = r#"(module
    (import "env" "is_done" (func $is_done (result i32)))
    (func (export "count") (param $to i32) (result i32) (local $n i32)
        (loop $again
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $n) (local.get $to))))
        (local.get $n))
    (func (export "spin") (loop $again (br_if $again (i32.eqz (call $is_done))))))"#;

fn without_epochs() -> Result<Engine, Error> {
    wasm_jobs::engine(&EngineOptions::default().pooling(1).epoch_interruption(false))
}

#[test]
fn limits_that_need_a_stop_are_refused() -> Result<(), Error> {
    let engine = without_epochs()?;
    let pre = linker(&engine)?.instantiate_pre(&compile(&engine, GUEST)?)?;
    let options = InstanceOptions::default;
    for options in [
        options().fuel(1),
        options().slice(Slice::Fuel(1)),
        options().slice(Slice::Time(MS)),
        options().running_timeout(MS),
        options().elapsed_timeout(MS),
        options().begun_timeout(MS),
    ] {
        let made = Instance::with_options(&pre, options, Host::default);
        assert!(matches!(made, Err(Error::Unsupported { .. })), "{made:?}");
    }
    let guest = Instance::with_options(&pre, options().memory(1 << 20), Host::default)?;
    assert_eq!(guest.stops(), Stops::Never);
    assert_eq!(guest.call::<i32, i32>("count", 10)?.wait()?, 10);
    Ok(())
}

#[test]
fn a_slice_of_time_is_refused() -> Result<(), Error> {
    let guest = instance_of(&without_epochs()?, GUEST, Host::default())?;
    let refusal = guest.set_slice(Slice::Time(MS)).unwrap_err();
    assert!(matches!(refusal, Error::Unsupported { .. }), "{refusal}");
    assert!(refusal.to_string().contains("epoch_interruption"), "{refusal}");
    guest.set_slice(Slice::Unbounded)?;
    assert_eq!(guest.call::<i32, i32>("count", 10)?.wait()?, 10);
    Ok(())
}

#[test]
fn neither_the_epoch_nor_a_request_makes_it_yield() -> Result<(), Error> {
    let engine = without_epochs()?;
    let mut linker = linker(&engine)?;
    linker.allow_shadowing(true);
    linker.func_wrap("env", "is_done", |mut host: Caller<'_, Host>| {
        host.engine().increment_epoch();
        wasm_jobs::request_yields(host.engine());
        host.data_mut().ticks += 1;
        i32::from(host.data().ticks >= 10)
    })?;
    let instance =
        Instance::new(&linker.instantiate_pre(&compile(&engine, GUEST)?)?, Host::default())?;
    let mut future = instance.call::<(), ()>("spin", ())?;
    assert_eq!(future.resume()?, Step::Done);
    future.wait()?;
    assert_eq!(instance.store()?.data().ticks, 10);
    Ok(())
}

#[test]
fn a_guest_that_waits_by_an_atomic_is_late_when_its_wait_is_over() -> Result<(), Error> {
    let text = r#"(module
        (memory 1 1 shared)
        (func (export "wait") (param $nanoseconds i64) (result i32)
            (memory.atomic.wait32 (i32.const 0) (i32.const 0) (local.get $nanoseconds))))"#;
    let engine = wasm_jobs::engine(&EngineOptions::default().on_demand().threads(true))?;
    let pre = linker(&engine)?.instantiate_pre(&compile(&engine, text)?)?;
    for slice in [Slice::Unbounded, Slice::Time(MS)] {
        let options = InstanceOptions::default().running_timeout(10 * MS).slice(slice);
        let guest =
            retry_timeouts(|| Instance::with_options(&pre, options.clone(), Host::default))?;
        let end = guest.call::<i64, i32>("wait", 60_000_000)?.wait();
        assert!(
            matches!(end, Err(Error::TimedOut(ref timed_out)) if timed_out.limit == Timeout::Running),
            "{end:?}"
        );
    }
    Ok(())
}
