//! What is wrong by itself: deadlocks, jobs that go on for ever, errors that nobody takes, jobs that are left, and runs that differ.

use crate::support::{Lock, ok, run_all, steps};
use std::cell::Cell;
use wasm_jobs::explore::{self, World};
use wasm_jobs::{Error, Event, Future, JobPool, yield_now};

fn takes_both(first: &Lock, second: &Lock) -> Future<()> {
    let (first, second) = (first.clone(), second.clone());
    Future::new(async move {
        first.lock(|| ()).await;
        yield_now().await;
        second.lock(|| ()).await;
        second.unlock();
        first.unlock();
        Ok(())
    })
}

fn lock_order(world: &World) -> Result<(), Error> {
    let (a, b) = (Lock::default(), Lock::default());
    let mut calls = [takes_both(&a, &b).named("ab"), takes_both(&b, &a).named("ba")];
    run_all(world, &mut calls)?;
    Ok(())
}

#[test]
fn two_locks_in_two_orders_are_a_deadlock_that_lists_who_waits() {
    for explorer in [explore::random(1_000), explore::pct(1_000, 2), explore::dfs(1_000)] {
        let failure = explorer.check(lock_order).unwrap_err();
        assert_eq!(
            failure.message(),
            "deadlock: no job can go on, and none sleeps on the world's clock
  ab#0 waits since its step 2 for event 2
  ba#1 waits since its step 2 for event 1
what waits for another clock, pool or thread has to use `World::clock` and `World::pool`"
        );
        assert_eq!(
            failure.steps(),
            [
                "ab#0 step 1, submitted: yields",
                "ba#1 step 1, submitted: yields",
                "ba#1 step 2, goes on: waits for event 1",
                "ab#0 step 2, goes on: waits for event 2",
            ]
        );
        assert_eq!(failure.schedule(), "0.1");
    }
}

#[test]
fn a_test_that_waits_for_what_never_comes_is_a_deadlock() {
    let never = |world: &World| -> Result<(), Error> {
        let event = Event::new();
        let mut call = Future::new({
            let wait = event.wait();
            ok(wait)
        });
        let before = world.pool().submit(call.to_job()?);
        world.pool().submit_after(|| (), std::slice::from_ref(&before)).wait();
        Ok(())
    };
    let failure = explore::dfs(10).check(never).unwrap_err();
    let lines: Vec<_> = failure.message().lines().collect();
    assert_eq!(
        lines[1..4],
        [
            "  the test waits",
            "  job#0 waits since its step 1 for event 1 (tests/explore/endings.rs:54)",
            "  job#1 waits for job#0, before its first step"
        ]
    );
    assert_eq!(
        failure.steps(),
        ["job#0 step 1, submitted: waits for event 1 (tests/explore/endings.rs:54)"]
    );
}

#[test]
fn a_job_that_blocks_when_its_run_is_stopped_has_not_ended() {
    let blocks = |world: &World| -> Result<(), Error> {
        let mut never = Future::new(ok(Event::new().wait()));
        let job = world.pool().submit(never.to_job()?);
        world.pool().submit_fn(move || job.wait());
        world.run_all();
        Ok(())
    };
    let failure = explore::dfs(1).check(blocks).unwrap_err();
    assert!(failure.steps()[1].ends_with("has not ended"), "{failure}");
    assert!(failure.message().contains("blocks in its step 1"), "{failure}");
}

#[test]
fn a_job_that_goes_on_for_ever_has_too_many_steps() {
    let for_ever = |world: &World| -> Result<(), Error> {
        let mut call = steps(u32::MAX);
        world.pool().submit(call.to_job()?).wait();
        Ok(())
    };
    let failure = explore::random(10).max_steps(50).check(for_ever).unwrap_err();
    assert_eq!(
        failure.message(),
        "there are more than 50 steps: a job goes on for ever, or `Explorer::max_steps` is too low"
    );
    assert_eq!(failure.steps().len(), 50);
}

#[test]
fn an_error_that_nobody_takes_is_a_failure() {
    let fails = |world: &World| -> Result<(), Error> {
        let mut call =
            Future::new(async { Err::<(), _>(Error::other("no more paper")) }).named("print");
        world.pool().submit(call.to_job()?).wait();
        Ok(())
    };
    let failure = explore::dfs(10).check(fails).unwrap_err();
    assert_eq!(failure.message(), "print has failed, and nobody took its error: no more paper");
}

#[test]
fn an_error_of_the_test_is_a_failure() {
    let failure = explore::dfs(10).check(|_: &World| Err::<(), _>("it rains")).unwrap_err();
    assert_eq!(failure.message(), "the test gave the error: it rains");
    assert_eq!((failure.schedule_number(), failure.steps().len()), (1, 0));
}

#[test]
fn a_closure_that_panics_is_a_failure_with_the_place_of_its_panic() {
    let panics = |world: &World| {
        world.pool().submit_fn(|| panic!("out of paint"));
        world.run_all();
    };
    let failure = explore::dfs(10).check(panics).unwrap_err();
    let message = failure.message();
    assert!(
        message.starts_with("the closure of a job panicked: tests/explore/endings.rs:"),
        "{message}"
    );
    assert!(message.ends_with(": out of paint"), "{message}");
}

#[test]
fn a_job_that_is_left_is_a_failure() {
    let failure =
        explore::dfs(10).check(|world: &World| drop(world.pool().submit_fn(|| ()))).unwrap_err();
    assert_eq!(
        failure.message(),
        "job#0 was not run to its end: call `World::run_all`, or wait for its handle"
    );
}

#[test]
fn a_run_that_goes_another_way_is_a_failure() {
    let runs = Cell::new(0);
    let failure = explore::dfs(10).check(|world: &World| -> Result<(), Error> {
        runs.set(runs.get() + 1);
        let mut call = steps(runs.get());
        world.pool().submit(call.to_job()?).wait();
        Ok(())
    });
    let failure = failure.unwrap_err();
    let lines: Vec<_> = failure.message().lines().collect();
    assert!(lines[0].starts_with("the same schedule went another way when it was run again"));
    assert_eq!(
        lines[1..],
        ["  line 1: job#0 step 1, submitted: done", "  then: job#0 step 1, submitted: yields"]
    );
}

#[test]
fn a_cancel_and_a_dropped_call_are_no_failures() {
    explore::dfs(1_000).run(|world: &World| -> Result<(), Error> {
        let (mut cancelled, mut dropped, mut other) = (steps(3), steps(3), steps(2));
        let handle = world.pool().submit(cancelled.to_job()?);
        world.pool().submit(dropped.to_job()?);
        world.pool().submit(other.to_job()?).wait();
        handle.cancel();
        drop(dropped);
        world.run_all();
        assert!(matches!(cancelled.try_get_result(), Err(Error::Cancelled) | Ok(Some(()))));
        Ok(())
    });
}

#[test]
fn a_destructor_that_panics_at_the_end_of_a_run_is_no_failure_of_the_next_one() {
    struct Panics;

    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("a destructor");
        }
    }

    let report = explore::dfs(10).run(|world: &World| {
        let panics = Panics;
        world.hash_by(move || size_of_val(&panics) as u64);
        world.pool().submit_fn(|| ());
        world.pool().submit_fn(|| ());
        world.run_all();
    });
    assert_eq!(report.schedules, 2);
}
