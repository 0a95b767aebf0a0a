//! Native targets, for the guest's unit tests.

use core::time::Duration;

pub(crate) fn yield_now() {
    std::thread::yield_now();
}

pub(crate) fn sleep(nanoseconds: u64) {
    std::thread::sleep(Duration::from_nanos(nanoseconds));
}
