//! Schedules that differ in nothing are run once, if steps declare what they touch.

use crate::support::{ADDS, Counter, run_all, shared};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use wasm_jobs::explore::{self, Explorer, Report, World};
use wasm_jobs::{Error, Future, yield_now};

/// Runs guests that each add one to one of two stocks, and returns the stocks that they can leave.
fn guests(explorer: &Explorer, stocks: &[usize]) -> (Report, BTreeSet<(i32, i32)>) {
    let ends = RefCell::new(BTreeSet::new());
    let report = explorer.run(|world: &World| -> Result<(), Error> {
        let shelves = [Counter::default(), Counter::default()];
        let guest = |stock: &usize| world.instance(&*ADDS, shared(world, &shelves[*stock]));
        let guests = stocks.iter().map(guest).collect::<Result<Vec<_>, _>>()?;
        let mut calls = Vec::new();
        for guest in &guests {
            calls.push(guest.call::<(), ()>("add", ())?);
        }
        run_all(world, &mut calls)?;
        ends.borrow_mut().insert((shelves[0].get(), shelves[1].get()));
        Ok(())
    });
    assert!(report.is_exhaustive);
    (report, ends.into_inner())
}

#[test]
fn guests_that_touch_the_same_lead_to_the_same_in_fewer_schedules() {
    let all = explore::dfs(u64::MAX);
    // Two guests: the two first steps, which touch nothing, have one order. Of the four others there are six.
    let (full, ends) = guests(&all, &[0, 0]);
    let (reduced, same) = guests(&all.clone().reduce(), &[0, 0]);
    assert_eq!((full.schedules, full.redundant), (20, 0));
    assert_eq!(reduced.schedules, 6);
    assert_eq!((&ends, &same), (&BTreeSet::from([(1, 0), (2, 0)]), &ends));
    // Three guests: 9! / (3! · 3! · 3!) schedules, and 6! / (2! · 2! · 2!).
    let (full, ends) = guests(&all, &[0, 0, 0]);
    let (reduced, same) = guests(&all.clone().reduce(), &[0, 0, 0]);
    assert_eq!((full.schedules, reduced.schedules), (1680, 90));
    assert_eq!((&ends, &same), (&BTreeSet::from([(1, 0), (2, 0), (3, 0)]), &ends));
}

#[test]
fn steps_that_touch_different_things_have_one_order() {
    let all = explore::dfs(u64::MAX).reduce();
    // The guests all touch "stock", so native calls stand for those that touch other things.
    let touch = |names: &'static [&'static str]| {
        all.run(|world: &World| -> Result<(), Error> {
            let mut calls: Vec<_> = names
                .iter()
                .map(|name| {
                    let world = world.clone();
                    Future::new(async move {
                        for _ in 0..3 {
                            world.touches(*name);
                            yield_now().await;
                        }
                        Ok(())
                    })
                })
                .collect();
            run_all(world, &mut calls)?;
            Ok(())
        })
    };
    assert_eq!(touch(&["a", "b", "c"]).schedules, 1);
    // Each has three steps that touch something, and one that does not.
    assert_eq!(touch(&["a", "a"]).schedules, 20);
    assert_eq!(touch(&["a", "a", "b"]).schedules, 20);
}

/// Reads a variable, or adds to it. Returns what the call has read last.
fn apply(variable: &mut i32, own: i32, reads: bool) -> i32 {
    if reads {
        return *variable;
    }
    *variable = *variable * 2 + own;
    own
}

#[test]
fn random_programs_lead_to_the_same_ends_with_and_without_reduction() {
    let mut seed = 1_u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut fewer = 0;
    for _ in 0..6 {
        // Three calls of up to three steps, each of which reads a variable into the call's own, or adds its own to a variable.
        let program: Vec<Vec<(bool, usize)>> = (0..3)
            .map(|_| (0..1 + random(3)).map(|_| (random(2) == 0, random(3) as usize)).collect())
            .collect();
        let explored = |explorer: Explorer| {
            let ends = RefCell::new(BTreeSet::new());
            let report = explorer.run(|world: &World| -> Result<(), Error> {
                let variables = Arc::new(Mutex::new([1, 2, 3]));
                let mut calls: Vec<_> = program
                    .iter()
                    .map(|ops| {
                        let (ops, variables, world) =
                            (ops.clone(), variables.clone(), world.clone());
                        Future::new(async move {
                            let mut own = 1;
                            for (reads, variable) in ops {
                                match (["x", "y", "z"][variable], reads) {
                                    (name, true) => world.reads(name),
                                    (name, false) => world.touches(name),
                                }
                                own = apply(&mut variables.lock().unwrap()[variable], own, reads);
                                yield_now().await;
                            }
                            Ok(())
                        })
                    })
                    .collect();
                run_all(world, &mut calls)?;
                ends.borrow_mut().insert(*variables.lock().unwrap());
                Ok(())
            });
            assert!(report.is_exhaustive);
            (report.schedules, ends.into_inner())
        };
        let (full, ends) = explored(explore::dfs(u64::MAX));
        let (reduced, same) = explored(explore::dfs(u64::MAX).reduce());
        assert_eq!(ends, same, "{program:?}");
        assert!(reduced <= full);
        fewer += u32::from(reduced * 2 < full);
    }
    assert!(fewer > 5, "{fewer} of 10 have less than half as many schedules");
}
