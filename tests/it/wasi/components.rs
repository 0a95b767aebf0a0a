//! Programs as components of WASI 0.2, beside the same programs as modules of preview 1.

use super::{ENGINE, MONOTONIC_START, Program, args, captured, printed, program};
use crate::support::{Way, workers};
use std::collections::BTreeMap;
use std::fs;
use std::iter;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};
use wasm_jobs::wasi::{
    self, Command, CommandPre, FsPerms, Lines, MemoryInputPipe, MemoryOutputPipe, WasiCtx,
    WasiCtxBuilder, WasiView,
};
use wasm_jobs::wasmtime::component::{Component, Linker};
use wasm_jobs::{
    Clock, Error, Future, InstanceOptions, JobHandle, JobPool, ManualClock, Slice, Step,
};

fn linked(component: &Component) -> Result<CommandPre<WasiCtx>, Error> {
    let mut linker = Linker::new(component.engine());
    wasi::add_to_component_linker(&mut linker)?;
    Ok(CommandPre::new(linker.instantiate_pre(component)?)?)
}

/// A program from `guests/wasi2`. Each is compiled once.
fn command(name: &'static str) -> Result<CommandPre<WasiCtx>, Error> {
    static COMMANDS: Mutex<BTreeMap<&str, CommandPre<WasiCtx>>> = Mutex::new(BTreeMap::new());
    let mut commands = COMMANDS.lock().unwrap();
    if let Some(command) = commands.get(name) {
        return Ok(command.clone());
    }
    let file = format!("guests/wasi2/{name}.wasm");
    let command = linked(&Component::from_file(&ENGINE, file)?)?;
    commands.insert(name, command.clone());
    Ok(command)
}

/// A component that was started, and its output.
struct Started {
    command: Command,
    run: Future<()>,
    stdout: MemoryOutputPipe,
}

impl Started {
    fn new(name: &'static str, ctx: WasiCtxBuilder) -> Result<Self, Error> {
        let stdout = captured();
        let command = Command::new(&command(name)?, ctx.stdout(stdout.clone()).build()?)?;
        let run = command.run()?;
        Ok(Self { command, run, stdout })
    }
}

/// The end of a program, and what it has printed.
type Outcome = (String, String);

/// Resumes programs by hand, and ticks the clock when all of them sleep.
fn by_hand(
    clock: &ManualClock,
    mut programs: Vec<(Future<()>, MemoryOutputPipe)>,
) -> Result<Vec<Outcome>, Error> {
    while !programs.iter().all(|(main, _)| main.has_result()) {
        for (main, _) in &mut programs {
            while main.resume()? == Step::Yielded {}
        }
        tick(clock);
    }
    Ok(programs.into_iter().map(outcome).collect())
}

fn on(
    pool: impl JobPool,
    clock: &ManualClock,
    mut programs: Vec<(Future<()>, MemoryOutputPipe)>,
) -> Result<Vec<Outcome>, Error> {
    let jobs: Result<Vec<JobHandle>, Error> =
        programs.iter_mut().map(|(main, _)| Ok(pool.submit(main.to_job()?))).collect();
    let jobs = JobHandle::all(jobs?);
    while !jobs.is_complete() {
        jobs.wait_until_idle();
        tick(clock);
    }
    Ok(programs.into_iter().map(outcome).collect())
}

fn tick(clock: &ManualClock) {
    if let Some(next) = clock.next_deadline() {
        clock.tick(next - clock.now());
    }
}

fn outcome((mut main, stdout): (Future<()>, MemoryOutputPipe)) -> Outcome {
    let end = match main.try_get_result() {
        // `wasi:cli/exit` of WASI 0.2 knows only success and failure.
        Err(Error::Exit(_)) => "a failure".to_owned(),
        end => format!("{end:?}"),
    };
    (end, printed(&stdout))
}

/// The contexts of the programs that are compared with their twins: name, arguments, input.
const TWINS: &[(&str, &[&str])] = &[
    ("nap", &["nap", "20"]),
    ("nap", &["nap", "0"]),
    ("sleeper", &["sleeper", "7"]),
    ("wanderer", &["wanderer", "0"]),
    ("wanderer", &["wanderer", "1"]),
    ("wanderer", &["wanderer", "2"]),
    ("given", &["given", "one", "zwei \u{fc}"]),
];

fn context(arguments: &[&str], clock: &ManualClock) -> WasiCtxBuilder {
    WasiCtxBuilder::new()
        .args(arguments)
        .env("NAME", "value")
        .stdin(MemoryInputPipe::new("first line\nsecond line\n"))
        .clock(clock.clone())
        .seed(7)
}

#[test]
fn components_print_what_their_twins_of_preview_1_print_by_hand_and_on_many_workers()
-> Result<(), Error> {
    let modules = |clock: &ManualClock| -> Result<Vec<_>, Error> {
        let start = |&(name, arguments): &(&'static str, &[&str])| {
            let started = Program::start(&program(name)?, context(arguments, clock))?;
            Ok((started.main, started.stdout))
        };
        TWINS.iter().map(start).collect()
    };
    let components = |clock: &ManualClock| -> Result<Vec<_>, Error> {
        let start = |&(name, arguments): &(&'static str, &[&str])| {
            let started = Started::new(name, context(arguments, clock))?;
            Ok((started.run, started.stdout))
        };
        TWINS.iter().map(start).collect()
    };
    let clock = ManualClock::new();
    let expected = by_hand(&clock, modules(&clock)?)?;
    assert_eq!(expected[0], ("Ok(Some(()))".into(), "slept for 20 ms\n".into()));
    assert!(expected.iter().all(|(_, printed)| !printed.is_empty()));

    let clock = ManualClock::new();
    assert_eq!(by_hand(&clock, components(&clock)?)?, expected);
    for count in iter::repeat_n([1, 2, 8], 3).flatten() {
        let clock = ManualClock::new();
        assert_eq!(on(workers(count), &clock, components(&clock)?)?, expected, "{count} workers");
    }
    Ok(())
}
