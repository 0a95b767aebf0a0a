//! Programs that were written for other machines, from a folder beside the project: run with `--ignored` where it is.

use super::{Program, args, linked};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;
use wasm_jobs::wasi::{MemoryInputPipe, WasiCtxBuilder};
use wasm_jobs::wasmtime::{Engine, Module};
use wasm_jobs::{EngineOptions, Error, JobHandle, JobPool};

fn folder() -> PathBuf {
    PathBuf::from("../shared/guests")
}

fn module(engine: &Engine, name: &str) -> Result<Module, Error> {
    Ok(Module::from_file(engine, folder().join(name))?)
}

#[test]
#[ignore = "needs the folder ../shared/guests"]
fn a_program_that_sleeps_and_polls() -> Result<(), Error> {
    beside_50_others(
        |engine| module(engine, "sleepy.wasm"),
        || args(["sleepy"]),
        |printed| assert_eq!(printed, b"yield=0 work=45 poll=1 errno=0 slept_ok=1\n"),
    )
}

#[test]
#[ignore = "needs the folder ../shared/guests"]
fn bzip2() -> Result<(), Error> {
    let input = fs::read(folder().join("sample1.ref")).unwrap();
    let output = fs::read(folder().join("sample1.bz2")).unwrap();
    beside_50_others(
        |engine| module(engine, "bzip2.wasm"),
        || args(["bzip2", "-1", "-c"]).stdin(MemoryInputPipe::new(input.clone())),
        |printed| assert!(printed == output, "it compresses to the same bytes"),
    )
}

#[test]
#[ignore = "needs the folder ../shared/guests"]
fn sqlites_speed_test() -> Result<(), Error> {
    beside_50_others(
        |engine| module(engine, "sqlite-speedtest1.wasm"),
        || args(["speedtest1", "--memdb", "--size", "2", "--verify"]),
        |printed| {
            let printed = String::from_utf8_lossy(printed);
            assert!(printed.contains("244592 28e6676a"), "{printed}");
        },
    )
}

/// Runs a program as a job on rayon, beside fifty that sleep and yield; once undisturbed, and once with all guests sliced a
/// thousand times a second.
fn beside_50_others(
    module: impl Fn(&Engine) -> Result<Module, Error>,
    ctx: impl Fn() -> WasiCtxBuilder,
    check: impl Fn(&[u8]),
) -> Result<(), Error> {
    let engine = wasm_jobs::engine(&EngineOptions::default().pooling(60))?;
    let program = linked(&module(&engine)?)?;
    let nap = linked(&Module::from_file(&engine, "guests/wasi/nap.wasm")?)?;
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap());
    for sliced in [false, true] {
        let stop = Arc::new(AtomicBool::new(!sliced));
        let slicing = thread::spawn({
            let (engine, stop) = (engine.clone(), stop.clone());
            move || {
                while !stop.load(SeqCst) {
                    engine.increment_epoch();
                    thread::sleep(Duration::from_millis(1));
                }
            }
        });
        let mut program = Program::start(&program, ctx())?;
        let others = (0..50).map(|n| Program::start(&nap, args(["nap", &n.to_string()])));
        let mut others = others.collect::<Result<Vec<_>, Error>>()?;
        let mut jobs = vec![pool.submit(program.main.to_job()?)];
        for other in &mut others {
            jobs.push(pool.submit(other.main.to_job()?));
        }
        JobHandle::all(jobs).wait();
        stop.store(true, SeqCst);
        slicing.join().unwrap();

        assert_eq!(program.main.try_get_result()?, Some(()));
        check(&program.stdout.contents());
        for (n, other) in others.iter_mut().enumerate() {
            assert_eq!(other.main.try_get_result()?, Some(()));
            assert_eq!(other.printed(), format!("slept for {n} ms\n"));
        }
    }
    Ok(())
}
