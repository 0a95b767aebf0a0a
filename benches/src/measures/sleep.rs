//! The time in which 900 WASI guests on two workers each sleep for 100 ms, from the first submission to the last end, beside
//! the 100 ms.

use crate::guests;
use crate::rounds::{Finding, of_pairs};
use std::sync::Arc;
use std::time::Instant;
use wasm_jobs::wasi::{self, WasiCtx, WasiCtxBuilder};
use wasm_jobs::wasmtime::{Linker, Module};
use wasm_jobs::{Instance, JobHandle, JobPool};

/// Sleeps for as many milliseconds as its argument says.
const GUEST: &[u8] = include_bytes!("../../../guests/wasi/nap.wasm");
const CALLS: usize = 900;
const WORKERS: usize = 2;
const ROUNDS: usize = 9;

pub(crate) fn measure() -> Finding {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(WORKERS).build();
    let pool = Arc::new(pool.expect("threads can be started"));
    let mut linker = Linker::<WasiCtx>::new(&guests::ENGINE);
    wasi::add_to_linker(&mut linker, |ctx| ctx).expect("the linker is new");
    let module = Module::new(&guests::ENGINE, GUEST).expect("the guest is valid");
    let pre = linker.instantiate_pre(&module).expect("the guest imports WASI");

    let ms = || {
        // A program runs once, so each round has new ones, which are made before it begins and go after its end.
        let instances: Vec<_> = (0..CALLS)
            .map(|_| {
                let ctx = WasiCtxBuilder::new().args(["nap", "100"]).build();
                Instance::new(&pre, ctx.expect("it has no directories")).expect("the pool has room")
            })
            .collect();
        let mut calls: Vec<_> = instances
            .iter()
            .map(|instance| instance.call::<(), ()>("_start", ()).expect("the guest exports it"))
            .collect();
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
    let pairs: Vec<_> = (0..ROUNDS).map(|_| (ms(), 100.0)).collect();
    of_pairs("ms", "nap", &pairs)
}
