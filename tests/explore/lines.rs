//! What the lines of a failure say: which host functions guests call, what waiting calls wait for, and where guests are.

use crate::support::{Counter, run_all, steps};
use std::time::Duration;
use wasm_jobs::explore::{self, Failure, World};
use wasm_jobs::wasmtime::{Caller, InstancePre, Linker, Module, format_err};
use wasm_jobs::{
    AccessQueue, Clock, EngineOptions, Error, Event, Future, InstanceOptions, JobHandle, JobPool,
    engine,
};

/// Looks, waits, and calls a function by reference, which is the host's.
const GUEST: &str = r#"(module
    (import "shop" "look" (func $look (result i32)))
    (import "shop" "wait" (func $wait))
    (import "shop" "by_reference" (func $by_reference))
    (table funcref (elem $by_reference))
    (memory 1)
    (func $inner (call $wait))
    (func $outer (export "buy")
        (drop (call $look))
        (drop (memory.grow (i32.const 1)))
        (call $inner)
        (call_indirect (i32.const 0))))"#;

struct Guest {
    wasm: Vec<u8>,
    pre: InstancePre<Event>,
}

fn guest(options: &EngineOptions) -> Guest {
    let engine = engine(options).unwrap();
    let wasm = wat::parse_str(GUEST).unwrap();
    let module = Module::new(&engine, &wasm).unwrap();
    let mut linker = Linker::<Event>::new(&engine);
    linker.func_wrap("shop", "look", || 7).unwrap();
    linker
        .func_wrap_async("shop", "wait", |caller: Caller<'_, Event>, ()| {
            Box::new(caller.data().wait())
        })
        .unwrap();
    let fails = || Err::<(), _>(format_err!("it is only a reference"));
    linker.func_wrap("shop", "by_reference", fails).unwrap();
    Guest { wasm, pre: linker.instantiate_pre(&module).unwrap() }
}

/// The failure of a guest that stops before it calls the host, or does not. The event is set or not.
fn fails(guest: &Guest, stops: bool, is_set: bool, with_names: bool) -> Failure {
    let test = |world: &World| -> Result<(), Error> {
        let event = Event::new();
        if is_set {
            event.set();
        }
        let options = InstanceOptions::default().yield_before_host_calls(stops);
        let instance = world.instance_with(&guest.pre, options, move || event.clone())?;
        let mut call = instance.call::<(), ()>("buy", ())?;
        world.pool().submit(call.to_job()?);
        world.run();
        call.try_get_result().map(|_| ())
    };
    let mut explorer = explore::dfs(1);
    if with_names {
        explorer = explorer.names(guest.pre.module(), &guest.wasm);
    }
    explorer.check(test).unwrap_err()
}

#[test]
fn each_line_names_the_host_functions_that_its_step_calls() {
    for options in [EngineOptions::default(), EngineOptions::default().deterministic()] {
        let guest = guest(&options);
        let stops = fails(&guest, true, true, true);
        assert_eq!(
            stops.steps(),
            [
                "buy#0 step 1, submitted: yields",
                "buy#0 step 2, goes on: calls shop.look, yields",
                // To wasmtime, a memory that grows is a call of the host.
                "buy#0 step 3, goes on: yields",
                "buy#0 step 4, goes on: calls shop.wait, yields",
                "buy#0 step 5, goes on: calls the host from outer, failed",
            ]
        );
        let runs_on = fails(&guest, false, true, true);
        assert_eq!(
            runs_on.steps(),
            [
                "buy#0 step 1, submitted: calls shop.look, calls shop.wait, calls the host from outer, failed"
            ]
        );
        assert_eq!(
            runs_on.backtraces(),
            ["buy#0 has failed: a host function failed: it is only a reference"]
        );
    }
}

#[test]
fn a_deadlock_says_which_host_function_waits_for_what_and_where_the_guest_is() {
    let guest = guest(&EngineOptions::default());
    let failure = fails(&guest, false, false, true);
    let line = failure.message().lines().nth(1).unwrap();
    let start = "  buy#0 waits since its step 1 in shop.wait for event 1 (tests/explore/lines.rs:";
    assert!(line.starts_with(start), "{line}");
    assert_eq!(failure.backtraces(), ["buy#0 has called shop.wait\n  in inner\n  in outer"]);
    assert!(failure.to_string().contains("\nbuy#0 has called shop.wait\n  in inner\n"));

    // Without the wasm, only the function that calls is known.
    let failure = fails(&guest, false, false, false);
    let line = failure.message().lines().nth(1).unwrap();
    assert!(line.contains(" in the host from inner for event 1 "), "{line}");
}

