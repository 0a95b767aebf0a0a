//! The measures, a file each.

use crate::rounds::Finding;
use rayon::ThreadPool;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::runtime::Runtime;

mod after_failures;
mod asyncify;
mod call;
mod cancel;
mod checkpoint;
mod checks;
mod compiled;
mod concurrent_call;
mod coroutines;
mod countdown;
mod event;
mod frame;
mod freezable;
mod freeze;
mod graph;
mod idle;
mod latency;
mod par_map;
mod parked;
mod parked_calls;
mod parked_job;
mod prepared;
mod reset;
mod resume;
mod server;
mod sleep;
mod sleep_components;
mod slice;
mod start;
mod startup;
mod steps;
mod stops;
mod throughput;
mod ticker;
mod waiting_resume;
mod wake;
mod wasi;
mod wasi2;
mod work;
mod wrapper_call;

pub(crate) type Measure = fn() -> Finding;

pub(crate) const ALL: &[(&str, Measure)] = &[
    ("resume", resume::kept),
    ("resume_pinned", resume::pinned),
    ("call", call::measure),
    ("start", start::measure),
    ("component_async_in_a_call", start::on_an_async_engine),
    ("concurrent_call", concurrent_call::measure),
    ("throughput", throughput::beside_tokio::<2>),
    ("throughput_tokio_polls_on", throughput::beside_tokio_that_polls_on),
    ("throughput_async_task_polls_on", throughput::beside_async_task_that_polls_on),
    ("many_workers_1", throughput::beside_tokio::<1>),
    ("many_workers_2", throughput::beside_tokio::<2>),
    ("many_workers_4", throughput::beside_tokio::<4>),
    ("many_workers_8", throughput::beside_tokio::<8>),
    ("latency_tokio", latency::beside_tokio),
    ("latency_rayon", latency::beside_rayon),
    ("startup", startup::measure),
    ("parked", parked::measure),
    ("parked_job", parked_job::measure),
    ("idle", idle::measure),
    ("waiting_resume", waiting_resume::measure),
    ("wake_1", wake::measure::<1>),
    ("wake_2", wake::measure::<2>),
    ("wake_4", wake::measure::<4>),
    ("wake_8", wake::measure::<8>),
    ("event_many", event::measure),
    ("sleep", sleep::measure),
    ("sleep_components", sleep_components::measure),
    ("wasi_sqlite", wasi::sqlite),
    ("wasi2_sqlite", wasi2::sqlite),
    ("wasi2_lua", wasi2::lua),
    ("server", server::time),
    ("server_p99", server::p99),
    ("server_under_attack", server::under_attack),
    ("server_under_attack_p99", server::under_attack_p99),
    ("slice_overshoot", slice::overshoot),
    ("slice_overshoot_at_flags", slice::overshoot_at_flags),
    ("slice_overshoot_ticker", slice::overshoot_beside_ticker),
    ("slice_cost", slice::cost),
    ("slice_cost_ticker", slice::cost_beside_ticker),
    ("frame_overshoot", frame::overshoot),
    ("frame_overshoot_ticker", frame::overshoot_beside_ticker),
    ("cancel_latency", cancel::at_epochs),
    ("cancel_latency_at_flags", cancel::at_flags),
    ("reset", reset::measure),
    ("tick_idle", coroutines::idle),
    ("tick_busy", coroutines::busy),
    ("graph", graph::measure),
    ("par_map_0us", par_map::without_work),
    ("par_map_0us_async", par_map::without_work_beside_async),
    ("par_map_1us", par_map::with_work::<1>),
    ("par_map_10us", par_map::with_work::<10>),
    ("wrapper_call", wrapper_call::measure),
    ("after_failures", after_failures::speed),
    ("memory_after_failures", after_failures::memory),
    ("epochs_in_a_picture", checks::epochs_in_a_picture),
    ("fuel_in_a_picture", checks::fuel_in_a_picture),
    ("both_in_a_picture", checks::both_in_a_picture),
    ("epochs_in_a_loop", checks::epochs_in_a_loop),
    ("fuel_in_a_loop", checks::fuel_in_a_loop),
    ("both_in_a_loop", checks::both_in_a_loop),
    ("epochs_in_fib", checks::epochs_in_fib),
    ("fuel_in_fib", checks::fuel_in_fib),
    ("both_in_fib", checks::both_in_fib),
    ("epochs_in_sqlite", checks::epochs_in_sqlite),
    ("fuel_in_sqlite", checks::fuel_in_sqlite),
    ("both_in_sqlite", checks::both_in_sqlite),
    ("epochs_in_lua", checks::epochs_in_lua),
    ("fuel_in_lua", checks::fuel_in_lua),
    ("both_in_lua", checks::both_in_lua),
    ("stops_loop", stops::bare_loop),
    ("stops_memory_loop", stops::memory_loop),
    ("stops_picture", stops::picture),
    ("stops_fib", stops::fib),
    ("stops_programs", stops::programs),
    ("stops_slice_in_a_step", stops::slice_in_a_step),
    ("checkpoint_save_4m", checkpoint::save_4m),
    ("checkpoint_save_4m_cold", checkpoint::save_4m_cold),
    ("checkpoint_load_4m", checkpoint::load_4m),
    ("checkpoint_save_64m", checkpoint::save_64m),
    ("checkpoint_save_64m_untouched", checkpoint::save_64m_untouched),
    ("checkpoint_clone", checkpoint::clone),
    ("rollback_60_guests", checkpoint::rollback_60_guests),
    ("rollback_60_guests_1", checkpoint::rollback_60_guests_1),
    ("prepared_run", prepared::run),
    ("freezable_run", freezable::run),
    ("freezable_worst", freezable::worst),
    ("freezable_code", freezable::code),
    ("twins_code", freezable::twins_code),
    ("freezable_run_anywhere", freezable::run_anywhere),
    ("freezable_worst_anywhere", freezable::worst_anywhere),
    ("freezable_code_anywhere", freezable::code_anywhere),
    ("twins_code_anywhere", freezable::twins_code_anywhere),
    ("asyncified_run", asyncify::run),
    ("asyncified_code", asyncify::code),
    ("freezable_beside_asyncify", asyncify::beside),
    ("asyncified_run_anywhere", asyncify::run_anywhere),
    ("asyncified_code_anywhere", asyncify::code_anywhere),
    ("freezable_beside_asyncify_anywhere", asyncify::beside_anywhere),
    ("freezable_resume", freezable::resume),
    ("twin_loop", freezable::twin_loop),
    ("freeze_thaw", freeze::resident),
    ("freeze_thaw_cold", freeze::cold),
    ("freeze_thaw_kept", freeze::kept),
    ("freeze_frame", freeze::frame_frozen),
    ("thaw_frame", freeze::frame_thawed),
    ("freeze_bytes", freeze::bytes),
    ("sleeping_bytes", freeze::sleeping),
    ("sleeping_bytes_wasi", freeze::sleeping_wasi),
    ("parked_100k", parked_calls::memory),
    ("parked_wake", parked_calls::wake),
    ("parked_again", parked_calls::wake_and_park),
    ("time_slice_in_a_step", steps::time_slice),
    ("fuel_slice_in_a_step", steps::fuel_slice),
    ("timeout_in_a_step", steps::timeout),
    ("nesting_in_a_step", steps::nesting),
];

/// What a measure of memory runs in a process of its own.
pub(crate) fn child(what: &str) {
    match what {
        "parked_ours" => parked::ours(),
        "parked_theirs" => parked::theirs(),
        "parked_100k" => parked_calls::print_memory(),
        "parked_job_ours" => parked_job::ours(),
        "parked_job_theirs" => parked_job::theirs(),
        _ => unreachable!("no measure starts {what:?}"),
    }
}

/// More than enough for workers to look for other work, find none and fall asleep.
const PAUSE: Duration = Duration::from_micros(500);

fn pool(workers: usize) -> Arc<ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(workers).build();
    Arc::new(pool.expect("threads can be started"))
}

fn runtime(workers: usize) -> Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).build();
    runtime.expect("threads can be started")
}

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
