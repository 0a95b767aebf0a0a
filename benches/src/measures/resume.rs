//! One `Future::resume` of a guest that yields, beside one poll of wasmtime's `call_async`.

use super::poll_to_end;
use crate::guests;
use crate::rounds::{Comparison, compare};
use wasm_jobs::{Instance, Step};

const YIELDS: u32 = 100_000;

pub(crate) fn measure() -> Comparison {
    let instance = Instance::new(&guests::ours(), ()).expect("the pool has room");
    let yields = instance.func::<i32, ()>("yields").expect("the guest exports it");
    let ours = || {
        let mut future = yields.call(YIELDS as i32).expect("the instance is free");
        while future.resume().expect("the call is ours") != Step::Done {}
        future.try_get_result().expect("the guest yields and returns").expect("it is done");
    };

    let (mut store, func) = poll_to_end(guests::export(&guests::theirs(), "yields"));
    let theirs = || {
        store.set_epoch_deadline(1);
        poll_to_end(func.call_async(&mut store, YIELDS as i32))
            .expect("the guest yields and returns");
    };

    compare("wasmtime", 31, YIELDS.into(), ours, theirs)
}
