//! What the tests share: calls of a number of steps, and a shop in which guests and native calls race.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use wasm_jobs::explore::World;
use wasm_jobs::wasmtime::{Caller, InstancePre, Linker, Module};
use wasm_jobs::{EngineOptions, Error, Event, Future, InstanceOptions, JobPool, engine, yield_now};

/// The work of a call from a future that cannot fail.
pub(crate) async fn ok<F: std::future::Future>(work: F) -> Result<F::Output, Error> {
    Ok(work.await)
}

/// The seed of an explorer that is given this one: that of the environment comes before it.
pub(crate) fn in_force(seed: u64) -> u64 {
    let of_environment = std::env::var("WASM_JOBS_SEED").ok();
    of_environment.map_or(seed, |seed| seed.trim().parse().unwrap())
}

/// A call of this many steps.
pub(crate) fn steps(count: u32) -> Future<()> {
    Future::new(async move {
        for _ in 1..count {
            yield_now().await;
        }
        Ok(())
    })
}

/// A lock that calls wait for.
#[derive(Clone, Default)]
pub(crate) struct Lock(Arc<(AtomicBool, Event)>);

impl Lock {
    /// Takes the lock. `looks` is called before each attempt.
    pub(crate) async fn lock(&self, looks: impl Fn()) {
        let (is_locked, is_free) = &*self.0;
        loop {
            looks();
            if !is_locked.swap(true, Relaxed) {
                return;
            }
            is_free.reset();
            is_free.wait().await;
        }
    }

    pub(crate) fn unlock(&self) {
        self.0.0.store(false, Relaxed);
        self.0.1.set();
    }
}

/// Counts what was dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drops(Arc<AtomicUsize>);

impl Drops {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// A guard that counts its drop here.
    pub(crate) fn guard(&self) -> Guard {
        Guard(self.clone())
    }
}

#[derive(Debug)]
pub(crate) struct Guard(Drops);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Relaxed);
    }
}

/// A number that two parties change by reading it first, and writing it later.
#[derive(Clone, Default)]
pub(crate) struct Counter(Arc<AtomicI32>);

impl Counter {
    pub(crate) fn get(&self) -> i32 {
        self.0.load(Relaxed)
    }

    pub(crate) fn set(&self, value: i32) {
        self.0.store(value, Relaxed);
    }

    /// Adds one in two steps, between which another party's addition is lost.
    pub(crate) fn add_one(&self) -> Future<()> {
        let counter = self.clone();
        Future::new(async move {
            let value = counter.get();
            yield_now().await;
            counter.set(value + 1);
            Ok(())
        })
    }
}

/// Runs calls in the pool of a world, to their ends.
pub(crate) fn run_all<T: Send + 'static>(
    world: &World,
    calls: &mut [Future<T>],
) -> Result<(), Error> {
    for call in calls {
        world.pool().submit(call.to_job()?);
    }
    world.run_all();
    Ok(())
}

/// A test of two native calls that lose an update if both read before one writes.
pub(crate) fn lost_update(world: &World) -> Result<(), Error> {
    let counter = Counter::default();
    let mut calls = ["a", "b"].map(|name| counter.add_one().named(name));
    run_all(world, &mut calls)?;
    assert_eq!(counter.get(), 2);
    Ok(())
}

/// The state of a guest: what it shares with others, and the world.
pub(crate) struct Shared {
    pub(crate) stock: Counter,
    pub(crate) world: World,
}

/// A guest that adds one to the stock, by a call of the host that reads and another one that writes. Both are synchronous.
pub(crate) static ADDS: LazyLock<InstancePre<Shared>> = LazyLock::new(|| {
    linked(
        r#"(module
            (import "shop" "read" (func $read (result i32)))
            (import "shop" "write" (func $write (param i32)))
            (func $add (export "add")
                (call $write (i32.add (call $read) (i32.const 1)))))"#,
        &EngineOptions::default(),
    )
});

/// Guests of this text, linked with the functions that `define` adds.
pub(crate) fn guests<S: 'static>(
    wat: &str,
    options: &EngineOptions,
    define: impl FnOnce(&mut Linker<S>),
) -> InstancePre<S> {
    let engine = engine(options).unwrap();
    let mut linker = Linker::new(&engine);
    define(&mut linker);
    linker.instantiate_pre(&Module::new(&engine, wat::parse_str(wat).unwrap()).unwrap()).unwrap()
}

pub(crate) fn linked(wat: &str, options: &EngineOptions) -> InstancePre<Shared> {
    let read = |caller: Caller<'_, Shared>| {
        caller.data().world.touches("stock");
        caller.data().stock.get()
    };
    let write = |caller: Caller<'_, Shared>, value: i32| {
        caller.data().world.touches("stock");
        caller.data().stock.set(value);
    };
    guests(wat, options, |linker| {
        linker.func_wrap("shop", "read", read).unwrap();
        linker.func_wrap("shop", "write", write).unwrap();
    })
}

/// A guest that squares numbers, and calls no host function.
pub(crate) const SQUARES: &str = r#"(module (func (export "square") (param i32) (result i32)
    (i32.mul (local.get 0) (local.get 0))))"#;

/// The state for a guest of this world.
pub(crate) fn shared(world: &World, stock: &Counter) -> impl Fn() -> Shared + Send + Sync + use<> {
    let (world, stock) = (world.clone(), stock.clone());
    move || Shared { stock: stock.clone(), world: world.clone() }
}

/// A test of two guests that lose an update if both read before one writes.
pub(crate) fn guests_lose_update(
    pre: &InstancePre<Shared>,
    options: InstanceOptions,
) -> impl Fn(&World) -> Result<(), Error> {
    move |world| {
        let stock = Counter::default();
        let guest = || world.instance_with(pre, options.clone(), shared(world, &stock));
        let guests = [guest()?, guest()?];
        let mut calls =
            [guests[0].call::<(), ()>("add", ())?, guests[1].call::<(), ()>("add", ())?];
        run_all(world, &mut calls)?;
        assert_eq!(stock.get(), 2, "an update is lost");
        Ok(())
    }
}
