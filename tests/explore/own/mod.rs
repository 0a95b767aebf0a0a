//! The library's own waiting, graphs and sleepers, in many orders: what is promised holds in each of them.

mod blocking;
mod graphs;
mod instances;
mod programs;
mod waiting;
#[cfg(feature = "wasi")]
mod wasi;

use std::cell::RefCell;
use std::collections::BTreeSet;
use wasm_jobs::Error;
use wasm_jobs::explore::{self, Report, World};

/// Runs a test in so many orders by each strategy, or in all if `dfs` comes to their end. Returns the report of `dfs`.
fn in_many_orders(schedules: u64, test: impl Fn(&World) -> Result<(), Error>) -> Report {
    explore::random(schedules).run(&test);
    explore::pct(schedules, 3).run(&test);
    explore::dfs(schedules).run(&test)
}

/// Runs a test in many orders, as [`in_many_orders`] does, and returns what it has returned.
fn in_many_orders_with_ends<T: Ord>(
    schedules: u64,
    test: impl Fn(&World) -> Result<T, Error>,
) -> (Report, BTreeSet<T>) {
    let ends = RefCell::new(BTreeSet::new());
    let report = in_many_orders(schedules, |world| {
        let end = test(world)?;
        ends.borrow_mut().insert(end);
        Ok(())
    });
    (report, ends.into_inner())
}
