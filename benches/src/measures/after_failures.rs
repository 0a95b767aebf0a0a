//! Calls after ten thousand failures, beside the same calls where there was none: both times on a pool, from instances, through `Func`s that
//! were looked up before. Each failure is a trap, after which the instance is reset. And for each such failure, by how much the memory of
//! the process has grown.

use super::parked::resident;
use super::pool;
use crate::guests;
use crate::rounds::{Finding, Other, compare, of_values};
use rayon::ThreadPool;
use std::sync::Arc;
use wasm_jobs::{Error, Func, Future, Instance, InstanceOptions, JobHandle, JobPool};

const FAILURES: usize = 10_000;
const INSTANCES: usize = 50;
const CALLS: usize = 2_000;
const WORKERS: usize = 2;
/// How far each call counts.
const COUNT: i64 = 10_000;

pub(crate) fn speed() -> Finding {
    let (failed, fresh) = (Guests::new(), Guests::new());
    failed.fail(FAILURES);
    let other = Other::Baseline("fresh_pool");
    compare(other, 31, CALLS as u64, || failed.work(CALLS), || fresh.work(CALLS))
}

pub(crate) fn memory() -> Finding {
    let guests = Guests::new();
    // The first failures set up things for all of them, which are not counted.
    guests.fail(FAILURES);
    let more = (0..5).map(|_| {
        let before = resident();
        guests.fail(FAILURES);
        resident().saturating_sub(before) as f64 / FAILURES as f64
    });
    of_values("bytes", more)
}

struct Guests {
    pool: Arc<ThreadPool>,
    guests: Vec<Guest>,
}

struct Guest {
    instance: Instance<()>,
    fails: Func<(), ()>,
    counts: Func<i64, i64>,
}

impl Guests {
    fn new() -> Self {
        let pre = guests::ours();
        let guest = |_| {
            let instance = Instance::with_options(&pre, InstanceOptions::default(), || ());
            let instance = instance.expect("the pool has room");
            let fails = instance.func("fails").expect("the guest exports it");
            let counts = instance.func("counts").expect("the guest exports it");
            Guest { instance, fails, counts }
        };
        Self { pool: pool(WORKERS), guests: (0..INSTANCES).map(guest).collect() }
    }

    fn fail(&self, failures: usize) {
        for _ in 0..failures / INSTANCES {
            for end in self.ends(|guest| guest.fails.call(())) {
                assert!(matches!(end, Err(Error::Trap(_))), "it has no other end");
            }
            for guest in &self.guests {
                guest.instance.reset().expect("the call has ended");
            }
        }
    }

    fn work(&self, calls: usize) {
        for _ in 0..calls / INSTANCES {
            for end in self.ends(|guest| guest.counts.call(COUNT)) {
                assert_eq!(end.expect("the guest returns"), Some(COUNT));
            }
        }
    }

    /// Runs a call of each guest on the pool, and gives their results.
    fn ends<R: Send + 'static>(
        &self,
        call: impl Fn(&Guest) -> Result<Future<R>, Error>,
    ) -> impl Iterator<Item = Result<Option<R>, Error>> {
        let calls = self.guests.iter().map(|guest| call(guest).expect("the instance is free"));
        let mut calls: Vec<_> = calls.collect();
        let jobs =
            calls.iter_mut().map(|call| self.pool.submit(call.to_job().expect("the call is ours")));
        JobHandle::all(jobs).wait();
        calls.into_iter().map(|mut call| call.try_get_result())
    }
}
