//! What an explorer and a world are told: how much fuel a step may use, whether states are counted, and what happens to jobs at any point.

use crate::support::{Counter, ok, run_all, steps};
use wasm_jobs::explore::{self, World};
use wasm_jobs::wasmtime::{Caller, Linker, Module};
use wasm_jobs::{EngineOptions, Error, Event, Future, InstanceOptions, JobHandle, JobPool, engine};

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
                world.run_all();
                call.try_get_result().map(|_| ())
            }
        };
        let explorer = explore::dfs(1).max_fuel(1_000_000);
        let failure = explorer.check(test("endless", None)).unwrap_err();
        assert_eq!(
            failure.message(),
            "a step goes on for ever, or `Explorer::max_fuel` is too low"
        );
        assert_eq!(failure.steps(), ["endless#0 step 1, submitted: failed"]);
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
        "6 schedules, 24 steps, 4 in the longest one, 5 states, the search is complete"
    );
}

#[test]
fn a_job_is_cancelled_or_dropped_at_any_point() {
    let cancelled = explore::dfs(100).run(|world: &World| -> Result<(), Error> {
        let mut call = steps(2);
        world.cancel_at_any_point(&world.pool().submit(call.to_job()?));
        world.run_all();
        assert!(matches!(call.try_get_result(), Ok(Some(())) | Err(Error::Cancelled)));
        Ok(())
    });
    assert_eq!((cancelled.schedules, cancelled.is_exhaustive), (3, true));
    let failure = explore::dfs(100).check(|world: &World| -> Result<(), Error> {
        let mut call = steps(2);
        let job = world.pool().submit(call.to_job()?);
        world.drop_at_any_point(&job);
        world.run_all();
        assert!(job.is_complete());
        // A call whose runner was dropped has not ended, and can be resumed by its owner.
        assert!(call.has_result(), "the runner was dropped");
        Ok(())
    });
    let failure = failure.unwrap_err();
    assert!(failure.message().ends_with("the runner was dropped"), "{failure}");
    assert_eq!(failure.steps(), ["drop of job#0 step 1, submitted: ends job#0, done"]);
    explore::dfs(100).run(|world: &World| -> Result<(), Error> {
        let mut call = steps(2);
        world.drop_at_any_point(&world.pool().submit(call.to_job()?));
        world.run_all();
        call.wait()
    });
    // A job that waits is dropped when it is woken.
    explore::dfs(100).run(|world: &World| -> Result<(), Error> {
        let (event, pool) = (Event::new(), world.pool());
        let waits = event.wait();
        let mut call = Future::new(ok(waits));
        let job = pool.submit(call.to_job()?);
        world.drop_at_any_point(&job);
        pool.submit_fn(move || event.set());
        world.run_all();
        call.wait()
    });
}

#[test]
#[should_panic(expected = "the handle is not that of a job of this world's pool")]
fn only_a_job_of_the_world_can_be_dropped() {
    explore::dfs(1).run(|world: &World| world.drop_at_any_point(&JobHandle::all([])));
}
