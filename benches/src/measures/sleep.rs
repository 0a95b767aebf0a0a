//! The time in which 900 WASI guests on two workers each sleep for 100 ms, from the first submission to the last end: as jobs on rayon,
//! beside wasmtime-wasi's own sleep in tasks on tokio's multi-thread runtime. The instances are made before.

use super::countdown::Countdown;
use super::wasi::succeeded;
use super::{poll_to_end, pool};
use crate::guests::ENGINE;
use crate::rounds::{Finding, Other, in_turn};
use std::time::Instant;
use tokio::runtime::Builder;
use wasm_jobs::wasi::{self, WasiCtx, WasiCtxBuilder};
use wasm_jobs::wasmtime::{Linker, Module, Store};
use wasm_jobs::wasmtime_wasi::{self, p1::WasiP1Ctx};
use wasm_jobs::{Instance, JobHandle, JobPool};

/// Sleeps for as many milliseconds as its argument says.
const GUEST: &[u8] = include_bytes!("../../../guests/wasi/nap.wasm");
const ARGS: [&str; 2] = ["nap", "100"];
const CALLS: usize = 900;
const WORKERS: usize = 2;
const ROUNDS: usize = 9;

// A program runs once, so each round has new ones, which are made before it begins and go after its end.
pub(crate) fn measure() -> Finding {
    let module = Module::new(&ENGINE, GUEST).expect("the guest is valid");

    let pool = pool(WORKERS);
    let mut linker = Linker::<WasiCtx>::new(&ENGINE);
    wasi::add_to_linker(&mut linker, |ctx| ctx).expect("the linker is new");
    let pre = linker.instantiate_pre(&module).expect("the guest imports WASI");
    let ours = || {
        let instance = |_| {
            let ctx = WasiCtxBuilder::new().args(ARGS).build();
            Instance::new(&pre, ctx.expect("it has no directories")).expect("the pool has room")
        };
        let instances: Vec<_> = (0..CALLS).map(instance).collect();
        let calls = instances.iter().map(|instance| instance.call::<(), ()>("_start", ()));
        let mut calls: Vec<_> = calls.map(|call| call.expect("the guest exports it")).collect();
        let start = Instant::now();
        let jobs =
            calls.iter_mut().map(|call| pool.submit(call.to_job().expect("the call is ours")));
        JobHandle::all(jobs).wait();
        let ms = start.elapsed().as_secs_f64() * 1e3;
        for mut call in calls {
            call.try_get_result().expect("the guest succeeds").expect("it is done");
        }
        ms
    };

    let runtime = Builder::new_multi_thread().worker_threads(WORKERS).enable_time().build();
    let runtime = runtime.expect("threads can be started");
    let mut linker = Linker::<WasiP1Ctx>::new(&ENGINE);
    wasmtime_wasi::p1::add_to_linker_async(&mut linker, |ctx| ctx).expect("the linker is new");
    let pre = linker.instantiate_pre(&module).expect("the guest imports WASI");
    let theirs = || {
        let instance = |_| {
            let ctx = wasmtime_wasi::WasiCtxBuilder::new().args(&ARGS).build_p1();
            let mut store = Store::new(&ENGINE, ctx);
            store.epoch_deadline_async_yield_and_update(1);
            store.set_epoch_deadline(1);
            let instance = poll_to_end(pre.instantiate_async(&mut store));
            let instance = instance.expect("the pool has room");
            let start = instance.get_typed_func::<(), ()>(&mut store, "_start");
            (store, start.expect("the guest exports it"))
        };
        let instances: Vec<_> = (0..CALLS).map(instance).collect();
        let start = Instant::now();
        let round = Countdown::new(CALLS);
        let tasks = instances.into_iter().map(|(mut store, start)| {
            let round = round.clone();
            runtime.spawn(async move {
                let end = start.call_async(&mut store, ()).await;
                round.count();
                // The store goes after the round, as ours.
                (end, store)
            })
        });
        let tasks: Vec<_> = tasks.collect();
        round.wait();
        let ms = start.elapsed().as_secs_f64() * 1e3;
        let ends = tasks.into_iter().map(|task| runtime.block_on(task));
        for (end, _) in ends.map(|end| end.expect("the task does not panic")) {
            succeeded(end);
        }
        ms
    };

    in_turn("ms", Other::Peer("wasmtime_wasi"), ROUNDS, ours, theirs)
}
