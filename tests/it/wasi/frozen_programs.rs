//! Programs that others wrote, which are frozen in the middle of what they do. They never wait by themselves: here, functions of WASI [suspend](super::suspending) them, and they are
//! frozen there, far down in an interpreter or between two blocks of a file. They print, compute and leave behind what they do undisturbed.
//!
//! `WASM_JOBS_FROZEN_SUSPENSIONS` says at how many of its suspensions each program is frozen alone, in as many runs. The large programs are run by hand:
//! `WASM_JOBS_FROZEN_SUSPENSIONS=200 cargo test --release --all-features --test it frozen_programs -- --include-ignored`.

use super::suspending::files::Files;
use super::suspending::{Host, Outside, World, linker};
use crate::guest::freezing::{Ended, When, finish};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{LazyLock, Mutex};
use std::time::Instant;
use wasm_jobs::wasi::{WasiCtxBuilder, WasiSaved};
use wasm_jobs::wasmtime::{Engine, OptLevel};
use wasm_jobs::{
    EngineOptions, Error, HostState, Instance, InstanceOptions, PrepareOptions, PreparedPre,
    prepare_with,
};

/// An engine that shows all functions of a deep stack. In a debug build, compiling the programs is most of what takes time.
static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let options = EngineOptions::default().on_demand().wasm_stack(2 << 20).backtrace_frames(10_000);
    let mut config = options.config();
    if cfg!(debug_assertions) {
        config.cranelift_opt_level(OptLevel::None);
    }
    Engine::new(&config).expect("the options of all tests here")
});

/// A program, its arguments, and what is outside when it begins.
struct Program<'a> {
    path: &'a str,
    args: &'a [&'a str],
    outside: Outside,
}

/// What is seen of a run.
#[derive(PartialEq)]
struct Seen {
    result: Result<(), String>,
    outside: Outside,
    suspensions: usize,
    /// Of the memory, the globals and the tables.
    hash: u128,
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { result, outside, suspensions, hash } = self;
        let output = String::from_utf8_lossy(&outside.output);
        write!(
            f,
            "{result:?} after {suspensions} suspensions, {hash:x}, {:?}\n{output}",
            outside.ended
        )
    }
}

impl Program<'_> {
    /// Each program is compiled once. `None` where it is missing.
    fn linked(&self) -> Result<Option<PreparedPre<Host>>, Error> {
        static LINKED: Mutex<BTreeMap<String, PreparedPre<Host>>> = Mutex::new(BTreeMap::new());
        if !Path::new(self.path).exists() {
            println!("skipped: there is no {}", self.path);
            return Ok(None);
        }
        let mut linked = LINKED.lock().unwrap();
        if let Some(pre) = linked.get(self.path) {
            return Ok(Some(pre.clone()));
        }
        let wasm = std::fs::read(self.path).expect("it is there");
        let options = PrepareOptions::default().freezable(true).waits_in(|_, _| true);
        let pre = prepare_with(&ENGINE, wasm, &options)?.instantiate_pre(&linker(&ENGINE)?)?;
        linked.insert(self.path.to_owned(), pre.clone());
        Ok(Some(pre))
    }

    /// Runs the program, and gives what is seen of it and how often it was frozen.
    fn run(&self, pre: &PreparedPre<Host>, when: When) -> Result<(Seen, usize), Error> {
        let world = World::new(&self.outside);
        let ctx = || WasiCtxBuilder::new().args(self.args.iter().copied()).build();
        let options = InstanceOptions::default();
        let host = Host { ctx: ctx()?, world: world.clone() };
        let instance = Instance::with_state(pre, options.clone(), host)?;
        let call = instance.call("_start", ())?;
        let carry = |instance: &Instance<Host>| {
            let saved = instance.store()?.data_mut().ctx.save()?.to_bytes();
            let mut ctx = ctx()?;
            ctx.restore(&WasiSaved::from_bytes(&saved)?)?;
            Ok(Host { ctx, world: world.clone() })
        };
        let wake = || panic!("it yields, and never waits");
        let ended: Ended<_, ()> = finish(pre, &options, (instance, call), when, carry, wake)?;
        let hash = ended.hash()?;
        let Ended { result, suspensions, frozen, .. } = ended;
        let result = result.map_err(|error| error.to_string());
        let outside = std::mem::take(&mut *world.lock());
        Ok((Seen { result, outside, suspensions, hash }, frozen))
    }

    /// Runs the program undisturbed, frozen at some of its suspensions alone, and frozen at all of them. Returns what it does undisturbed, or `None` where the program is missing.
    fn check(&self, most: usize) -> Result<Option<Seen>, Error> {
        let Some(pre) = self.linked()? else { return Ok(None) };
        let (expected, _) = self.run(&pre, When::Never)?;
        let most = match std::env::var("WASM_JOBS_FROZEN_SUSPENSIONS") {
            Ok(most) => most.parse().expect("WASM_JOBS_FROZEN_SUSPENSIONS is a number"),
            Err(_) => most,
        };
        let every = expected.suspensions.div_ceil(most).max(1);
        let alone = (1..=expected.suspensions).step_by(every);
        let start = Instant::now();
        let mut frozen_times = 0;
        for when in alone.map(When::At).chain([When::Always]) {
            let (found, frozen) = self.run(&pre, when)?;
            assert!(
                found == expected,
                "{}, {when:?}: {found:?}\n\nand not {expected:?}",
                self.path
            );
            let times = if let When::At(_) = when { 1 } else { expected.suspensions };
            assert_eq!(frozen, times, "{}, {when:?}", self.path);
            frozen_times += frozen;
        }
        println!(
            "{}: {} suspensions, frozen {frozen_times} times in {:?}",
            self.path,
            expected.suspensions,
            start.elapsed(),
        );
        Ok(Some(expected))
    }

    /// Checks that a program that succeeds prints this.
    fn prints(&self, output: &[u8], most: usize) -> Result<(), Error> {
        let seen = self.check(most)?.expect("it is in the repository");
        assert_eq!(seen.result, Ok(()));
        assert!(seen.outside.output == output, "{seen:?}");
        Ok(())
    }
}

