//! What components poll: pollables of the clock, asked and waited for.

use super::{ENGINE, component_text};
use std::sync::LazyLock;
use std::time::Duration;
use wasm_jobs::wasi::{WasiCtx, WasiCtxBuilder};
use wasm_jobs::wasmtime::component::{Instance as Exports, InstancePre, Lower};
use wasm_jobs::{Error, Future, Instance, InstanceOptions, ManualClock, Step};

const SECOND: u64 = 1_000_000_000;

/// Each export makes a pollable. `in` and `at` ask once whether it is ready. `before-and-after` asks, waits and asks again: the first answer
/// is the lowest bit of its result.
const GUEST: &str = r#"(component
    (import "wasi:io/poll@0.2.0" (instance $io
        (export "pollable" (type $pollable (sub resource)))
        (export "[method]pollable.ready" (func (param "self" (borrow $pollable)) (result bool)))
        (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
    (alias export $io "pollable" (type $pollable))
    (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
        (export "now" (func (result u64)))
        (export "subscribe-instant" (func (param "when" u64) (result (own $pollable))))
        (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
    (core func $now (canon lower (func $clock "now")))
    (core func $at (canon lower (func $clock "subscribe-instant")))
    (core func $in (canon lower (func $clock "subscribe-duration")))
    (core func $ready (canon lower (func $io "[method]pollable.ready")))
    (core func $block (canon lower (func $io "[method]pollable.block")))
    (core func $drop (canon resource.drop $pollable))
    (core module $guest
        (import "wasi" "now" (func $now (result i64)))
        (import "wasi" "at" (func $at (param i64) (result i32)))
        (import "wasi" "in" (func $in (param i64) (result i32)))
        (import "wasi" "ready" (func $ready (param i32) (result i32)))
        (import "wasi" "block" (func $block (param i32)))
        (import "wasi" "drop" (func $drop (param i32)))
        (func $ask (param $pollable i32) (result i32)
            (call $ready (local.get $pollable))
            (call $drop (local.get $pollable)))
        (func (export "in") (param i64) (result i32) (call $ask (call $in (local.get 0))))
        (func (export "at") (param i64) (result i32)
            (call $ask (call $at (i64.add (call $now) (local.get 0)))))
        (func (export "before-and-after") (param i64) (result i32) (local $pollable i32)
            (local.set $pollable (call $in (local.get 0)))
            (call $ready (local.get $pollable))
            (call $block (local.get $pollable))
            (i32.shl (call $ready (local.get $pollable)) (i32.const 1))
            (i32.or)
            (call $drop (local.get $pollable))))
    (core instance $guest (instantiate $guest (with "wasi" (instance
        (export "now" (func $now))
        (export "at" (func $at))
        (export "in" (func $in))
        (export "ready" (func $ready))
        (export "block" (func $block))
        (export "drop" (func $drop))))))
    (func (export "in") (param "nanoseconds" u64) (result u32)
        (canon lift (core func $guest "in")))
    (func (export "at") (param "nanoseconds-from-now" s64) (result u32)
        (canon lift (core func $guest "at")))
    (func (export "before-and-after") (param "nanoseconds" u64) (result u32)
        (canon lift (core func $guest "before-and-after"))))"#;

type Guest = Instance<WasiCtx, Exports>;

fn guest(clock: &ManualClock) -> Result<Guest, Error> {
    static PRE: LazyLock<InstancePre<WasiCtx>> =
        LazyLock::new(|| component_text(GUEST).expect("WASI defines all imports"));
    let clock = clock.clone();
    let ctx =
        move || WasiCtxBuilder::new().clock(clock.clone()).build().expect("it has no directories");
    Instance::with_exports(&ENGINE, InstanceOptions::default(), ctx, |store| {
        Box::pin(PRE.instantiate_async(store))
    })
}

fn start<T: Lower + Send + Sync + 'static>(
    guest: &Guest,
    export: &'static str,
    time: T,
) -> Result<Future<u32>, Error> {
    guest.start(move |mut store, exports| {
        Box::pin(async move {
            let export = exports.get_typed_func::<(T,), (u32,)>(&mut store, export)?;
            Ok(export.call_async(&mut store, (time,)).await?.0)
        })
    })
}

/// The answer of a call that neither yields nor waits.
fn at_once(mut future: Future<u32>) -> Result<u32, Error> {
    assert_eq!(future.resume()?, Step::Done);
    Ok(future.try_get_result()?.expect("it is done"))
}

#[test]
fn a_time_that_has_come_is_ready_when_the_guest_asks() -> Result<(), Error> {
    let clock = ManualClock::new();
    let guest = guest(&clock)?;
    for _ in 0..2 {
        assert_eq!(at_once(start(&guest, "in", 0_u64)?)?, 1);
        assert_eq!(at_once(start(&guest, "at", 0_i64)?)?, 1);
        assert_eq!(at_once(start(&guest, "at", -1_i64)?)?, 1);
        clock.tick(Duration::from_secs(1));
    }
    assert_eq!(clock.sleepers(), 0);
    Ok(())
}

#[test]
fn a_time_to_come_is_not_ready_and_who_asks_does_not_wait() -> Result<(), Error> {
    let clock = ManualClock::new();
    let guest = guest(&clock)?;
    assert_eq!(at_once(start(&guest, "in", 1_u64)?)?, 0);
    assert_eq!(at_once(start(&guest, "in", u64::MAX)?)?, 0);
    assert_eq!(at_once(start(&guest, "at", 1_i64)?)?, 0);
    assert_eq!(clock.sleepers(), 0);
    Ok(())
}

#[test]
fn a_pollable_that_was_asked_is_waited_for_and_ready_then() -> Result<(), Error> {
    let clock = ManualClock::new();
    let guest = guest(&clock)?;
    let mut future = start(&guest, "before-and-after", 60 * SECOND)?;
    for _ in 0..3 {
        assert_eq!(future.resume()?, Step::Waiting);
    }
    assert_eq!(clock.next_deadline(), Some(Duration::from_secs(60)));
    clock.tick(Duration::from_secs(60));
    assert_eq!(at_once(future)?, 0b10);
    Ok(())
}

#[test]
fn a_guest_that_knows_that_its_time_has_come_does_not_yield() -> Result<(), Error> {
    let guest = guest(&ManualClock::new())?;
    assert_eq!(at_once(start(&guest, "before-and-after", 0_u64)?)?, 0b11);
    Ok(())
}

#[cfg(feature = "checkpoint")]
#[test]
fn a_restored_component_sleeps_by_its_own_time() -> Result<(), Error> {
    use wasm_jobs::{Clock as _, HostState as _};

    let clock = ManualClock::new();
    clock.tick(Duration::from_secs(100));
    let guest = guest(&clock)?;
    let saved = guest.store()?.data_mut().save()?;
    clock.tick(Duration::from_secs(7));
    guest.store()?.data_mut().restore(&saved)?;
    assert_eq!(guest.store()?.data_mut().clock().now(), Duration::from_secs(100));
    assert_eq!(at_once(start(&guest, "at", 0_i64)?)?, 1);
    assert_eq!(at_once(start(&guest, "at", 1_i64)?)?, 0);
    let mut future = start(&guest, "before-and-after", 60 * SECOND)?;
    assert_eq!(future.resume()?, Step::Waiting);
    assert_eq!(clock.next_deadline(), Some(Duration::from_secs(167)));
    clock.tick(Duration::from_secs(60));
    assert_eq!(at_once(future)?, 0b10);
    Ok(())
}
