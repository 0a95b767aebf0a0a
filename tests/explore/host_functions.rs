//! What host functions do: they wait on the thread of the test, and fail when the schedule says so.

use crate::support::run_all;
use wasm_jobs::explore::{self, World};
use wasm_jobs::wasmtime::{Caller, InstancePre, Linker, Module};
use wasm_jobs::{EngineOptions, Error, JobPool, engine};

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
    assert_eq!((failure.schedule_number(), failure.schedule()), (2, "1"));
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
