//! What limits cost in each step: `Future::resume` of a guest that yields, with a slice that it does not use up, a timeout or another limit,
//! beside the same guest without it.

use super::compiled::{Compiled, engine};
use crate::guests::GUEST;
use crate::rounds::{Finding, Other, compare};
use std::time::Duration;
use wasm_jobs::{InstanceOptions, Slice, Step};

pub(crate) fn time_slice() -> Finding {
    let slice = Slice::Time(Duration::from_secs(1));
    in_a_step(false, InstanceOptions::default().slice(slice))
}

pub(crate) fn fuel_slice() -> Finding {
    in_a_step(true, InstanceOptions::default().slice(Slice::Fuel(u64::MAX / 4)))
}

pub(crate) fn timeout() -> Finding {
    in_a_step(false, InstanceOptions::default().running_timeout(Duration::from_secs(3600)))
}

pub(crate) fn nesting() -> Finding {
    in_a_step(false, InstanceOptions::default().nesting(10))
}

pub(super) const YIELDS: i32 = 20_000;

fn in_a_step(fuel: bool, options: InstanceOptions) -> Finding {
    let wasm = wat::parse_str(GUEST).expect("the guest is well-formed");
    let yields = |options| yields(&Compiled::as_it_is(&engine(true, fuel), &wasm), options);
    let (ours, theirs) = (yields(options), yields(InstanceOptions::default()));
    compare(Other::Baseline("unlimited"), 31, YIELDS as u64, ours, theirs)
}

/// So many steps of [`GUEST`].
pub(super) fn yields(guest: &Compiled, options: InstanceOptions) -> impl FnMut() + use<> {
    let guest = guest.instance(options);
    move || {
        let call = guest.call::<i32, ()>("yields", YIELDS);
        let mut call = call.expect("the guest exports it");
        while call.resume().expect("the call is ours") != Step::Done {}
        call.try_get_result().expect("the guest returns").expect("it is done");
    }
}
