//! 10,000 calls of a guest over eight instances on two workers, with about 0, 1 and 10 us of work in each: beside rayon's `par_iter` with
//! the same number of instances by hand. Both sides have made their instances before. The time of one call.
//!
//! The peer's parts take an instance from a list, and put it back. There are two kinds of peers. The first calls the guest by
//! `TypedFunc::call`: that is what a user would write, but no such call can be suspended. For calls without work, the second, in
//! `par_map_0us_async`, uses `call_async`, with a guest that yields when its epoch ends.

use super::{poll_to_end, pool};
use crate::guests::{self, ENGINE};
use crate::rounds::{Finding, Other, compare, time};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use std::sync::Mutex;
use wasm_jobs::wasmtime::{self, Store, TypedFunc};
use wasm_jobs::{Instance, Instances};

const CALLS: usize = 10_000;
const INSTANCES: usize = 8;
const WORKERS: usize = 2;
const ROUNDS: usize = 21;

pub(crate) fn without_work() -> Finding {
    beside("rayon", 1, synchronous(), by_call)
}

pub(crate) fn without_work_beside_async() -> Finding {
    beside("rayon_async", 1, asynchronous(), |(store, func), to| {
        store.set_epoch_deadline(1);
        poll_to_end(func.call_async(store, to))
    })
}

pub(crate) fn with_work<const MICROS: u64>() -> Finding {
    let count = (MICROS as f64 * counts_in_a_micro()) as i64;
    beside("rayon", count, synchronous(), by_call)
}

type StoreAndFunc = (Store<()>, TypedFunc<i64, i64>);

fn by_call((store, func): &mut StoreAndFunc, to: i64) -> wasmtime::Result<i64> {
    func.call(store, to)
}

fn synchronous() -> Vec<StoreAndFunc> {
    let pre = guests::synchronous(&ENGINE);
    let instance = |_| {
        let mut store = Store::new(&ENGINE, ());
        store.set_epoch_deadline(u64::MAX / 2);
        let instance = pre.instantiate(&mut store).expect("the pool has room");
        let func = instance.get_typed_func(&mut store, "counts");
        (store, func.expect("the guest exports it"))
    };
    (0..INSTANCES).map(instance).collect()
}

fn asynchronous() -> Vec<StoreAndFunc> {
    let pre = guests::theirs();
    (0..INSTANCES).map(|_| poll_to_end(guests::export(&pre, "counts"))).collect()
}

/// How far the guest counts in a microsecond on this machine, about.
fn counts_in_a_micro() -> f64 {
    const COUNT: i64 = 1_000_000;
    let mut instance = synchronous().swap_remove(0);
    let mut count = || assert!(by_call(&mut instance, COUNT).is_ok_and(|count| count == COUNT));
    let least = (0..10).map(|_| time(&mut count)).min().expect("there are ten");
    COUNT as f64 / (least.as_secs_f64() * 1e6)
}

fn beside(
    peer: &'static str,
    count: i64,
    instances: Vec<StoreAndFunc>,
    call: impl Fn(&mut StoreAndFunc, i64) -> wasmtime::Result<i64> + Sync,
) -> Finding {
    let inputs = vec![count; CALLS];
    let pool = pool(WORKERS);

    let free = Mutex::new(instances);
    let theirs = || {
        let counts: Vec<_> = pool.install(|| {
            let calls = inputs.par_iter();
            calls.map_init(|| Taken::new(&free), |taken, &to| call(taken.instance(), to)).collect()
        });
        assert!(counts.into_iter().all(|counted| counted.is_ok_and(|counted| counted == count)));
    };

    let pre = guests::ours();
    let instance = |_| Instance::new(&pre, ()).expect("the pool has room");
    let instances: Vec<_> = (0..INSTANCES).map(instance).collect();
    let ours = || {
        let counts = instances.par_map::<i64, i64, _>(&pool, inputs.iter().copied(), "counts");
        let counts = counts.collect().expect("the guest exports it");
        assert!(counts.into_iter().all(|counted| counted.is_ok_and(|counted| counted == count)));
    };

    compare(Other::Peer(peer), ROUNDS, CALLS as u64, ours, theirs)
}

/// An instance that a part has taken from the free ones.
struct Taken<'a> {
    instance: Option<StoreAndFunc>,
    free: &'a Mutex<Vec<StoreAndFunc>>,
}

impl<'a> Taken<'a> {
    fn new(free: &'a Mutex<Vec<StoreAndFunc>>) -> Self {
        let instance = free.lock().expect("no part panics").pop();
        Self { instance, free }
    }

    fn instance(&mut self) -> &mut StoreAndFunc {
        self.instance.as_mut().expect("no more parts run at once than there are instances")
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let instance = self.instance.take();
        self.free.lock().expect("no part panics").extend(instance);
    }
}
