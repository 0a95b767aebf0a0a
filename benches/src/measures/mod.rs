//! The measures, a file each.

use crate::rounds::Comparison;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

mod call;
pub(crate) mod parked;
mod resume;
mod startup;
mod throughput;

pub(crate) type Measure = fn() -> Comparison;

pub(crate) const ALL: [(&str, Measure); 6] = [
    ("resume", resume::kept),
    ("resume_pinned", resume::pinned),
    ("call", call::measure),
    ("throughput", throughput::measure),
    ("startup", startup::measure),
    ("parked", parked::measure),
];

/// Polls a future until it is ready, as the shortest of loops does.
fn poll_to_end<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}
