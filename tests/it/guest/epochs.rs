//! Making guests yield through the epoch of their engine.

use super::{Host, ask_to_yield, compile, instance_of, link, linker, small_engine};
use crate::support::{Counter, Flag, workers};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use wasm_jobs::wasmtime::{Caller, Engine, Linker, Store};
use wasm_jobs::{Error, Instance, JobHandle, JobPool, Slice, Step};

/// `spin()` loops until `is_done`, and never yields; `count(n)` counts down from n.
const SPINNING: &str = r#"(module $spinning
    (import "env" "is_done" (func $is_done (result i32)))
    (func (export "spin")
        (loop $again
            (br_if $again (i32.eqz (call $is_done)))))
    (func (export "count") (param i32) (result i32)
        (loop $next
            (br_if $next
                (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (local.get 0)))"#;

/// A thread that advances the epoch as fast as it can until this is dropped.
struct Ticker {
    stop: Flag,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn new(engine: &Engine) -> Self {
        let (engine, stop) = (engine.clone(), Flag::default());
        let stopped = stop.clone();
        let ticking = thread::spawn(move || {
            while !stopped.is_set() {
                ask_to_yield(&engine);
                thread::yield_now();
            }
        });
        Self { stop, thread: Some(ticking) }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.set();
        let ticking = self.thread.take().map(JoinHandle::join);
        assert!(matches!(ticking, Some(Ok(()))));
    }
}

/// An instance whose `is_done` advances the epoch, and returns true from its call number `times` on.
fn interrupted(engine: &Engine, times: u32) -> Result<Instance<Host>, Error> {
    let mut linker = linker(engine)?;
    linker.allow_shadowing(true);
    linker.func_wrap("env", "is_done", move |mut host: Caller<'_, Host>| {
        ask_to_yield(host.engine());
        host.data_mut().ticks += 1;
        i32::from(host.data().ticks >= times)
    })?;
    Instance::new(&link(&linker, &compile(engine, SPINNING)?)?, Host::default())
}

#[test]
fn a_guest_that_never_yields_is_made_to_by_the_epoch() -> Result<(), Error> {
    let instance = interrupted(&small_engine(), 4)?;
    let mut future = instance.call::<(), ()>("spin", ())?;
    for round in 1..=3 {
        assert_eq!(future.resume()?, Step::Yielded);
        assert!(matches!(instance.store(), Err(Error::CallInProgress)), "round {round}");
    }
    assert_eq!(future.resume()?, Step::Done);
    future.wait()?;
    assert_eq!(instance.store()?.data().ticks, 4);
    Ok(())
}

#[test]
fn a_guest_is_not_made_to_yield_while_the_epoch_stands_still() -> Result<(), Error> {
    let engine = small_engine();
    let instance = instance_of(&engine, SPINNING, Host::default())?;
    for _ in 0..3 {
        ask_to_yield(&engine);
        let mut future = instance.call::<i32, i32>("count", 100_000)?;
        ask_to_yield(&engine);
        assert_eq!(future.resume()?, Step::Done, "a slice begins with the call's first step");
        assert_eq!(future.wait()?, 0);
    }
    Ok(())
}

#[test]
fn the_first_advance_makes_a_guest_yield_although_slices_have_ended_before() -> Result<(), Error> {
    let engine = small_engine();
    let sliced = instance_of(&engine, SPINNING, Host::default())?;
    sliced.set_slice(Slice::Time(Duration::from_millis(1)))?;
    let mut endless = sliced.call::<(), ()>("spin", ())?;
    assert_eq!(endless.resume()?, Step::Yielded);

    let instance = interrupted(&engine, 100)?;
    let mut future = instance.call::<(), ()>("spin", ())?;
    for _ in 0..10 {
        assert_eq!(future.resume()?, Step::Yielded);
        assert_eq!(endless.resume()?, Step::Yielded);
    }
    drop(future);
    let advances = instance.store()?.data().ticks;
    assert!(advances < 100, "{advances}");
    Ok(())
}

#[test]
fn a_guest_is_made_to_yield_from_another_thread() -> Result<(), Error> {
    let engine = small_engine();
    let (begun, has_begun) = mpsc::channel();
    let mut linker = linker(&engine)?;
    linker.allow_shadowing(true);
    linker.func_wrap("env", "is_done", move |mut host: Caller<'_, Host>| {
        host.data_mut().ticks += 1;
        if host.data().ticks == 1 {
            begun.send(()).expect("the other thread is receiving");
        }
        0
    })?;
    let pre = link(&linker, &compile(&engine, SPINNING)?)?;
    let instance = Instance::new(&pre, Host::default())?;
    thread::scope(|scope| {
        let engine = &engine;
        scope.spawn(move || {
            has_begun.recv().expect("the guest begins");
            ask_to_yield(engine);
        });
        let mut future = instance.call::<(), ()>("spin", ())?;
        assert_eq!(future.resume()?, Step::Yielded);
        future.cancel();
        assert!(matches!(future.wait(), Err(Error::Cancelled)));
        assert!(instance.is_poisoned());
        Ok(())
    })
}

