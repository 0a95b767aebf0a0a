//! One `Future::resume` of a guest that waits for an event. It does not enter the guest.

use crate::guests;
use crate::rounds::{Finding, alone};
use wasm_jobs::{Event, Instance, Step};

const RESUMES: u32 = 1_000_000;

pub(crate) fn measure() -> Finding {
    let event = Event::new();
    let waited_for = event.clone();
    let pre = guests::waiting(move || waited_for.wait(), || {});
    let instance = Instance::new(&pre, ()).expect("the pool has room");
    let mut future = instance.call::<i32, ()>("waits", 1).expect("the guest exports it");
    let finding = alone(31, RESUMES.into(), || {
        for _ in 0..RESUMES {
            assert_eq!(future.resume().expect("the call is ours"), Step::Waiting);
        }
    });
    event.set();
    assert_eq!(future.resume().expect("the call is ours"), Step::Done);
    finding
}
