//! `Instance::reset`, beside dropping a store and instantiating in another, by hand, from the same pool.

use super::poll_to_end;
use crate::guests;
use crate::rounds::{Finding, Other, compare};
use wasm_jobs::{Instance, InstanceOptions};

const RESETS: u32 = 2_000;

pub(crate) fn measure() -> Finding {
    let pre = guests::ours();
    let instance = Instance::with_options(&pre, InstanceOptions::default(), || ());
    let instance = instance.expect("the pool has room");
    let ours = || {
        for _ in 0..RESETS {
            instance.reset().expect("there is no call");
        }
    };

    let pre = guests::theirs();
    let mut kept = None;
    let theirs = || {
        for _ in 0..RESETS {
            drop(kept.take());
            kept = Some(poll_to_end(guests::store(&pre)));
        }
    };

    compare(Other::Peer("wasmtime"), 31, RESETS.into(), ours, theirs)
}
