//! Instantiating, one call and the drop, beside the same by hand, from the same pool.

use super::poll_to_end;
use crate::guests;
use crate::rounds::{Finding, Other, compare};
use wasm_jobs::{Instance, Step};

const STARTS: u32 = 2_000;

pub(crate) fn measure() -> Finding {
    let pre = guests::ours();
    let ours = || {
        for _ in 0..STARTS {
            let instance = Instance::new(&pre, ()).expect("the pool has room");
            let mut future = instance.call::<(), ()>("nothing", ()).expect("the guest exports it");
            assert_eq!(future.resume().expect("the call is ours"), Step::Done);
            future.try_get_result().expect("the guest returns").expect("it is done");
        }
    };

    let pre = guests::theirs();
    let theirs = || {
        for _ in 0..STARTS {
            poll_to_end(async {
                let (mut store, instance) = guests::store(&pre).await;
                let func = instance.get_typed_func::<(), ()>(&mut store, "nothing");
                let func = func.expect("the guest exports it");
                func.call_async(&mut store, ()).await.expect("the guest returns");
            });
        }
    };

    compare(Other::Peer("wasmtime"), 31, STARTS.into(), ours, theirs)
}
