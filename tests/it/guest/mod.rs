//! Calling guests. This file has what these tests share: engines, a linker, and some guests.

mod at_epochs;
#[cfg(feature = "prepare")]
mod at_flags;
mod calls;
#[cfg(feature = "checkpoint")]
mod checkpoints;
#[cfg(feature = "component-model")]
mod components;
mod failures;
#[cfg(feature = "freeze")]
pub(crate) mod freezing;
mod guest_kit;
mod host_functions;
mod instance_pools;
mod instances;
#[cfg(feature = "rayon")]
mod lockstep;
mod looking;
mod misuse;
#[cfg(feature = "rayon")]
mod own_stores;
#[cfg(feature = "freeze")]
mod parking;
mod poison;
mod reloads;
#[cfg(feature = "rayon")]
mod stacks;
mod states;
#[cfg(feature = "prepare")]
mod stop_flags;
mod stores;
mod unstoppable;
#[cfg(feature = "macros")]
mod wrappers;

use crate::support::{Alarm, Event, Flag};
use std::sync::LazyLock;
use wasm_jobs::wasmtime::{Caller, Engine, Linker, Module};
use wasm_jobs::{EngineOptions, Error, Instance, add_yield, yield_now};

/// The engine of most tests, with the default options. The tests share it, because its pool takes up much of the address space.
static ENGINE: LazyLock<Engine> =
    LazyLock::new(|| wasm_jobs::engine(&EngineOptions::default()).expect("the default options"));

/// What the tests have of whose guests can be stopped. They are compiled twice: in `at_epochs`, all guests look at the epoch of their engine; in
/// `at_flags`, each is prepared, and looks at its own flag. The caller has said how an engine is made, a module compiled and linked, and how
/// running guests are asked to yield.
macro_rules! helpers {
    () => {
        use super::{Host, PRIMES, TOTAL, linker};
        use std::sync::LazyLock;
        use wasm_jobs::wasmtime::{Engine, Linker};
        use wasm_jobs::{EngineOptions, Error, Instance};

        /// As the other tests have it, but with guests that are stopped in the way of this folder.
        static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
            wasm_jobs::engine(&options_of_engines()).expect("the options of all tests here")
        });

        /// An engine for one test, which may fill its pool.
        fn small_engine() -> Engine {
            wasm_jobs::engine(&options_of_engines().pooling(4))
                .expect("the options of a small engine")
        }

        fn instance_of(engine: &Engine, text: &str, host: Host) -> Result<Instance<Host>, Error> {
            Instance::new(&link(&linker(engine)?, &compile(engine, text)?)?, host)
        }

        fn instance(text: &str) -> Result<Instance<Host>, Error> {
            instance_of(&ENGINE, text, Host::default())
        }
    };
}
use helpers;

/// An engine for one test, which may fill its pool or advance its epoch.
fn small_engine() -> Engine {
    wasm_jobs::engine(&EngineOptions::default().pooling(4)).expect("the options of a small engine")
}

fn compile(engine: &Engine, text: &str) -> Result<Module, Error> {
    Ok(Module::new(engine, wat::parse_str(text).expect("the text of a module"))?)
}

/// The host state of the guests. [`linker`] defines the functions that use it.
#[derive(Default)]
pub(crate) struct Host {
    /// `wait` waits for this event.
    event: Event,
    /// `wait_for_alarm` waits for this alarm.
    alarm: Option<Alarm>,
    /// `tick` counts here.
    ticks: u32,
    /// `is_done` returns whether this is set.
    done: Flag,
}

fn linker(engine: &Engine) -> Result<Linker<Host>, Error> {
    let mut linker = Linker::new(engine);
    add_yield(&mut linker, "env", "yield")?;
    linker.func_wrap("env", "tick", |mut host: Caller<'_, Host>| host.data_mut().ticks += 1)?;
    linker.func_wrap("env", "is_done", |host: Caller<'_, Host>| {
        i32::from(host.data().done.is_set())
    })?;
    linker.func_wrap_async("env", "wait", |host: Caller<'_, Host>, ()| {
        Box::new(host.data().event.happens())
    })?;
    linker.func_wrap_async("env", "wait_for_alarm", |host: Caller<'_, Host>, ()| {
        let alarm = host.data().alarm.clone().expect("the test has set an alarm");
        Box::new(async move { alarm.rings().await })
    })?;
    linker.func_wrap_async("env", "twice", |_: Caller<'_, Host>, (number,): (i32,)| {
        Box::new(async move {
            yield_now().await;
            number * 2
        })
    })?;
    Ok(linker)
}

fn instance_of(engine: &Engine, text: &str, host: Host) -> Result<Instance<Host>, Error> {
    Instance::new(&linker(engine)?.instantiate_pre(&compile(engine, text)?)?, host)
}

pub(crate) fn instance(text: &str) -> Result<Instance<Host>, Error> {
    instance_of(&ENGINE, text, Host::default())
}

/// `count_primes(from, to)`, which yields at each prime.
pub(crate) const PRIMES: &str = r#"(module $primes
    (import "env" "yield" (func $yield))
    (func (export "count_primes") (param $n i32) (param $to i32) (result i32)
        (local $divisor i32) (local $count i32)
        (if (i32.lt_s (local.get $n) (i32.const 2)) (then (local.set $n (i32.const 2))))
        (block $end
            (loop $next
                (br_if $end (i32.ge_s (local.get $n) (local.get $to)))
                (local.set $divisor (i32.const 2))
                (block $prime
                    (block $composite
                        (loop $divide
                            (br_if $prime
                                (i32.gt_s
                                    (i32.mul (local.get $divisor) (local.get $divisor))
                                    (local.get $n)))
                            (br_if $composite
                                (i32.eqz (i32.rem_s (local.get $n) (local.get $divisor))))
                            (local.set $divisor (i32.add (local.get $divisor) (i32.const 1)))
                            (br $divide)))
                    (local.set $n (i32.add (local.get $n) (i32.const 1)))
                    (br $next))
                (local.set $count (i32.add (local.get $count) (i32.const 1)))
                (call $yield)
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br $next)))
        (local.get $count)))"#;

/// `add(n)` adds n to a total in memory, yields, and adds n to a total in a global; `add_when_it_happens(n)` waits first.
const TOTAL: &str = r#"(module $total
    (import "env" "yield" (func $yield))
    (import "env" "wait" (func $wait))
    (memory (export "memory") 1)
    (global $total (export "total") (mut i32) (i32.const 0))
    (func $add (export "add") (param i32) (result i32)
        (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (local.get 0)))
        (call $yield)
        (global.set $total (i32.add (global.get $total) (local.get 0)))
        (global.get $total))
    (func (export "add_when_it_happens") (param i32) (result i32)
        (call $wait)
        (call $add (local.get 0)))
    (func (export "nothing")))"#;