#[test]
#[should_panic(expected = "the module was not compiled from this wasm")]
fn the_wasm_of_another_module_has_no_names() {
    let guest = guest(&EngineOptions::default());
    let other = GUEST.replace("look", "peek");
    let _ = explore::dfs(1).names(guest.pre.module(), &wat::parse_str(other).unwrap());
}

#[test]
#[should_panic(expected = "no wasm of a module: ")]
fn what_is_no_wasm_has_no_names() {
    let guest = guest(&EngineOptions::default());
    let _ = explore::dfs(1).names(guest.pre.module(), b"(module)");
}

#[test]
fn a_waiting_call_is_listed_with_all_that_it_waits_for() {
    let never = explore::dfs(1).check(|world: &World| -> Result<(), Error> {
        let (pool, event, queue) = (world.pool(), Event::new(), AccessQueue::<u8>::new());
        let (first, second) = (pool.submit_fn(|| ()), pool.submit_fn(|| ()));
        let asleep = event.clone();
        let mut waits = Future::new(async move { Ok(asleep.wait().await) }).named("waits");
        let waiting = pool.submit(waits.to_job()?);
        let all = JobHandle::all([waiting.clone(), first, second]);
        let mut for_all = Future::new(async move { Ok(all.await) }).named("all");
        pool.submit(for_all.to_job()?);
        let mut access = Future::new({
            let access = queue.with(|_| ());
            async move { Ok(access.await) }
        })
        .named("access");
        pool.submit(access.to_job()?);
        pool.submit_fn(move || waiting.wait());
        world.run();
        Ok(())
    });
    let never = never.unwrap_err();
    let lines: Vec<_> =
        never.message().lines().map(|line| line.replace("tests/explore/", "")).collect();
    let event = "event 1 (lines.rs:";
    assert!(
        lines[1].starts_with(&format!("  waits#2 waits since its step 1 for {event}")),
        "{never}"
    );
    assert_eq!(
        lines[2..5],
        [
            "  all#3 waits since its step 1 for waits#2",
            "  access#4 waits since its step 1 for `AccessQueue::run`",
            "  job#5 blocks in its step 1 for waits#2",
        ]
    );
}

#[test]
fn a_sleeper_that_is_cut_short_says_until_when_it_sleeps() {
    let failure = explore::dfs(1).check(|world: &World| -> Result<(), Error> {
        let (clock, event) = (world.clock(), Event::new());
        let mut naps = Future::new(async move {
            clock.sleep(Duration::from_secs(5)).await;
            Ok(event.wait().await)
        });
        world.pool().submit(naps.to_job()?);
        world.run();
        Ok(())
    });
    assert_eq!(
        failure.unwrap_err().steps()[..2],
        ["job#0 step 1, submitted: waits until 5s", "the clock goes to 5s"]
    );
}

/// Never ends, and calls no host function.
const ENDLESS: &str = r#"(module
    (func (export "endless") (loop $again (br $again)))
    (func (export "long") (param $left i32)
        (loop $again
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $again (local.get $left)))))"#;

#[test]
fn a_step_that_never_ends_is_a_failure_and_a_long_one_is_not() {
    let engine = engine(&EngineOptions::default().fuel(true)).unwrap();
    let module = Module::new(&engine, wat::parse_str(ENDLESS).unwrap()).unwrap();
    let pre = Linker::<()>::new(&engine).instantiate_pre(&module).unwrap();
    for stops in [false, true] {
        let options = InstanceOptions::default().yield_before_host_calls(stops);
        let test = |name: &'static str, left: Option<i32>| {
            let (pre, options) = (&pre, options.clone());
            move |world: &World| -> Result<(), Error> {
                let instance = world.instance_with(pre, options.clone(), || ())?;
                let mut call = match left {
                    Some(left) => instance.call::<i32, ()>(name, left)?,
                    None => instance.call::<(), ()>(name, ())?,
                };
                world.pool().submit(call.to_job()?);
                world.run();
                call.try_get_result().map(|_| ())
            }
        };
        let explorer = explore::dfs(1).max_fuel(1_000_000);
        let failure = explorer.check(test("endless", None)).unwrap_err();
        assert_eq!(
            failure.message(),
            "a step goes on for ever, or `Explorer::max_fuel` is too low"
        );
        assert_eq!(failure.steps(), ["endless#0 step 1, submitted: yields"]);
        // Six instructions a turn.
        let report = explorer.run(test("long", Some(150_000)));
        assert_eq!(report.steps, 1);
        let failure = explorer.check(test("long", Some(200_000))).unwrap_err();
        assert!(failure.message().starts_with("a step goes on for ever"), "{failure}");
    }
}

