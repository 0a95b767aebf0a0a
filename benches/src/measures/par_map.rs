//! 10,000 short calls of a guest, over eight instances on two workers: beside rayon's `par_iter` with an instance by hand for each
//! of its parts (`map_init`).

use crate::guests::{self, ENGINE};
use crate::rounds::{Finding, compare};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use std::sync::Arc;
use wasm_jobs::wasmtime::Store;
use wasm_jobs::{Instance, Instances};

const CALLS: usize = 10_000;
const INSTANCES: usize = 8;
const WORKERS: usize = 2;

/// The number to which each call counts.
const COUNT: i64 = 12_000;

pub(crate) fn measure() -> Finding {
    let inputs = vec![COUNT; CALLS];
    let pool = rayon::ThreadPoolBuilder::new().num_threads(WORKERS).build();
    let pool = Arc::new(pool.expect("threads can be started"));

    let pre = guests::ours();
    let instance = |_| Instance::new(&pre, ()).expect("the pool has room");
    let instances: Vec<_> = (0..INSTANCES).map(instance).collect();
    let ours = || {
        let counts = instances.par_map::<i64, i64, _>(&pool, inputs.iter().copied(), "counts");
        let counts = counts.collect().expect("the guest exports it");
        assert!(counts.into_iter().all(|count| count.is_ok_and(|count| count == COUNT)));
    };

    let pre = guests::synchronous();
    let theirs = || {
        let init = || {
            let mut store = Store::new(&ENGINE, ());
            store.set_epoch_deadline(u64::MAX / 2);
            let instance = pre.instantiate(&mut store).expect("the pool has room");
            let func = instance.get_typed_func::<i64, i64>(&mut store, "counts");
            (store, func.expect("the guest exports it"))
        };
        let counts: Vec<_> = pool.install(|| {
            let calls = inputs.par_iter();
            calls.map_init(init, |(store, func), count| func.call(store, *count)).collect()
        });
        assert!(counts.into_iter().all(|count| count.is_ok_and(|count| count == COUNT)));
    };

    compare("rayon", 31, CALLS as u64, ours, theirs)
}
