//! What host functions do: they wait on the thread of the test, fail when the schedule says so, and are cancelled half-way.

use crate::support::{Counter, run_all};
use wasm_jobs::explore::{self, World};
use wasm_jobs::wasmtime::{Caller, InstancePre, Linker, Module};
use wasm_jobs::{EngineOptions, Error, Event, Future, JobPool, engine, yield_now};

/// A guest whose one host function is `host`.
fn guest_of<S: Send + 'static>(
    host: impl Fn(Caller<'_, S>) -> Result<(), wasm_jobs::wasmtime::Error> + Send + Sync + 'static,
) -> InstancePre<S> {
    let engine = engine(&EngineOptions::default()).unwrap();
    let wat = r#"(module (import "env" "host" (func $host)) (func $run (export "run") (call $host) (call $host)))"#;
    let module = Module::new(&engine, wat::parse_str(wat).unwrap()).unwrap();
    let mut linker = Linker::<S>::new(&engine);
    linker.func_wrap("env", "host", host).unwrap();
    linker.instantiate_pre(&module).unwrap()
}

#[test]
fn a_host_function_that_waits_for_a_job_runs_it_on_top_of_the_guest() {
    let pre = guest_of(|caller: Caller<'_, World>| {
        let pool = caller.data().pool();
        pool.submit_fn(|| ()).wait();
        Ok(())
    });
    let test = |world: &World| -> Result<(), Error> {
        let state = world.clone();
        let guests = [(); 2].map(|()| {
            let state = state.clone();
            world.instance(&pre, move || state.clone())
        });
        let [one, other] = guests;
        let (one, other) = (one?, other?);
        let mut calls = [one.call::<(), ()>("run", ())?, other.call::<(), ()>("run", ())?];
        run_all(world, &mut calls)?;
        Ok(())
    };
    let report = explore::random(200).run(test);
    // Two guests of three steps, and four closures.
    assert_eq!(report.steps, 200 * 10);
}

#[test]
fn a_host_call_that_fails_is_tried_at_each_place() {
    let pre = guest_of(|caller: Caller<'_, World>| {
        if caller.data().choose(2) == 1 {
            return Err(wasm_jobs::wasmtime::format_err!("no connection"));
        }
        Ok(())
    });
    let test = |world: &World| -> Result<(), Error> {
        let state = world.clone();
        let guest = world.instance(&pre, move || state.clone())?;
        let mut call = guest.call::<(), ()>("run", ())?;
        world.pool().submit(call.to_job()?);
        call.wait()
    };
    // Which fails: neither call, the second one, the first one.
    let failure = explore::dfs(10).check(test).unwrap_err();
    assert_eq!((failure.found_by(), failure.schedule()), (2, "1"));
    assert_eq!(failure.message(), "the test gave the error: a host function failed: no connection");
    assert_eq!(
        failure.steps(),
        [
            "run#0 step 1, submitted: yields",
            "run#0 step 2, goes on: calls the host from run, chose 1 of 2, failed",
        ]
    );
    let report = explore::dfs(10).run(|world: &World| drop(test(world)));
    assert_eq!((report.schedules, report.is_exhaustive), (3, true));
}

#[test]
fn an_event_that_is_missed_is_found() {
    // The waiter looks, and then resets the event: a `set` in between is lost.
    let misses = |world: &World| -> Result<(), Error> {
        let (letters, bell) = (Counter::default(), Event::new());
        let mut waiter = Future::new({
            let (letters, bell) = (letters.clone(), bell.clone());
            async move {
                while letters.get() == 0 {
                    yield_now().await;
                    bell.reset();
                    bell.wait().await;
                }
                Ok(())
            }
        })
        .named("waiter");
        let mut sender = Future::new(async move {
            letters.set(1);
            bell.set();
            Ok(())
        })
        .named("sender");
        world.pool().submit(waiter.to_job()?);
        world.pool().submit(sender.to_job()?);
        world.run();
        Ok(())
    };
    for explorer in [explore::random(1_000), explore::pct(1_000, 2), explore::dfs(1_000)] {
        let failure = explorer.check(misses).unwrap_err();
        let lines: Vec<_> = failure.message().lines().collect();
        assert_eq!(
            lines[1],
            "  waiter#0 waits since its step 2 for event 1 (tests/explore/host_functions.rs:78)"
        );
        assert_eq!(
            failure.steps(),
            [
                "waiter#0 step 1, submitted: yields",
                "sender#1 step 1, submitted: done",
                "waiter#0 step 2, goes on: waits for event 1 (tests/explore/host_functions.rs:78)",
            ]
        );
    }
}

#[test]
fn a_cancel_half_way_that_loses_money_is_found() {
    let transfer = |world: &World| -> Result<(), Error> {
        let (from, to) = (Counter::default(), Counter::default());
        from.set(1);
        let mut call = Future::new({
            let (from, to) = (from.clone(), to.clone());
            async move {
                from.set(from.get() - 1);
                yield_now().await;
                to.set(to.get() + 1);
                Ok(())
            }
        })
        .named("transfer");
        let job = world.pool().submit(call.to_job()?);
        world.pool().submit_fn(move || job.cancel());
        world.run();
        drop(call);
        assert_eq!(from.get() + to.get(), 1, "money is lost");
        Ok(())
    };
    for explorer in [explore::random(1_000), explore::pct(1_000, 2), explore::dfs(1_000)] {
        let failure = explorer.check(transfer).unwrap_err();
        assert_eq!(failure.schedule(), "0.1");
        assert_eq!(
            failure.steps()[..2],
            ["transfer#0 step 1, submitted: yields", "job#1 step 1, submitted: done"]
        );
    }
}
