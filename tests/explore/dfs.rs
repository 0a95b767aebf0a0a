//! All schedules, each once.

use crate::support::{ADDS, Counter, lost_update, run_all, shared, steps};
use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use wasm_jobs::explore::{self, World};
use wasm_jobs::{Error, JobPool};

/// In how many ways n things can be chosen of m + n.
fn binomial(m: u64, n: u64) -> u64 {
    (1..=n).fold(1, |product, i| product * (m + i) / i)
}

#[test]
fn two_calls_of_m_and_n_steps_have_as_many_schedules_as_there_are_orders() {
    for (m, n) in [(1, 1), (1, 5), (3, 2), (4, 4), (5, 6), (8, 3)] {
        let report = explore::dfs(u64::MAX).run(|world: &World| -> Result<(), Error> {
            let (mut one, mut other) = (steps(m), steps(n));
            world.pool().submit(one.to_job()?);
            world.pool().submit(other.to_job()?);
            world.run_all();
            Ok(())
        });
        let (m, n) = (u64::from(m), u64::from(n));
        assert_eq!(report.schedules, binomial(m, n), "{m} and {n} steps");
        assert_eq!(report.steps, report.schedules * (m + n));
        assert_eq!(report.longest as u64, m + n);
        assert!(report.is_exhaustive);
    }
}

#[test]
fn two_guests_of_two_host_calls_have_twenty_schedules() {
    let losses = RefCell::new(0);
    let orders = RefCell::new(HashSet::new());
    let report = explore::dfs(1_000).run(|world: &World| -> Result<(), Error> {
        let stock = Counter::default();
        let guests = [0, 1].map(|_| world.instance(&*ADDS, shared(world, &stock)).unwrap());
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut calls = Vec::new();
        for guest in &guests {
            let mut call = guest.call::<(), ()>("add", ())?;
            world.pool().submit(call.to_job()?);
            calls.push(call);
        }
        let seen = order.clone();
        let watched = stock.clone();
        world.hash_by(move || {
            seen.lock().unwrap().push(watched.get());
            watched.get().unsigned_abs().into()
        });
        world.run_all();
        *losses.borrow_mut() += i32::from(stock.get() == 1);
        orders.borrow_mut().insert(order.lock().unwrap().clone());
        Ok(())
    });
    // Each guest has three steps: to its first call of the host, to its second, and to its end.
    assert_eq!(report.schedules, binomial(3, 3));
    assert!(report.is_exhaustive);
    assert_eq!(report.states, 3);
    // An update is lost unless one guest writes before the other one reads, which it does in 2 · 4 schedules: the other one's first step has 4
    // places. The first schedule, which is run twice, loses nothing.
    assert_eq!(losses.into_inner(), 20 - 2 * 4);
}

#[test]
fn a_limit_ends_the_search_before_all_were_run() {
    let three_and_three = |world: &World| -> Result<(), Error> {
        let mut calls = [steps(3), steps(3)];
        run_all(world, &mut calls)?;
        Ok(())
    };
    let report = explore::dfs(19).run(three_and_three);
    assert_eq!((report.schedules, report.is_exhaustive), (19, false));
    let report = explore::dfs(20).run(three_and_three);
    assert_eq!((report.schedules, report.is_exhaustive), (20, true));
}

#[test]
fn a_lost_update_is_found_surely() {
    let failure = explore::dfs(100).check(lost_update).unwrap_err();
    assert_eq!((failure.schedule_number(), failure.schedule(), failure.seed()), (2, "0.1", None));
}

#[test]
fn choices_of_the_test_are_explored_too() {
    let seen = RefCell::new(HashSet::new());
    let report = explore::dfs(100).run(|world: &World| {
        let first = world.choose(3);
        let second = if first == 1 { world.choose(2) } else { 9 };
        seen.borrow_mut().insert((first, second, world.choose(1)));
    });
    assert_eq!(report.schedules, 4);
    assert_eq!(seen.into_inner(), HashSet::from([(0, 9, 0), (1, 0, 0), (1, 1, 0), (2, 9, 0)]));
}
