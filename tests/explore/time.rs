//! The clock of the world.

use crate::support::{ok, run_all};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use wasm_jobs::explore::{self, World};
use wasm_jobs::{Clock, Error, Future};

#[test]
fn the_clock_moves_to_the_next_deadline_when_no_job_can_go_on() {
    let failure = explore::dfs(10).check(|world: &World| -> Result<(), Error> {
        let clock = world.clock();
        let nap = |seconds| Future::new(ok(clock.sleep(Duration::from_secs(seconds))));
        let mut calls = [nap(3600).named("long"), nap(60).named("short")];
        run_all(world, &mut calls)?;
        assert_eq!(clock.now(), Duration::from_secs(3600));
        Err(Error::other("to see the steps"))
    });
    assert_eq!(
        failure.unwrap_err().steps(),
        [
            "long#0 step 1, submitted: waits until 3600s",
            "short#1 step 1, submitted: waits until 60s",
            "the clock goes to 60s",
            "short#1 step 2, woken by the clock: done",
            "the clock goes to 3600s",
            "long#0 step 2, woken by the clock: done",
        ]
    );
}

#[test]
fn calls_with_equal_deadlines_wake_in_every_order() {
    let orders = std::cell::RefCell::new(std::collections::BTreeSet::new());
    let report = explore::dfs(1_000).run(|world: &World| -> Result<(), Error> {
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut calls: Vec<_> = (0..3)
            .map(|number| {
                let (order, nap) = (order.clone(), world.clock().sleep(Duration::from_secs(1)));
                Future::new(async move {
                    nap.await;
                    order.lock().unwrap().push(number);
                    Ok(())
                })
            })
            .collect();
        run_all(world, &mut calls)?;
        orders.borrow_mut().insert(order.lock().unwrap().clone());
        Ok(())
    });
    assert_eq!(orders.into_inner().len(), 6);
    assert_eq!(report.schedules, 6 * 6);
}
