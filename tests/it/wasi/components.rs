//! Programs as components of WASI 0.2, beside the same programs as modules of preview 1.

use super::{ENGINE, MONOTONIC_START, Program, args, captured, printed, program};
use crate::support::{Way, retry_timeouts, workers};
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

pub(super) fn linked(component: &Component) -> Result<CommandPre<WasiCtx>, Error> {
    let mut linker = Linker::new(component.engine());
    wasi::add_to_component_linker(&mut linker)?;
    CommandPre::new(linker.instantiate_pre(component)?)
}

/// A program from `guests/wasi2`. Each is compiled once.
pub(super) fn command(name: &'static str) -> Result<CommandPre<WasiCtx>, Error> {
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
pub(super) struct Started {
    pub(super) run: Future<()>,
    pub(super) stdout: MemoryOutputPipe,
}

impl Started {
    pub(super) fn new(name: &'static str, ctx: WasiCtxBuilder) -> Result<Self, Error> {
        let stdout = captured();
        let command = Command::new(&command(name)?, ctx.stdout(stdout.clone()).build()?)?;
        let run = command.run()?;
        Ok(Self { run, stdout })
    }
}

/// The end of a program, and what it has printed.
pub(super) type Outcome = (String, String);

/// Resumes programs by hand, and ticks the clock when all of them sleep.
pub(super) fn by_hand(
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

pub(super) fn on(
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

pub(super) fn tick(clock: &ManualClock) {
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

#[test]
fn a_program_that_sleeps_waits_and_is_woken_by_a_tick() -> Result<(), Error> {
    let clock = ManualClock::new();
    let mut nap = Started::new("nap", args(["nap", "60000"]).clock(clock.clone()))?;
    assert_eq!(nap.run.resume()?, Step::Waiting);
    for _ in 0..3 {
        assert_eq!(nap.run.resume()?, Step::Waiting, "it is not entered while it waits");
    }
    assert_eq!((clock.sleepers(), clock.next_deadline()), (1, Some(Duration::from_secs(60))));
    clock.tick(Duration::from_secs(60));
    assert_eq!(nap.run.resume()?, Step::Done);
    assert_eq!(nap.run.try_get_result()?, Some(()));
    assert_eq!(printed(&nap.stdout), "slept for 60000 ms\n");
    Ok(())
}

#[test]
fn a_sleep_of_no_time_is_a_yield() -> Result<(), Error> {
    let mut nap = Started::new("nap", args(["nap", "0"]).clock(ManualClock::new()))?;
    let mut yields = 0;
    while nap.run.resume()? == Step::Yielded {
        yields += 1;
    }
    assert_eq!(yields, 1);
    assert_eq!(nap.run.try_get_result()?, Some(()));
    Ok(())
}

#[test]
fn a_program_waits_by_real_time_as_a_job_and_by_every_other_way() -> Result<(), Error> {
    for &way in Way::ALL {
        let began = std::time::Instant::now();
        let mut nap = Started::new("nap", args(["nap", "5"]))?;
        way.finish(&mut nap.run)?;
        assert!(began.elapsed() >= Duration::from_millis(5), "{way:?}");
        assert_eq!(printed(&nap.stdout), "slept for 5 ms\n", "{way:?}");
    }
    Ok(())
}

#[test]
fn a_file_is_copied_and_only_where_it_may_be() -> Result<(), Error> {
    let path = super::files::directory("a_file_is_copied_by_a_component");
    let content: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    fs::write(path.join("from"), &content).unwrap();
    for &way in Way::ALL {
        let _ = fs::remove_file(path.join("to"));
        let ctx = args(["copy", "/dir/from", "/dir/to"]);
        let mut copy = Started::new("copy", ctx.preopened_dir(&path, "/dir", FsPerms::ReadWrite))?;
        way.finish(&mut copy.run)?;
        assert!(fs::read(path.join("to")).unwrap() == content, "{way:?}");
    }
    fs::remove_file(path.join("to")).unwrap();
    for (from, to, perms) in [
        ("/dir/from", "/dir/to", FsPerms::ReadOnly),
        ("/dir/../from", "/dir/to", FsPerms::ReadWrite),
        ("/etc/passwd", "/dir/to", FsPerms::ReadWrite),
    ] {
        let ctx = args(["copy", from, to]).preopened_dir(&path, "/dir", perms);
        let failure = Started::new("copy", ctx)?.run.wait().unwrap_err();
        assert!(matches!(failure, Error::Exit(1)), "{from} to {to}: {failure:?}");
        assert!(!path.join("to").exists());
    }
    Ok(())
}

#[test]
fn an_exit_with_a_failure_poisons_and_a_reset_makes_another_guest() -> Result<(), Error> {
    let pre = command("copy")?;
    let make = || args(["copy", "/nothing", "/nowhere"]).build().expect("nothing is opened");
    let copy = Command::with_options(&pre, InstanceOptions::default(), make)?;
    for _ in 0..2 {
        assert!(matches!(copy.run()?.wait(), Err(Error::Exit(1))));
        assert!(copy.is_poisoned());
        assert!(matches!(copy.run(), Err(Error::Poisoned)));
        copy.reset()?;
    }
    Ok(())
}

#[test]
fn output_comes_line_by_line() -> Result<(), Error> {
    let lines = std::sync::Arc::new(Mutex::new(Vec::new()));
    let log = lines.clone();
    let ctx = args(["given", "one", "two"])
        .stdout(Lines::new(move |line| log.lock().unwrap().push(line.to_owned())));
    Command::new(&command("given")?, ctx.build()?)?.run()?.wait()?;
    assert_eq!(*lines.lock().unwrap(), ["argument given", "argument one", "argument two"]);
    Ok(())
}

#[test]
fn the_context_is_a_part_of_the_state() -> Result<(), Error> {
    struct Plugin {
        wasi: WasiCtx,
        name: &'static str,
    }
    impl WasiView for Plugin {
        fn wasi(&mut self) -> &mut WasiCtx {
            &mut self.wasi
        }
    }
    let mut linker = Linker::<Plugin>::new(&ENGINE);
    wasi::add_to_component_linker(&mut linker)?;
    let component = Component::from_file(&ENGINE, "guests/wasi2/nap.wasm")?;
    let pre = CommandPre::new(linker.instantiate_pre(&component)?)?;
    let stdout = captured();
    let wasi = args(["nap", "1"]).stdout(stdout.clone()).build()?;
    let nap = Command::new(&pre, Plugin { wasi, name: "Ada" })?;
    nap.run()?.wait()?;
    assert_eq!(printed(&stdout), "slept for 1 ms\n");
    assert_eq!(nap.store()?.data().name, "Ada");
    Ok(())
}

#[test]
fn a_component_that_is_no_program_is_refused_by_name() -> Result<(), Error> {
    let component = Component::new(&ENGINE, wat::parse_str("(component)").unwrap())?;
    let error = linked(&component).expect_err("it exports nothing");
    assert!(error.to_string().contains("wasi:cli/run"), "{error}");
    Ok(())
}

#[test]
fn a_linker_that_has_wasi_already_refuses_it() -> Result<(), Error> {
    let mut linker = Linker::<WasiCtx>::new(&ENGINE);
    wasi::add_to_component_linker(&mut linker)?;
    assert!(wasi::add_to_component_linker(&mut linker).is_err());
    linker.allow_shadowing(true);
    wasi::add_to_component_linker(&mut linker)?;
    Ok(())
}

#[test]
fn a_program_stops_at_its_limits_in_each_step_and_in_all() -> Result<(), Error> {
    let pre = command("sleeper")?;
    let clock = ManualClock::new();
    let make = {
        let clock = clock.clone();
        move || args(["sleeper", "1"]).clock(clock.clone()).build().expect("nothing is opened")
    };
    // It never gets its time, and is told so.
    let options = InstanceOptions::default()
        .slice(Slice::Time(Duration::from_millis(1)))
        .elapsed_timeout(Duration::from_millis(500));
    let sleeper = retry_timeouts(|| Command::with_options(&pre, options.clone(), make.clone()))?;
    let mut run = sleeper.run()?;
    assert!(matches!(run.wait(), Err(Error::TimedOut(_))));

    // One that waits for ever is cancelled.
    let sleeper = Command::new(&pre, args(["sleeper", "1"]).clock(clock.clone()).build()?)?;
    let mut run = sleeper.run()?;
    while run.resume()? == Step::Yielded {}
    assert_eq!(clock.sleepers(), 1);
    run.cancel();
    assert!(matches!(run.wait(), Err(Error::Cancelled)));
    assert_eq!(clock.sleepers(), 0);
    Ok(())
}

#[test]
fn a_guest_reads_the_time_of_its_clock() -> Result<(), Error> {
    // `wanderer` prints its monotonic clock and its time of day, in nanoseconds.
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let clock = ManualClock::starting_at(start);
    clock.tick(Duration::from_millis(250));
    let started = Started::new("wanderer", args(["wanderer", "0"]).clock(clock.clone()).seed(1))?;
    let outcomes = by_hand(&clock, vec![(started.run, started.stdout)])?;
    let (_, printed) = &outcomes[0];
    let fields: Vec<_> = printed.lines().next().expect("it has printed").split(' ').collect();
    let [monotonic, of_day] = [2, 3].map(|field| fields[field].parse::<u64>().unwrap());
    let passed = Duration::from_nanos(monotonic) - MONOTONIC_START;
    assert!(passed >= Duration::from_millis(250), "{printed}");
    assert_eq!(Duration::from_nanos(of_day), Duration::from_secs(1_000_000_000) + passed);
    Ok(())
}