#[test]
fn a_guest_that_never_yields_lets_another_job_have_its_worker() -> Result<(), Error> {
    let engine = small_engine();
    let done = Flag::default();
    let spinning = instance_of(&engine, SPINNING, Host { done: done.clone(), ..Host::default() })?;
    let other = instance_of(&engine, SPINNING, Host::default())?;
    let pool = workers(1);
    let mut spins = spinning.call::<(), ()>("spin", ())?;
    let spins_job = pool.submit(spins.to_job()?);
    let mut counts = other.call::<i32, i32>("count", 1_000)?;
    let mut ends = wasm_jobs::Future::new({
        let done = done.clone();
        async move {
            done.set();
            Ok(())
        }
    });
    let jobs = [pool.submit(counts.to_job()?), pool.submit(ends.to_job()?), spins_job];
    let _ticker = Ticker::new(&engine);
    JobHandle::all(jobs).wait();
    assert_eq!(counts.try_get_result()?, Some(0));
    assert_eq!(spins.try_get_result()?, Some(()));
    ends.wait()
}

#[test]
fn a_spinning_job_is_ended_by_its_owner() -> Result<(), Error> {
    let engine = small_engine();
    let spinning = instance_of(&engine, SPINNING, Host::default())?;
    let (pool, _ticker) = (workers(1), Ticker::new(&engine));
    let mut cancelled = spinning.call::<(), ()>("spin", ())?;
    let handle = pool.submit(cancelled.to_job()?);
    cancelled.cancel();
    handle.wait();
    assert!(matches!(cancelled.wait(), Err(Error::Cancelled)));
    spinning.clear_poison()?;

    let mut dropped = spinning.call::<(), ()>("spin", ())?;
    let handle = pool.submit(dropped.to_job()?);
    drop(dropped);
    handle.wait();
    spinning.clear_poison()?;
    assert_eq!(spinning.call::<i32, i32>("count", 10)?.wait()?, 0);
    Ok(())
}

#[test]
fn a_start_function_that_is_made_to_yield_runs_to_its_end() -> Result<(), Error> {
    let engine = small_engine();
    let mut linker = linker(&engine)?;
    let rounds = Counter::default();
    linker.allow_shadowing(true);
    linker.func_wrap("env", "is_done", {
        let rounds = rounds.clone();
        move |host: Caller<'_, Host>| {
            ask_to_yield(host.engine());
            rounds.add();
            i32::from(rounds.get() >= 5)
        }
    })?;
    let module = compile(
        &engine,
        r#"(module
            (import "env" "is_done" (func $is_done (result i32)))
            (func $start (loop $again (br_if $again (i32.eqz (call $is_done)))))
            (start $start))"#,
    )?;
    Instance::new(&link(&linker, &module)?, Host::default())?;
    assert_eq!(rounds.get(), 5);
    Ok(())
}

#[test]
fn a_store_of_ones_own_is_interrupted_too() -> Result<(), Error> {
    let engine = small_engine();
    let mut linker = linker(&engine)?;
    linker.allow_shadowing(true);
    linker.func_wrap("env", "is_done", |mut host: Caller<'_, Host>| {
        ask_to_yield(host.engine());
        host.data_mut().ticks += 1;
        i32::from(host.data().ticks >= 2)
    })?;
    let pre = link(&linker, &compile(&engine, SPINNING)?)?;
    let instance = Instance::with_store(&pre, Store::new(&engine, Host::default()))?;
    let mut future = instance.call::<(), ()>("spin", ())?;
    assert_eq!(future.resume()?, Step::Yielded);
    assert_eq!(future.resume()?, Step::Done);
    future.wait()?;

    instance.reset_with(Host::default())?;
    let mut future = instance.call::<(), ()>("spin", ())?;
    assert_eq!(future.resume()?, Step::Yielded);
    future.wait()
}

#[test]
fn a_synchronous_call_between_two_calls_goes_on_when_the_epoch_advances() -> Result<(), Error> {
    let engine = small_engine();
    let mut linker = Linker::<u32>::new(&engine);
    linker.func_wrap("env", "is_done", |mut host: Caller<'_, u32>| {
        ask_to_yield(host.engine());
        *host.data_mut() += 1;
        i32::from(*host.data() >= 5)
    })?;
    let instance = Instance::new(&link(&linker, &compile(&engine, SPINNING)?)?, 0)?;
    ask_to_yield(&engine);
    let mut store = instance.store()?;
    let guest = store.instance()?;
    let count = guest.get_typed_func::<i32, i32>(&mut store, "count")?;
    let spin = guest.get_typed_func::<(), ()>(&mut store, "spin")?;
    let (context, _) = store.parts()?;
    assert_eq!(count.call(context, 1_000)?, 0, "the epoch had advanced before");
    let (context, _) = store.parts()?;
    spin.call(context, ())?;
    assert_eq!(*store.data(), 5, "the epoch advanced meanwhile");
    drop(store);

    let mut future = instance.call::<i32, i32>("count", 1_000)?;
    assert_eq!(future.resume()?, Step::Done);
    assert_eq!(future.wait()?, 0);
    Ok(())
}
