//! Frames of 200 guests on a budget of 2 ms: how far the 99th percentile of the frames goes beyond it. A quarter of the guests never
//! yields; the others yield now and then. Beside frames that do nothing but look at the clock, and are late only because the
//! machine is.

use crate::guests;
use crate::rounds::{Finding, beside_the_clock, beyond, look_at_the_clock};
use std::time::Duration;
use wasm_jobs::{Instance, run_within};

const GUESTS: usize = 200;
const FRAMES: usize = 600;
const BUDGET: Duration = Duration::from_millis(2);

pub(crate) fn overshoot() -> Finding {
    let pre = guests::ours();
    let instance = |_| Instance::new(&pre, ()).expect("the pool has room");
    let instances: Vec<_> = (0..GUESTS).map(instance).collect();
    let endless = instances[..GUESTS / 4].iter().map(|instance| {
        instance.call::<i64, i64>("counts", i64::MAX).expect("the guest exports it")
    });
    let mut endless: Vec<_> = endless.collect();
    let yielding = instances[GUESTS / 4..].iter().map(|instance| {
        instance.call::<i64, i64>("counts_and_yields", i64::MAX).expect("the guest exports it")
    });
    let mut yielding: Vec<_> = yielding.collect();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..FRAMES {
        ours.push(beyond(BUDGET, || {
            let frame = run_within(endless.iter_mut().chain(&mut yielding), BUDGET);
            assert_eq!(frame.yielded + frame.unreached, GUESTS, "none of them ends");
        }));
        theirs.push(beyond(BUDGET, || look_at_the_clock(BUDGET)));
    }
    beside_the_clock(ours, theirs)
}