fn terminal() -> Outside {
    Outside { is_terminal: true, ..Outside::default() }
}

#[test]
fn bzip2() -> Result<(), Error> {
    let path = "guests/wasi/bzip2.wasm";
    let plain = std::fs::read("guests/wasi/sample1.ref").unwrap();
    let packed = std::fs::read("guests/wasi/sample1.bz2").unwrap();
    let given = |input: &[u8]| Outside { input: input.to_vec(), ..Outside::default() };
    let program = Program { path, args: &["bzip2", "-1", "-c"], outside: given(&plain) };
    program.prints(&packed, 4)?;
    let program = Program { path, args: &["bzip2", "-d", "-c"], outside: given(&packed) };
    program.prints(&plain, 4)
}

#[test]
#[ignore = "by hand: takes minutes in a debug build, most of them to compile the program"]
fn lua() -> Result<(), Error> {
    let args = ["lua", "-e", include_str!("frozen_programs/script.lua")];
    let program = Program { path: "guests/wasi/lua.wasm", args: &args, outside: terminal() };
    program.prints(include_bytes!("frozen_programs/lua.txt"), 4)
}

#[test]
#[ignore = "by hand: takes minutes in a debug build, most of them to compile the program"]
fn quickjs() -> Result<(), Error> {
    let args = ["js", "-e", include_str!("frozen_programs/script.js")];
    let program = Program { path: "guests/wasi/js.wasm", args: &args, outside: terminal() };
    program.prints(include_bytes!("frozen_programs/js.txt"), 40)
}

#[test]
#[ignore = "by hand: takes minutes in a debug build, most of them to compile the program"]
fn a_program_that_exits_with_an_error() -> Result<(), Error> {
    let args = ["lua", "-e", "for n = 1, 3 do print(n) end error('enough')"];
    let program = Program { path: "guests/wasi/lua.wasm", args: &args, outside: terminal() };
    let seen = program.check(4)?.expect("it is in the repository");
    assert_eq!(seen.result, Err(Error::Exit(1).to_string()));
    let output = String::from_utf8(seen.outside.output).unwrap();
    assert_eq!(output, "1\n2\n3\nlua: (command line):1: enough\n");
    Ok(())
}

#[test]
fn sorts_and_hashes() -> Result<(), Error> {
    let (path, args) = ("guests/wasi/sort.wasm", ["sort", "1"]);
    let program = Program { path, args: &args, outside: terminal() };
    program.prints(include_bytes!("frozen_programs/sort.txt"), 4)?;
    let (path, args) = ("guests/wasi/hash.wasm", ["hash", "1"]);
    let program = Program { path, args: &args, outside: terminal() };
    program.prints(include_bytes!("frozen_programs/hash.txt"), 4)
}

/// The module is larger than a megabyte, so it is not in the repository. The tests of it are skipped where it is missing.
const SQLITE: &str = "../shared/guests/sqlite-speedtest1.wasm";

#[test]
#[ignore = "by hand: takes minutes in a debug build, most of them to compile the program"]
fn sqlites_speed_test() -> Result<(), Error> {
    let args = ["speedtest1", "--memdb", "--size", "2", "--verify"];
    let program = Program { path: SQLITE, args: &args, outside: terminal() };
    let Some(seen) = program.check(40)? else { return Ok(()) };
    assert_eq!(seen.result, Ok(()));
    let printed = String::from_utf8_lossy(&seen.outside.output);
    assert!(printed.contains("244592 28e6676a"), "{printed}");
    Ok(())
}

/// The database is in a file, so that calls are frozen between two of its pages.
#[test]
#[ignore = "by hand: takes minutes in a debug build, most of them to compile the program"]
fn sqlites_speed_test_in_a_file() -> Result<(), Error> {
    let args = ["speedtest1", "--size", "1", "--verify", "/test.db"];
    let outside = Outside { files: Some(Files::default()), ..terminal() };
    let program = Program { path: SQLITE, args: &args, outside };
    let Some(seen) = program.check(40)? else { return Ok(()) };
    assert_eq!(seen.result, Ok(()));
    let printed = String::from_utf8_lossy(&seen.outside.output);
    assert!(printed.contains("111130 1e792c9d"), "{printed}");
    let files = seen.outside.files.expect("it was given a directory");
    assert!(files.contents["test.db"].starts_with(b"SQLite format 3\0"));
    Ok(())
}
