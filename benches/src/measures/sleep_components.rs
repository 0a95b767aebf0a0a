//! The CPU time of the process for each second that passes while 1,000 components of WASI 0.2, jobs on rayon, sleep. Beside the same components
//! with wasmtime-wasi's own sleep, in tasks on tokio. Only one side is there at a time. Both have two workers.

use super::idle::used;
use super::pool;
use super::wasi2;
use crate::rounds::{Finding, Other, of_pairs};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use tokio::runtime::Builder;
use wasm_jobs::wasi::{Command, MemoryOutputPipe, WasiCtxBuilder};
use wasm_jobs::wasmtime::Engine;
use wasm_jobs::wasmtime::component::Component;
use wasm_jobs::{EngineOptions, Error, JobHandle, JobPool, engine};

/// Sleeps for as many milliseconds as its argument says.
const GUEST: &[u8] = include_bytes!("../../../guests/wasi2/nap.wasm");
/// Longer than the measure takes.
const ARGS: [&str; 2] = ["nap", "600000"];
const GUESTS: usize = 1_000;
const WORKERS: usize = 2;
const ROUNDS: usize = 5;

pub(crate) fn measure() -> Finding {
    let options = EngineOptions::default().pooling(GUESTS as u32).core_instances_per_component(4);
    let engine = engine(&options).expect("a machine that measures has room for a pool");
    let component = Component::new(&engine, GUEST).expect("the guest is valid");
    let pairs: Vec<_> =
        (0..ROUNDS).map(|_| (ours(&component), theirs(&engine, &component))).collect();
    of_pairs("cpu_share", Other::Peer("wasmtime_wasi"), &pairs)
}

fn ours(component: &Component) -> f64 {
    let (pool, pre) = (pool(WORKERS), wasi2::ours(component));
    let run = |_| {
        let ctx = WasiCtxBuilder::new().args(ARGS).build().expect("it has no directories");
        Command::new(&pre, ctx).and_then(|guest| guest.run()).expect("the pool has room")
    };
    let mut runs: Vec<_> = (0..GUESTS).map(run).collect();
    let jobs = runs.iter_mut().map(|run| pool.submit(run.to_job().expect("the call is ours")));
    let jobs = JobHandle::all(jobs);
    jobs.wait_until_idle();

    let used = used();

    for mut run in runs {
        assert!(!run.has_result(), "a guest has not gone on sleeping");
        run.cancel();
        assert!(matches!(run.wait(), Err(Error::Cancelled)));
    }
    jobs.wait();
    used
}

fn theirs(engine: &Engine, component: &Component) -> f64 {
    let runtime = Builder::new_multi_thread().worker_threads(WORKERS).enable_time().build();
    let runtime = runtime.expect("threads can be started");
    let (pre, sleeping) = (wasi2::theirs(component), Arc::new(AtomicUsize::new(0)));
    let task = |_| {
        let mut store = wasi2::store(engine, &ARGS, MemoryOutputPipe::new(1024));
        let (pre, sleeping) = (pre.clone(), sleeping.clone());
        runtime.spawn(async move {
            let guest = pre.instantiate_async(&mut store).await.expect("the pool has room");
            let mut run = Box::pin(guest.wasi_cli_run().call_run(&mut store));
            let mut is_first = true;
            poll_fn(|context| {
                let end = run.as_mut().poll(context);
                if end.is_pending() && std::mem::take(&mut is_first) {
                    sleeping.fetch_add(1, Ordering::Relaxed);
                }
                end.map(drop)
            })
            .await;
        })
    };
    let tasks: Vec<_> = (0..GUESTS).map(task).collect();
    while sleeping.load(Ordering::Relaxed) < GUESTS {
        thread::yield_now();
    }

    let used = used();

    for task in tasks {
        assert!(!task.is_finished(), "a guest has not gone on sleeping");
        task.abort();
        let end = runtime.block_on(task);
        assert!(end.is_err_and(|error| error.is_cancelled()));
    }
    used
}
