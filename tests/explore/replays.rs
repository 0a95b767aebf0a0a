//! A schedule that fails is found, made short, printed, and run again.

use crate::support::{in_force, lost_update};
use std::panic::catch_unwind;
use wasm_jobs::explore::{self, World};
use wasm_jobs::{Error, JobPool};

const STEPS: [&str; 4] = [
    "a#0 step 1, submitted: yields",
    "b#1 step 1, submitted: yields",
    "b#1 step 2, goes on: done",
    "a#0 step 2, goes on: done",
];

#[test]
fn a_lost_update_is_found_at_random_and_shrunk_to_one_preemption() {
    for seed in 0..20 {
        let failure = explore::random(100).seed(seed).check(lost_update).unwrap_err();
        assert_eq!(failure.schedule(), "0.1", "seed {seed}");
        assert_eq!(failure.steps(), STEPS);
        assert_eq!(failure.seed(), Some(in_force(seed)));
        assert!(
            failure.message().starts_with("tests/explore/support.rs:")
                && failure
                    .message()
                    .contains("assertion `left == right` failed\n  left: 1\n right: 2"),
            "{}",
            failure.message()
        );
    }
}

#[test]
fn what_is_printed_has_the_message_the_steps_and_the_schedule() {
    let failure = explore::random(100).seed(7).check(lost_update).unwrap_err();
    let text = failure.to_string();
    let (message, rest) = text.split_once("\n\n").unwrap();
    assert_eq!(message, failure.message());
    let (found_by, seed) = (failure.schedule_number(), in_force(7));
    assert_eq!(
        rest,
        format!(
            "   1  a#0 step 1, submitted: yields
   2  b#1 step 1, submitted: yields
   3  b#1 step 2, goes on: done
   4  a#0 step 2, goes on: done

found by schedule {found_by} of random(100) with WASM_JOBS_SEED={seed}
to run it again: WASM_JOBS_SCHEDULE=0.1 in the environment, or wasm_jobs::explore::replay(\"0.1\")"
        )
    );
}

#[test]
fn run_panics_with_the_failure() {
    let panic = catch_unwind(|| explore::dfs(100).run(lost_update)).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(
        text.ends_with(
            "found by schedule 2 of dfs(100)\nto run it again: WASM_JOBS_SCHEDULE=0.1 in the environment, or wasm_jobs::explore::replay(\"0.1\")"
        ),
        "{text}"
    );
}

#[test]
fn the_same_seed_gives_the_same_schedules() {
    let runs = |seed| {
        let orders = std::cell::RefCell::new(Vec::new());
        explore::random(20).seed(seed).run(|world: &World| {
            let order = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
            for job in 0..5 {
                let order = order.clone();
                world.pool().submit_fn(move || order.lock().unwrap().push(job));
            }
            world.run_all();
            orders.borrow_mut().push(order.lock().unwrap().clone());
        });
        orders.into_inner()
    };
    assert_eq!(runs(1), runs(1));
    assert_eq!(runs(1) == runs(2), in_force(1) == in_force(2));
}

#[test]
fn a_long_schedule_is_shrunk() {
    // Ten other jobs of ten steps each surround the two that race.
    let test = |world: &World| -> Result<(), Error> {
        let mut others: Vec<_> =
            (0..10).map(|_| crate::support::steps(10).named("other")).collect();
        for other in &mut others {
            world.pool().submit(other.to_job()?);
        }
        lost_update(world)
    };
    let failure = explore::random(1_000).check(test).unwrap_err();
    let text = failure.to_string();
    // One preemption is needed, of `a` or of `b`.
    let switches = failure.schedule().split('.').filter(|choice| !choice.starts_with('0')).count();
    assert!(switches <= 2, "{text}");
    assert_eq!(failure.steps().len(), 104, "all jobs run to their ends: {text}");
}
