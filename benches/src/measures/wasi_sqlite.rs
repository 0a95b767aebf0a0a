//! The speed test of SQLite as a job on rayon, beside wasmtime with wasmtime-wasi: from its instantiation to the end of its
//! output.

use crate::guests;
use crate::rounds::{Finding, compare};
use std::sync::Arc;
use wasm_jobs::wasi::{self, MemoryOutputPipe, WasiCtx, WasiCtxBuilder};
use wasm_jobs::wasmtime::{Linker, Module, Store};
use wasm_jobs::wasmtime_wasi::{self, I32Exit, p1::WasiP1Ctx};
use wasm_jobs::{Instance, JobPool};

/// A program that others wrote. It is not part of the repository, and without it the measure is skipped.
const GUEST: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/guests/sqlite-speedtest1.wasm");
const ARGS: [&str; 5] = ["speedtest1", "--memdb", "--size", "2", "--verify"];
const ROUNDS: usize = 31;

/// Its last line.
const HASH: &str = "Verification Hash: 244592 28e6676ac610b0067f7b48634a7665a3ccf4f1ef8d7fd374";

/// More than it prints, in bytes.
const OUTPUT: usize = 64 * 1024;

pub(crate) fn measure() -> Finding {
    let wasm = match std::fs::read(GUEST) {
        Ok(wasm) => wasm,
        Err(error) => return Finding::Skipped { why: format!("{GUEST}: {error}") },
    };
    let module = Module::new(&guests::ENGINE, wasm).expect("the guest is valid");

    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let pool = Arc::new(pool.expect("a thread can be started"));
    let mut linker = Linker::<WasiCtx>::new(&guests::ENGINE);
    wasi::add_to_linker(&mut linker, |ctx| ctx).expect("the linker is new");
    let pre = linker.instantiate_pre(&module).expect("the guest imports WASI");
    let ours = || {
        let stdout = MemoryOutputPipe::new(OUTPUT);
        let ctx = WasiCtxBuilder::new().args(ARGS).stdout(stdout.clone()).build();
        let ctx = ctx.expect("it has no directories");
        let instance = Instance::new(&pre, ctx).expect("the pool has room");
        let mut call = instance.call::<(), ()>("_start", ()).expect("the guest exports it");
        pool.submit(call.to_job().expect("the call is ours")).wait();
        call.try_get_result().expect("the guest succeeds").expect("it is done");
        check(&stdout);
    };

    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("it takes no thread");
    let mut linker = Linker::<WasiP1Ctx>::new(&guests::ENGINE);
    wasmtime_wasi::p1::add_to_linker_async(&mut linker, |ctx| ctx).expect("the linker is new");
    let pre = linker.instantiate_pre(&module).expect("the guest imports WASI");
    let theirs = || {
        let stdout = MemoryOutputPipe::new(OUTPUT);
        let mut builder = wasmtime_wasi::WasiCtxBuilder::new();
        let ctx = builder.args(&ARGS).stdout(stdout.clone()).build_p1();
        let mut store = Store::new(&guests::ENGINE, ctx);
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
        runtime.block_on(async {
            let instance = pre.instantiate_async(&mut store).await.expect("the pool has room");
            let start = instance.get_typed_func::<(), ()>(&mut store, "_start");
            let start = start.expect("the guest exports it");
            if let Err(end) = start.call_async(&mut store, ()).await {
                let code = end.downcast_ref::<I32Exit>().map(|exit| exit.0);
                assert_eq!(code, Some(0), "the guest fails: {end:?}");
            }
        });
        check(&stdout);
    };

    compare("wasmtime_wasi", ROUNDS, 1, ours, theirs)
}

/// Both sides must have done the same work, and all of it.
fn check(stdout: &MemoryOutputPipe) {
    let stdout = stdout.contents();
    let stdout = String::from_utf8_lossy(&stdout);
    assert!(stdout.lines().any(|line| line == HASH), "the guest did not print the hash:\n{stdout}");
}
