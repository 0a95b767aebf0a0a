//! Whatever waits on the thread of the test runs jobs meanwhile.

use crate::support::steps;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use wasm_jobs::explore::{self, World};
use wasm_jobs::{Coroutines, Error, JobHandle, JobPool};

#[test]
fn a_wait_for_a_call_or_for_handles_runs_the_jobs() {
    let report = explore::random(100).run(|world: &World| -> Result<(), Error> {
        let (mut a, mut b, mut c) = (steps(2), steps(3), steps(4));
        let handle = world.pool().submit(a.to_job()?);
        world.pool().submit(b.to_job()?);
        let last = world.pool().submit(c.to_job()?);
        b.wait()?;
        JobHandle::all([handle, last]).wait();
        assert_eq!((a.try_get_result()?, c.try_get_result()?), (Some(()), Some(())));
        Ok(())
    });
    assert_eq!(report.steps, 100 * 9);
}

#[test]
fn a_wait_inside_a_job_runs_the_others_on_top_of_it() {
    let failure = explore::dfs(100).check(|world: &World| {
        let pool = world.pool();
        world.pool().submit_fn(move || pool.submit_fn(|| ()).wait());
        world.run_all();
        Err::<(), _>("to see the steps")
    });
    let failure = failure.unwrap_err();
    assert_eq!(failure.steps(), ["job#0 step 1, submitted: done", "job#1 step 1, submitted: done"]);
}

#[test]
fn graphs_run_in_their_order() {
    explore::dfs(1_000).run(|world: &World| {
        let (pool, sum) = (world.pool(), Arc::new(AtomicU32::new(0)));
        let add = |amount| {
            let sum = sum.clone();
            move || {
                sum.fetch_add(amount, Relaxed);
            }
        };
        let parts = [pool.submit_fn(add(1)), pool.submit_fn(add(2))];
        let seen = sum.clone();
        pool.submit_after(move || assert_eq!(seen.load(Relaxed), 3), &parts);
        world.run_all();
    });
}

#[test]
fn coroutines_await_jobs_of_the_world() {
    let report = explore::dfs(1_000).run(|world: &World| {
        let coroutines = Coroutines::new();
        let (pool, sum) = (world.pool(), Arc::new(AtomicU32::new(0)));
        for count in [2, 3] {
            let (pool, sum) = (pool.clone(), sum.clone());
            coroutines.spawn(async move {
                let mut call = steps(count);
                if let Ok(runner) = call.to_job() {
                    pool.submit(runner).await;
                    sum.fetch_add(count, Relaxed);
                }
            });
        }
        coroutines.run();
        assert_eq!(sum.load(Relaxed), 5);
    });
    assert!(report.is_exhaustive);
    assert_eq!(report.schedules, 10);
}