/// Writes a number where the host has told it to.
const WRITES: &str = r#"(module
    (import "env" "next" (func $next (result i32)))
    (memory (export "memory") 1)
    (global (export "count") (mut i32) (i32.const 0))
    (func (export "write")
        (i32.store8 (call $next) (i32.const 1))))"#;

#[test]
fn states_are_told_apart_by_what_guests_export() {
    let engine = engine(&EngineOptions::default()).unwrap();
    let module = Module::new(&engine, wat::parse_str(WRITES).unwrap()).unwrap();
    let mut linker = Linker::<Counter>::new(&engine);
    let next = |caller: Caller<'_, Counter>| {
        let next = caller.data().get();
        caller.data().set(next + 1);
        next
    };
    linker.func_wrap("env", "next", next).unwrap();
    let pre = linker.instantiate_pre(&module).unwrap();
    let test = |guests: usize| {
        let pre = &pre;
        move |world: &World| -> Result<(), Error> {
            let counter = Counter::default();
            let mut calls = Vec::new();
            for _ in 0..guests {
                let counter = counter.clone();
                let guest = world.instance(pre, move || counter.clone())?;
                // A reset makes a new store, whose exports are others.
                guest.reset()?;
                calls.push(guest.call::<(), ()>("write", ())?);
            }
            run_all(world, &mut calls)
        }
    };
    // Nothing is written; the guest has written 1 to place 0.
    let one = explore::dfs(100).count_states().run(test(1));
    assert_eq!((one.schedules, one.states), (1, 2));
    // The first, the second, or both have written; and which of them has written to which place.
    let two = explore::dfs(100).count_states().run(test(2));
    assert_eq!((two.schedules, two.states), (6, 5));
    assert_eq!(explore::dfs(100).run(test(2)).states, 0);
    assert_eq!(
        two.to_string(),
        "6 schedules, 24 steps, 4 in the longest one, 5 states, all schedules were run"
    );
}

#[test]
fn a_job_is_cancelled_or_dropped_at_any_point() {
    let cancelled = explore::dfs(100).run(|world: &World| -> Result<(), Error> {
        let mut call = steps(2);
        world.cancel_at_any_point(&world.pool().submit(call.to_job()?));
        world.run();
        assert!(matches!(call.try_get_result(), Ok(Some(())) | Err(Error::Cancelled)));
        Ok(())
    });
    assert_eq!((cancelled.schedules, cancelled.is_exhaustive), (3, true));
    let failure = explore::dfs(100).check(|world: &World| -> Result<(), Error> {
        let mut call = steps(2);
        let job = world.pool().submit(call.to_job()?);
        world.drop_at_any_point(&job);
        world.run();
        assert!(job.is_complete());
        // A call whose runner was dropped has not ended, and can be resumed by its owner.
        assert!(call.has_result(), "the runner was dropped");
        Ok(())
    });
    let failure = failure.unwrap_err();
    assert!(failure.message().ends_with("the runner was dropped"), "{failure}");
    assert_eq!(failure.steps(), ["drop of job#0 step 1, submitted: done"]);
    explore::dfs(100).run(|world: &World| -> Result<(), Error> {
        let mut call = steps(2);
        world.drop_at_any_point(&world.pool().submit(call.to_job()?));
        world.run();
        call.wait()
    });
    // A job that waits is dropped when it is woken.
    explore::dfs(100).run(|world: &World| -> Result<(), Error> {
        let (event, pool) = (Event::new(), world.pool());
        let waits = event.wait();
        let mut call = Future::new(async move { Ok(waits.await) });
        let job = pool.submit(call.to_job()?);
        world.drop_at_any_point(&job);
        pool.submit_fn(move || event.set());
        world.run();
        call.wait()
    });
}

#[test]
#[should_panic(expected = "the handle is not that of a job of this world's pool")]
fn only_a_job_of_the_world_can_be_dropped() {
    explore::dfs(1).run(|world: &World| world.drop_at_any_point(&JobHandle::all([])));
}
