//! One `Future::resume` of a guest that yields, beside one poll of wasmtime's `call_async`.
//!
//! There are two peers. `resume`: a call that is kept from frame to frame has its store with it, in a box. `resume_pinned`: a
//! call that never leaves the loop that polls it can be pinned to the stack, and the poll compiled into the loop. That is the
//! fastest use of wasmtime; the two ratios together show what keeping a call costs.

use super::poll_to_end;
use crate::guests;
use crate::rounds::{Finding, Other, compare};
use std::pin::Pin;
use wasm_jobs::{Instance, Step};

const YIELDS: i32 = 100_000;

pub(crate) fn kept() -> Finding {
    let mut store_and_func =
        Some(poll_to_end(guests::export::<i32, ()>(&guests::theirs(), "yields")));
    let theirs = || {
        let (mut store, func) = store_and_func.take().expect("each round puts them back");
        let call: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(async move {
            store.set_epoch_deadline(1);
            func.call_async(&mut store, YIELDS).await.expect("the guest returns");
            (store, func)
        });
        store_and_func = Some(poll_to_end(call));
    };
    compare(Other::Peer("wasmtime"), 31, YIELDS as u64, ours(), theirs)
}

pub(crate) fn pinned() -> Finding {
    let (mut store, func) = poll_to_end(guests::export::<i32, ()>(&guests::theirs(), "yields"));
    let theirs = || {
        store.set_epoch_deadline(1);
        poll_to_end(func.call_async(&mut store, YIELDS)).expect("the guest returns");
    };
    compare(Other::Peer("wasmtime_pinned"), 31, YIELDS as u64, ours(), theirs)
}

fn ours() -> impl FnMut() {
    let instance = Instance::new(&guests::ours(), ()).expect("the pool has room");
    let yields = instance.func::<i32, ()>("yields").expect("the guest exports it");
    move || {
        let mut future = yields.call(YIELDS).expect("the instance is free");
        while future.resume().expect("the call is ours") != Step::Done {}
        future.try_get_result().expect("the guest returns").expect("it is done");
    }
}
