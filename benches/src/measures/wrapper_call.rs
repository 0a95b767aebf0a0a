//! A call by a method of a generated wrapper, beside the same call by a `Func` of ours.

use crate::guests;
use crate::rounds::{Finding, Other, compare};
use wasm_jobs::{Error, Future, Instance, wrapper};

wrapper! {
    struct Guest in "src/guest.wat";
}

const CALLS: u32 = 50_000;

pub(crate) fn measure() -> Finding {
    let instance = || Instance::new(&guests::ours(), ()).expect("the pool has room");
    let guest = Guest::from_instance(instance()).expect("it is the same module");
    let instance = instance();
    let counts = instance.func::<(i64,), i64>("counts").expect("the guest exports it");
    compare(
        Other::Baseline("func"),
        101,
        CALLS.into(),
        || calls(|| guest.counts(1)),
        || calls(|| counts.call((1,))),
    )
}

fn calls(call: impl Fn() -> Result<Future<i64>, Error>) {
    for _ in 0..CALLS {
        let mut future = call().expect("the instance is free");
        assert_eq!(future.wait().expect("the guest returns"), 1);
    }
}
