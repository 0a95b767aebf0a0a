//! Unmodified C programs, as jobs on rayon.

use super::{Program, args, linked};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use wasm_jobs::wasi::{MemoryInputPipe, WasiCtxBuilder};
use wasm_jobs::wasmtime::Module;
use wasm_jobs::{EngineOptions, Error, JobHandle, JobPool, Slice};

#[test]
fn a_program_that_sleeps_and_polls() -> Result<(), Error> {
    beside_50_others(
        Path::new("guests/wasi/sleepy.wasm"),
        || args(["sleepy"]),
        |printed| assert_eq!(printed, b"yield=0 work=45 poll=1 errno=0 slept_ok=1\n"),
    )
}

#[test]
fn bzip2() -> Result<(), Error> {
    let input = fs::read("guests/wasi/sample1.ref").unwrap();
    let output = fs::read("guests/wasi/sample1.bz2").unwrap();
    beside_50_others(
        Path::new("guests/wasi/bzip2.wasm"),
        || args(["bzip2", "-1", "-c"]).stdin(MemoryInputPipe::new(input.clone())),
        |printed| assert!(printed == output, "it compresses to the same bytes"),
    )
}

/// The module is larger than a megabyte, so it is not in the repository. The test is skipped where the module is missing.
#[test]
fn sqlites_speed_test() -> Result<(), Error> {
    let path = Path::new("../shared/guests/sqlite-speedtest1.wasm");
    if !path.exists() {
        println!("skipped: there is no {}", path.display());
        return Ok(());
    }
    beside_50_others(
        path,
        || args(["speedtest1", "--memdb", "--size", "2", "--verify"]),
        |printed| {
            let printed = String::from_utf8_lossy(printed);
            assert!(printed.contains("244592 28e6676a"), "{printed}");
        },
    )
}

/// Runs a program beside fifty others that sleep and yield: once without slices, and once with slices of a millisecond for all guests.
fn beside_50_others(
    program: &Path,
    ctx: impl Fn() -> WasiCtxBuilder,
    check: impl Fn(&[u8]),
) -> Result<(), Error> {
    let engine = wasm_jobs::engine(&EngineOptions::default().pooling(60))?;
    let program = linked(&Module::from_file(&engine, program)?)?;
    let nap = linked(&Module::from_file(&engine, "guests/wasi/nap.wasm")?)?;
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap());
    for slice in [Slice::Unbounded, Slice::Time(Duration::from_millis(1))] {
        let mut program = Program::start(&program, ctx())?;
        let others = (0..50).map(|n| Program::start(&nap, args(["nap", &n.to_string()])));
        let mut others = others.collect::<Result<Vec<_>, Error>>()?;
        let mut jobs = Vec::new();
        for program in others.iter_mut().chain([&mut program]) {
            program.instance.set_slice(slice)?;
            jobs.push(pool.submit(program.main.to_job()?));
        }
        JobHandle::all(jobs).wait();

        assert_eq!(program.main.try_get_result()?, Some(()));
        check(&program.stdout.contents());
        for (n, other) in others.iter_mut().enumerate() {
            assert_eq!(other.main.try_get_result()?, Some(()));
            assert_eq!(other.printed(), format!("slept for {n} ms\n"));
        }
    }
    Ok(())
}
