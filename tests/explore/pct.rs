//! Priorities that change a few times find what they promise.

use crate::support::{in_force, lost_update, steps};
use std::cell::Cell;
use wasm_jobs::explore::{self, World};
use wasm_jobs::{Error, JobPool};

#[test]
fn a_lost_update_is_found_by_two_orderings_and_not_by_one() {
    let failure = explore::pct(1_000, 2).check(lost_update).unwrap_err();
    assert_eq!(failure.schedule(), "0.1");
    // Without a change of priority, no call is preempted.
    explore::pct(1_000, 1).run(lost_update);
}

#[test]
fn a_bug_of_depth_two_is_hit_as_often_as_the_bound_says() {
    // Of two calls with ten steps each, the first one has to stop between two certain steps, and the second one to run then.
    let (runs, hits) = (4_000, Cell::new(0_u32));
    let report = explore::pct(runs, 2).run(|world: &World| -> Result<(), Error> {
        let place = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        use std::sync::atomic::Ordering::Relaxed;
        let at = place.clone();
        let mut first = wasm_jobs::Future::new(async move {
            for step in 0..10 {
                at.store(step, Relaxed);
                wasm_jobs::yield_now().await;
            }
            Ok(())
        });
        let mut second = wasm_jobs::Future::new(async move {
            let began_at = place.load(Relaxed);
            for _ in 1..10 {
                wasm_jobs::yield_now().await;
            }
            Ok(began_at)
        });
        world.pool().submit(first.to_job()?);
        world.pool().submit(second.to_job()?);
        world.run_all();
        hits.set(hits.get() + u32::from(second.try_get_result()? == Some(5)));
        Ok(())
    });
    // Two jobs and 21 steps: 1 / (2 · 21) of the schedules, less three standard deviations.
    assert_eq!(report.longest, 21);
    let expected = runs / (2 * 21);
    let least = expected - 3 * expected.isqrt();
    assert!(u64::from(hits.get()) >= least, "{} of {runs}, and not {least}", hits.get());
}

#[test]
fn the_same_seed_gives_the_same_schedules() {
    let count = |seed| {
        let choices = Cell::new(0_u64);
        explore::pct(50, 3).seed(seed).run(|world: &World| -> Result<(), Error> {
            let mut calls = [steps(4), steps(4), steps(4)];
            let handles: Vec<_> = calls
                .iter_mut()
                .map(|call| Ok(world.pool().submit(call.to_job()?)))
                .collect::<Result<_, Error>>()?;
            handles[1].wait();
            let done = handles.iter().map(|handle| u64::from(handle.is_complete()));
            choices.set(done.fold(choices.get(), |sum, done| sum.wrapping_mul(31) + done));
            world.run_all();
            Ok(())
        });
        choices.get()
    };
    assert_eq!(count(1), count(1));
    assert_eq!(count(1) == count(2), in_force(1) == in_force(2));
}
