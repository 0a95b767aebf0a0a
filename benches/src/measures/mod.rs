//! The measures, a file each.

use crate::rounds::Finding;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

mod after_failures;
mod call;
mod cancel;
mod checks;
mod coroutines;
mod frame;
mod graph;
mod idle;
mod par_map;
pub(crate) mod parked;
mod reset;
mod resume;
mod sleep;
mod slice;
mod startup;
mod throughput;
mod waiting_resume;
mod wake;
mod wasi_sqlite;
mod wrapper_call;

pub(crate) type Measure = fn() -> Finding;

pub(crate) const ALL: [(&str, Measure); 33] = [
    ("resume", resume::kept),
    ("resume_pinned", resume::pinned),
    ("call", call::measure),
    ("throughput", throughput::measure),
    ("startup", startup::measure),
    ("parked", parked::measure),
    ("idle", idle::measure),
    ("waiting_resume", waiting_resume::measure),
    ("wake", wake::measure),
    ("sleep", sleep::measure),
    ("wasi_sqlite", wasi_sqlite::measure),
    ("slice_overshoot", slice::overshoot),
    ("frame_overshoot", frame::overshoot),
    ("cancel_latency", cancel::measure),
    ("slice_cost", slice::cost),
    ("reset", reset::measure),
    ("tick_idle", coroutines::idle),
    ("tick_busy", coroutines::busy),
    ("graph", graph::measure),
    ("par_map", par_map::measure),
    ("wrapper_call", wrapper_call::measure),
    ("after_failures", after_failures::speed),
    ("memory_after_failures", after_failures::memory),
    ("epochs_in_a_picture", checks::epochs_in_a_picture),
    ("fuel_in_a_picture", checks::fuel_in_a_picture),
    ("both_in_a_picture", checks::both_in_a_picture),
    ("epochs_in_a_loop", checks::epochs_in_a_loop),
    ("fuel_in_a_loop", checks::fuel_in_a_loop),
    ("both_in_a_loop", checks::both_in_a_loop),
    ("time_slice_in_a_step", checks::time_slice_in_a_step),
    ("fuel_slice_in_a_step", checks::fuel_slice_in_a_step),
    ("timeout_in_a_step", checks::timeout_in_a_step),
    ("nesting_in_a_step", checks::nesting_in_a_step),
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
