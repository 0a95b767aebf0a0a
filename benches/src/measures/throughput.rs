//! 1,000 calls of 200 yields each on two workers: jobs on rayon, beside one task for each call on tokio's multi-thread runtime.

use super::poll_to_end;
use crate::guests;
use crate::rounds::{Finding, compare};
use std::sync::Arc;
use wasm_jobs::{Instance, JobHandle, JobPool};

const CALLS: u32 = 1_000;
const YIELDS: u32 = 200;
const WORKERS: usize = 2;

pub(crate) fn measure() -> Finding {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(WORKERS).build();
    let pool = Arc::new(pool.expect("threads can be started"));
    let pre = guests::ours();
    let instances: Vec<_> =
        (0..CALLS).map(|_| Instance::new(&pre, ()).expect("the pool has room")).collect();
    let funcs: Vec<_> = instances
        .iter()
        .map(|instance| instance.func::<i32, ()>("yields").expect("the guest exports it"))
        .collect();
    let ours = || {
        let mut futures: Vec<_> = funcs
            .iter()
            .map(|func| func.call(YIELDS as i32).expect("the instance is free"))
            .collect();
        let jobs = futures
            .iter_mut()
            .map(|future| pool.submit(future.to_job().expect("the call is ours")));
        JobHandle::all(jobs).wait();
        for future in &mut futures {
            future.try_get_result().expect("the guest returns").expect("it is done");
        }
    };

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).build();
    let runtime = runtime.expect("threads can be started");
    let pre = guests::theirs();
    let mut stores: Vec<_> =
        (0..CALLS).map(|_| poll_to_end(guests::export(&pre, "yields"))).collect();
    let theirs = || {
        let tasks: Vec<_> = stores
            .drain(..)
            .map(|(mut store, func)| {
                runtime.spawn(async move {
                    store.set_epoch_deadline(1);
                    func.call_async(&mut store, YIELDS as i32).await.expect("the guest returns");
                    (store, func)
                })
            })
            .collect();
        for task in tasks {
            stores.push(runtime.block_on(task).expect("the task does not panic"));
        }
    };

    compare("tokio", 31, u64::from(CALLS * YIELDS), ours, theirs)
}
