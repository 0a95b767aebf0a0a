//! Guests that race in the host.

use crate::support::{ADDS, Counter, Shared, guests_lose_update, linked, shared, steps};
use wasm_jobs::explore::{self, World};
use wasm_jobs::wasmtime::InstancePre;
use wasm_jobs::{EngineOptions, Error, InstanceOptions, JobPool};

/// Two guests add one each.
fn two_guests(world: &World) -> Result<(), Error> {
    let stock = Counter::default();
    let guests = [
        world.instance(&*ADDS, shared(world, &stock))?,
        world.instance(&*ADDS, shared(world, &stock))?,
    ];
    let mut calls = Vec::new();
    for guest in &guests {
        let mut call = guest.call::<(), ()>("add", ())?;
        world.pool().submit(call.to_job()?);
        calls.push(call);
    }
    for call in &mut calls {
        call.wait()?;
    }
    assert_eq!(stock.get(), 2, "an update is lost");
    Ok(())
}

#[test]
fn an_update_that_guests_lose_is_found_and_the_steps_say_what_they_touch() {
    for explorer in [explore::random(1_000), explore::pct(1_000, 2), explore::dfs(1_000)] {
        let failure = explorer.check(two_guests).unwrap_err();
        // `a` reads, then `b` does all, then `a` writes. The first step of each leads to its first call of the host.
        assert_eq!(
            failure.steps(),
            [
                "add#0 step 1, submitted: yields",
                "add#0 step 2, goes on: calls the host from add, touches stock, yields",
                "add#1 step 1, submitted: yields",
                "add#1 step 2, goes on: calls the host from add, touches stock, yields",
                "add#1 step 3, goes on: calls the host from add, touches stock, done",
                "add#0 step 3, goes on: calls the host from add, touches stock, done",
            ],
            "{failure}"
        );
        assert_eq!(failure.schedule(), "0x2.1");
    }
}

/// A guest that computes for a while between its two calls of the host.
const COMPUTES: &str = r#"(module
    (import "shop" "read" (func $read (result i32)))
    (import "shop" "write" (func $write (param i32)))
    (func $add (export "add") (local $read i32) (local $left i32)
        (local.set $read (call $read))
        (local.set $left (i32.const 20))
        (loop $again
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $again (local.get $left)))
        (call $write (i32.add (local.get $read) (i32.const 1)))))"#;

/// Two guests add one each, and stop only where their fuel ends.
fn two_that_compute(pre: &InstancePre<Shared>) -> impl Fn(&World) -> Result<(), Error> {
    guests_lose_update(pre, InstanceOptions::default().yield_before_host_calls(false))
}

#[test]
fn a_guest_is_preempted_by_fuel_where_it_calls_no_host_function() {
    let pre = linked(COMPUTES, &EngineOptions::default().deterministic());
    let test = two_that_compute(&pre);
    // Without preemption, each call is one step.
    assert_eq!(explore::dfs(10).run(&test).schedules, 2);
    for explorer in [explore::random(1_000), explore::pct(1_000, 2)] {
        let explorer = explorer.host_names(pre.module(), &wat::parse_str(COMPUTES).unwrap());
        let failure = explorer.preempt(100).check(&test).unwrap_err();
        let steps = failure.steps();
        assert_eq!(steps.len(), 3, "{failure}");
        assert!(
            steps[0].starts_with("add#0 step 1, submitted: calls shop.read, touches stock, has "),
            "{failure}"
        );
        assert!(steps[0].ends_with(" of fuel, yields"), "{failure}");
        assert_eq!(
            steps[1],
            "add#1 step 1, submitted: calls shop.read, touches stock, calls shop.write, touches stock, done"
        );
        assert_eq!(steps[2], "add#0 step 2, goes on: calls shop.write, touches stock, done");
        assert!(
            failure.schedule().starts_with("0+") && failure.schedule().ends_with(".1"),
            "{failure}"
        );
        let again = explore::replay(failure.schedule())
            .host_names(pre.module(), &wat::parse_str(COMPUTES).unwrap())
            .check(&test)
            .unwrap_err();
        assert_eq!(again.steps(), steps);
    }
}

#[test]
fn a_guest_that_is_preempted_stops_once_for_each_slice() {
    let pre = linked(COMPUTES, &EngineOptions::default().deterministic());
    let test = |world: &World| -> Result<(), Error> {
        let stock = Counter::default();
        let guest = world.instance(&pre, shared(world, &stock))?;
        let mut call = guest.call::<(), ()>("add", ())?;
        world.pool().submit(call.to_job()?);
        // Steps are preempted only where there is a choice.
        let mut other = steps(200);
        world.pool().submit(other.to_job()?);
        world.run_all();
        Err(Error::other("to see the steps"))
    };
    let failure = explore::replay("1.1.1+60.1+60").check(test).unwrap_err();
    let of_guest = failure.steps().iter().filter(|step| step.starts_with("add#0"));
    let of_guest: Vec<_> = of_guest.map(|step| step.split(": ").nth(1).unwrap()).collect();
    assert_eq!(
        of_guest,
        [
            "yields",
            "calls the host from add, touches stock, has 60 of fuel, yields",
            "yields",
            "calls the host from add, touches stock, done",
        ],
        "{failure}"
    );
}

