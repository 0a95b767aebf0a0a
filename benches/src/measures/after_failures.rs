//! A pool on which ten thousand calls have trapped, beside one that has never seen a failure: how long both take for the same
//! calls. And for each such failure, by how much the memory of the process has grown.

use super::parked::resident;
use crate::guests;
use crate::rounds::{Finding, compare, median};
use rayon::ThreadPool;
use std::sync::Arc;
use wasm_jobs::{Error, Future, Instance, JobHandle, JobPool};

const FAILURES: usize = 10_000;
const INSTANCES: usize = 50;
const CALLS: u64 = 2_000;
const WORKERS: usize = 2;

pub(crate) fn speed() -> Finding {
    let failed = pool();
    fail(&failed, FAILURES);
    compare("fresh_pool", 31, CALLS, works(failed), works(pool()))
}

pub(crate) fn memory() -> Finding {
    let pool = pool();
    // The first failures set up things for all of them, which are not counted.
    fail(&pool, FAILURES);
    let more = (0..5).map(|_| {
        let before = resident();
        fail(&pool, FAILURES);
        resident().saturating_sub(before) as f64 / FAILURES as f64
    });
    Finding::Alone { unit: "bytes", ours: median(more) }
}

fn pool() -> Arc<ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(WORKERS).build();
    Arc::new(pool.expect("threads can be started"))
}

fn instances() -> Vec<Instance<()>> {
    let pre = guests::ours();
    (0..INSTANCES).map(|_| Instance::new(&pre, ()).expect("the pool has room")).collect()
}

fn fail(pool: &Arc<ThreadPool>, failures: usize) {
    let instances = instances();
    for _ in 0..failures / INSTANCES {
        let calls = instances.iter().map(|guest| guest.call::<(), ()>("fails", ()));
        for end in ends(pool, calls) {
            assert!(matches!(end, Err(Error::Trap(_))), "it has no other end");
        }
        for guest in &instances {
            guest.clear_poison().expect("the call has ended");
        }
    }
}

fn works(pool: Arc<ThreadPool>) -> impl FnMut() {
    const COUNT: i64 = 10_000;
    let instances = instances();
    move || {
        for _ in 0..CALLS as usize / INSTANCES {
            let calls = instances.iter().map(|guest| guest.call::<i64, i64>("counts", COUNT));
            for end in ends(&pool, calls) {
                assert_eq!(end.expect("the guest returns"), Some(COUNT));
            }
        }
    }
}

/// Runs these calls on a pool, and gives their results.
fn ends<R: Send + 'static>(
    pool: &Arc<ThreadPool>,
    calls: impl Iterator<Item = Result<Future<R>, Error>>,
) -> impl Iterator<Item = Result<Option<R>, Error>> {
    let mut calls: Vec<_> = calls.map(|call| call.expect("the guest exports it")).collect();
    let jobs = calls.iter_mut().map(|call| pool.submit(call.to_job().expect("the call is ours")));
    JobHandle::all(jobs).wait();
    calls.into_iter().map(|mut call| call.try_get_result())
}
