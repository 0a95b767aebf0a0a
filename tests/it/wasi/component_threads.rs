//! The threads of a process that runs components: tokio's come with the first real file.

use super::components::{Started, command};
use super::{args, captured, printed};
use crate::support::{in_a_process_of_its_own, workers};
use std::fs;
use std::path::Path;
use wasm_jobs::wasi::{Command, FsPerms, MemoryInputPipe, WasiCtxBuilder};
use wasm_jobs::{Error, Future, JobPool};

/// Runs programs to their ends.
type Run<'a> = &'a dyn Fn(&mut Future<()>) -> Result<(), Error>;

/// The names of the threads of this process, as Linux cuts them off.
fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux lists the threads");
    // A thread that has just ended has no name.
    let name = |task: std::io::Result<fs::DirEntry>| {
        fs::read_to_string(task.ok()?.path().join("comm")).ok()
    };
    tasks.filter_map(name).map(|name| name.trim_end().to_owned()).collect()
}

fn of_tokio(threads: &[String]) -> usize {
    threads.iter().filter(|name| name.starts_with("tokio")).count()
}

/// Sleeps, yields, prints, and reads standard input and a preopened directory's name, but no file.
fn run_without_files(run: Run) -> Result<(), Error> {
    let given = || {
        args(["given", "one", "two"])
            .env("NAME", "value")
            .stdin(MemoryInputPipe::new("first line\nsecond line\n"))
            .preopened_dir("guests", "/guests", FsPerms::ReadOnly)
    };
    let expected = "argument given\nargument one\nargument two\nvariable NAME=value\n\
        input first line\ninput second line\n";
    for (name, ctx, expected) in [
        ("nap", args(["nap", "0"]), "slept for 0 ms\n"),
        ("nap", args(["nap", "2"]), "slept for 2 ms\n"),
        ("given", given(), expected),
    ] {
        let mut program = Started::new(name, ctx)?;
        run(&mut program.run)?;
        assert_eq!(printed(&program.stdout), expected);
    }
    // It polls its input, too. Its times and its code follow from real clocks.
    let mut wanderer = Started::new("wanderer", args(["wanderer", "1"]).seed(1))?;
    assert!(matches!(run(&mut wanderer.run), Ok(()) | Err(Error::Exit(1))));
    assert_eq!(printed(&wanderer.stdout).lines().count(), 21);
    Ok(())
}

fn run_with_a_file(run: Run) -> Result<(), Error> {
    let ctx = args(["given", "/guests/build.sh"]);
    let ctx = ctx.preopened_dir("guests", "/guests", FsPerms::ReadOnly);
    let mut program = Started::new("given", ctx)?;
    run(&mut program.run)?;
    let lines = fs::read_to_string(Path::new("guests/build.sh")).unwrap();
    let lines: String = lines.lines().map(|line| format!("file {line}\n")).collect();
    let expected = format!("argument given\nargument /guests/build.sh\n{lines}");
    assert_eq!(printed(&program.stdout), expected);
    Ok(())
}

#[test]
fn only_a_file_starts_threads_of_tokio() -> Result<(), Error> {
    // Other tests of the same process use files.
    in_a_process_of_its_own(module_path!(), "only_a_file_starts_threads_of_tokio", || {
        let pool = workers(2);
        let ways: [Run; 2] = [&|run| run.wait(), &|run| {
            pool.submit(run.to_job()?).wait();
            run.try_get_result().map(|end| end.expect("its job is over"))
        }];
        // The first of them start the threads of the library, and those that compile.
        ways.iter().try_for_each(|run| run_without_files(run))?;
        let count = threads().len();
        for run in ways.iter().cycle().take(8) {
            run_without_files(run)?;
            assert_eq!(threads().len(), count, "{:?}", threads());
        }
        assert_eq!(of_tokio(&threads()), 0, "{:?}", threads());

        // The process's own input is read by one thread of wasmtime-wasi's, which may end with the input.
        let stderr = captured();
        let ctx = WasiCtxBuilder::new().arg("given").inherit_stdin().inherit_stdout();
        Command::new(&command("given")?, ctx.stderr(stderr).build()?)?.run()?.wait()?;
        assert!((count..=count + 1).contains(&threads().len()), "{:?}", threads());
        assert_eq!(of_tokio(&threads()), 0, "{:?}", threads());

        for run in ways {
            run_with_a_file(run)?;
            // The thread that has read the file had its name before.
            assert_ne!(of_tokio(&threads()), 0, "{:?}", threads());
        }
        Ok(())
    })
}