#[test]
fn preemption_by_fuel_needs_an_engine_that_counts_it() {
    let failure = explore::random(1).preempt(100).check(two_guests).unwrap_err();
    assert_eq!(
        failure.message(),
        "the test gave the error: a step that ends by fuel is not supported: the engine counts none: use `EngineOptions::fuel`, or `EngineOptions::deterministic`"
    );
}

#[test]
fn a_deterministic_engine_has_one_nan() {
    let wat = r#"(module (func (export "nan") (param f32) (result i32)
        (i32.reinterpret_f32 (f32.add (local.get 0) (f32.const 1)))))"#;
    let pre = linked(wat, &EngineOptions::default().deterministic());
    explore::dfs(1).run(|world: &World| -> Result<(), Error> {
        let guest = world.instance(&pre, shared(world, &Counter::default()))?;
        let payload = f32::from_bits(0x7fe1_2345);
        assert_eq!(guest.call::<f32, i32>("nan", payload)?.wait()?, 0x7fc0_0000);
        Ok(())
    });
    let engine = wasm_jobs::engine(&EngineOptions::default().deterministic()).unwrap();
    assert!(engine.get_consume_fuel());
}

#[test]
fn a_guest_that_traps_is_a_failure_unless_its_error_is_taken() {
    let traps = linked(
        r#"(module (func $deep unreachable) (func $trap (export "trap") (call $deep)))"#,
        &EngineOptions::default(),
    );
    let test = |takes: bool| {
        let traps = traps.clone();
        move |world: &World| -> Result<(), Error> {
            let guest = world.instance(&traps, shared(world, &Counter::default()))?;
            let mut call = guest.call::<(), ()>("trap", ())?;
            world.pool().submit(call.to_job()?).wait();
            if takes {
                assert!(matches!(call.try_get_result(), Err(Error::Trap(_))));
            }
            Ok(())
        }
    };
    explore::dfs(10).run(test(true));
    let failure = explore::dfs(10).check(test(false)).unwrap_err();
    let message = failure.message();
    assert!(message.starts_with("trap has failed, and nobody took its error: "), "{message}");
    assert!(message.contains("unreachable"), "{message}");
    assert!(message.ends_with("\n  in deep\n  in trap"), "{message}");
    assert_eq!(failure.steps(), ["trap#0 step 1, submitted: failed"]);
}

/// A component that adds one to the stock, by two host functions.
#[cfg(feature = "component-model")]
const COMPONENT: &str = r#"(component
    (import "read" (func $read (result s32)))
    (import "write" (func $write (param "value" s32)))
    (core func $core_read (canon lower (func $read)))
    (core func $core_write (canon lower (func $write)))
    (core module $m
        (import "shop" "read" (func $read (result i32)))
        (import "shop" "write" (func $write (param i32)))
        (func (export "add") (call $write (i32.add (call $read) (i32.const 1)))))
    (core instance $i (instantiate $m (with "shop" (instance
        (export "read" (func $core_read))
        (export "write" (func $core_write))))))
    (func (export "add") (canon lift (core func $i "add"))))"#;

#[cfg(feature = "component-model")]
#[test]
fn components_race_as_modules_do() {
    use crate::support::run_all;
    use wasm_jobs::wasmtime::StoreContextMut;
    use wasm_jobs::wasmtime::component::{Component, Linker};

    let engine = wasm_jobs::engine(&EngineOptions::default()).unwrap();
    let component = Component::new(&engine, wat::parse_str(COMPONENT).unwrap()).unwrap();
    let mut linker = Linker::<Shared>::new(&engine);
    let mut root = linker.root();
    let read = |store: StoreContextMut<'_, Shared>, ()| Ok((store.data().stock.get(),));
    let write = |store: StoreContextMut<'_, Shared>, (value,): (i32,)| {
        store.data().stock.set(value);
        Ok(())
    };
    root.func_wrap("read", read).unwrap();
    root.func_wrap("write", write).unwrap();
    let pre = linker.instantiate_pre(&component).unwrap();
    let test = |world: &World| -> Result<(), Error> {
        let stock = Counter::default();
        let mut calls = Vec::new();
        for name in ["ann", "bob"] {
            let pre = pre.clone();
            let options = InstanceOptions::default().yield_before_host_calls(true);
            let state = shared(world, &stock);
            let guest = world.instance_with_exports(&engine, options, state, move |store| {
                let pre = pre.clone();
                Box::pin(async move { pre.instantiate_async(store).await })
            })?;
            let call = guest.start(|mut store, instance| {
                Box::pin(async move {
                    let add = instance.get_typed_func::<(), ()>(&mut store, "add")?;
                    add.call_async(&mut store, ()).await
                })
            })?;
            calls.push(call.named(name));
        }
        run_all(world, &mut calls)?;
        for call in &mut calls {
            call.try_get_result()?;
        }
        assert_eq!(stock.get(), 2, "an update is lost");
        Ok(())
    };
    let failure = explore::dfs(1_000).check(test).unwrap_err();
    assert_eq!(failure.schedule(), "0x2.1", "{failure}");
    assert_eq!(failure.steps().len(), 6, "{failure}");
}
