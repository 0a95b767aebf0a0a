//! What the lines of a failure say: which host functions guests call, what waiting calls wait for, and where guests are.

use crate::support::ok;
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
        world.run_all();
        call.try_get_result().map(|_| ())
    };
    let mut explorer = explore::dfs(1);
    if with_names {
        explorer = explorer.host_names(guest.pre.module(), &guest.wasm);
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
    let _ = explore::dfs(1).host_names(guest.pre.module(), &wat::parse_str(other).unwrap());
}

#[test]
#[should_panic(expected = "no wasm of a module: ")]
fn what_is_no_wasm_has_no_names() {
    let guest = guest(&EngineOptions::default());
    let _ = explore::dfs(1).host_names(guest.pre.module(), b"(module)");
}

#[test]
fn a_waiting_call_is_listed_with_all_that_it_waits_for() {
    let never = explore::dfs(1).check(|world: &World| -> Result<(), Error> {
        let (pool, event, queue) = (world.pool(), Event::new(), AccessQueue::<u8>::new());
        let (first, second) = (pool.submit_fn(|| ()), pool.submit_fn(|| ()));
        let asleep = event.clone();
        let mut waits = Future::new(ok(asleep.wait())).named("waits");
        let waiting = pool.submit(waits.to_job()?);
        let all = JobHandle::all([waiting.clone(), first, second]);
        let mut for_all = Future::new(ok(all)).named("all");
        pool.submit(for_all.to_job()?);
        let mut access = Future::new({
            let access = queue.with(|_| ());
            ok(access)
        })
        .named("access");
        pool.submit(access.to_job()?);
        pool.submit_fn(move || waiting.wait());
        world.run_all();
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
            event.wait().await;
            Ok(())
        });
        world.pool().submit(naps.to_job()?);
        world.run_all();
        Ok(())
    });
    assert_eq!(
        failure.unwrap_err().steps()[..2],
        ["job#0 step 1, submitted: waits until 5s", "the clock goes to 5s"]
    );
}

/// A pool of the host's that puts its jobs into that of the world.
#[derive(Clone)]
struct Wrapped(wasm_jobs::explore::WorldPool);

impl JobPool for Wrapped {
    fn enqueue(&self, job: wasm_jobs::Job) {
        self.0.enqueue(job);
    }
}

#[test]
fn a_job_of_a_pool_around_the_worlds_own_is_one_job() {
    let test = |is_set: bool| {
        move |world: &World| -> Result<(), Error> {
            let (pool, event) = (Wrapped(world.pool()), Event::new());
            let wait = event.wait();
            let mut waits = Future::new(ok(wait)).named("waits");
            pool.submit(waits.to_job()?);
            if is_set {
                pool.submit_fn(move || event.set());
            }
            world.run_all();
            waits.try_get_result().map(|_| ())
        }
    };
    let failure = explore::dfs(1).check(test(false)).unwrap_err();
    assert!(failure.message().starts_with("deadlock: "), "{failure}");
    assert!(
        failure.message().contains("\n  waits#0 waits since its step 1 for event 1 "),
        "{failure}"
    );
    let report = explore::dfs(10).run(test(true));
    assert_eq!((report.schedules, report.steps, report.is_exhaustive), (2, 5, true));
    let left = explore::dfs(1).check(|world: &World| drop(Wrapped(world.pool()).submit_fn(|| ())));
    assert!(left.unwrap_err().message().starts_with("job#0 was not run to its end"));
}

#[test]
fn a_step_says_in_which_host_function_it_goes_on_and_which_jobs_it_ends() {
    let guest = guest(&EngineOptions::default());
    let failure =
        explore::dfs(1).host_names(guest.pre.module(), &guest.wasm).check(|world: &World| {
            {
                let event = Event::new();
                let state = event.clone();
                let instance = world.instance(&guest.pre, move || state.clone())?;
                let mut call = instance.call::<(), ()>("buy", ())?;
                world.pool().submit(call.to_job()?);
                let mut asleep = Future::new({
                    let wait = Event::new().wait();
                    ok(wait)
                })
                .named("asleep");
                let job = world.pool().submit(asleep.to_job()?);
                world.pool().submit_after(
                    move || {
                        event.set();
                        job.cancel();
                    },
                    &[],
                );
                world.run_all();
                call.try_get_result()
            }
            .map(drop)
        });
    let failure = failure.unwrap_err();
    let steps: Vec<_> = failure.steps().iter().map(|step| step.split(" (").next()).collect();
    assert_eq!(
        steps[3..],
        [
            Some("buy#0 step 4, goes on: calls shop.wait, waits for event 1"),
            Some("asleep#1 step 1, submitted: waits for event 2"),
            Some("job#2 step 1, submitted: ends asleep#1, done"),
            Some("buy#0 step 5, woken by job#2: in shop.wait, yields"),
            Some("buy#0 step 6, goes on: calls the host from outer, failed"),
        ]
    );
}
