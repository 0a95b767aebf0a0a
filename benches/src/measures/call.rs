//! A call that does not suspend, from its making to its result, beside `TypedFunc::call_async` on one store.

use super::poll_to_end;
use crate::guests;
use crate::rounds::{Finding, Other, compare};
use wasm_jobs::{Instance, Step};

const CALLS: u32 = 50_000;

pub(crate) fn measure() -> Finding {
    let instance = Instance::new(&guests::ours(), ()).expect("the pool has room");
    let nothing = instance.func::<(), ()>("nothing").expect("the guest exports it");
    let ours = || {
        for _ in 0..CALLS {
            let mut future = nothing.call(()).expect("the instance is free");
            assert_eq!(future.resume().expect("the call is ours"), Step::Done);
            future.try_get_result().expect("the guest returns").expect("it is done");
        }
    };

    let (mut store, func) = poll_to_end(guests::export::<(), ()>(&guests::theirs(), "nothing"));
    let theirs = || {
        for _ in 0..CALLS {
            store.set_epoch_deadline(1);
            poll_to_end(func.call_async(&mut store, ())).expect("the guest returns");
        }
    };

    compare(Other::Peer("wasmtime"), 31, CALLS.into(), ours, theirs)
}
