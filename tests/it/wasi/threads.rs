//! WASI works on every thread: inside and outside tokio runtimes, and across threads.

use super::{Program, args, program};
use crate::support::Way;
use std::thread;
use wasm_jobs::wasi::FsPerms;
use wasm_jobs::{Error, JobPool};

fn reads_a_file() -> Result<Program, Error> {
    let ctx = args(["given", "/guests/build.sh"]);
    Program::start(&program("given")?, ctx.preopened_dir("guests", "/guests", FsPerms::ReadOnly))
}

fn the_file() -> String {
    let lines = std::fs::read_to_string("guests/build.sh").unwrap();
    let lines = lines.lines().map(|line| format!("file {line}\n"));
    ["argument given\n".into(), "argument /guests/build.sh\n".into()]
        .into_iter()
        .chain(lines)
        .collect()
}

#[test]
fn without_a_tokio_runtime() -> Result<(), Error> {
    for &way in Way::ALL {
        let mut program = reads_a_file()?;
        way.finish(&mut program.main)?;
        assert_eq!(program.printed(), the_file(), "{way:?}");
    }
    Ok(())
}

#[test]
fn inside_a_tokio_runtime() -> Result<(), Error> {
    let many = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let one = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for runtime in [many, one] {
        for way in [Way::Wait, Way::Resume, Way::AtOnce, Way::AThreadEach] {
            let entered = runtime.enter();
            let mut program = reads_a_file()?;
            way.finish(&mut program.main)?;
            assert_eq!(program.printed(), the_file());
            drop(entered);
        }
        let mut program = reads_a_file()?;
        runtime.block_on(&mut program.main)?;
        assert_eq!(program.printed(), the_file());

        let mut program = Program::start(&super::program("nap")?, args(["nap", "3"]))?;
        runtime.block_on(&mut program.main)?;
        assert_eq!(program.printed(), "slept for 3 ms\n");

        let mut program = reads_a_file()?;
        let handle = runtime.handle().clone();
        let tasks = move |job: wasm_jobs::Job| drop(handle.spawn(async { job.run() }));
        let job = tasks.submit(program.main.to_job()?);
        runtime.block_on(job);
        assert_eq!(program.main.try_get_result()?, Some(()));
        assert_eq!(program.printed(), the_file());
    }
    Ok(())
}

#[test]
fn a_program_moves_from_thread_to_thread() -> Result<(), Error> {
    let mut program = reads_a_file()?;
    while !program.main.has_result() {
        let mut runner = program.main.to_job()?;
        thread::spawn(move || runner.resume() == wasm_jobs::Step::Done).join().unwrap();
        if !program.main.has_result() {
            let _ = program.main.resume()?;
        }
    }
    assert_eq!(program.main.try_get_result()?, Some(()));
    assert_eq!(program.printed(), the_file());
    Ok(())
}
