//! Schedules of a test that is explored, beside those of shuttle. It is a package of its own, because the feature `explore` is not to be on
//! where all else is measured.
//!
//! `cargo run --release -p wasm-jobs-explore-bench` prints a line for each measure, with the fields that `wasm-jobs-benches` explains.

#[path = "../../src/rounds.rs"]
#[expect(dead_code, reason = "the other measures use the rest")]
mod rounds;

use crate::rounds::{Other, compare};
use std::sync::LazyLock;
use wasm_jobs::explore::{self, World};
use wasm_jobs::wasmtime::{InstancePre, Linker, Module};
use wasm_jobs::{EngineOptions, Error, Future, JobPool, engine, yield_now};

/// Schedules in a round.
const SCHEDULES: u64 = 2_000;

const ROUNDS: usize = 21;

/// Stops before each of its 19 calls of the host, so it has 20 steps.
const GUEST: &str = r#"(module
    (import "host" "tick" (func $tick))
    (func (export "run") (local $left i32)
        (local.set $left (i32.const 19))
        (loop $again
            (call $tick)
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $again (local.get $left)))))"#;

static LINKED: LazyLock<InstancePre<()>> = LazyLock::new(|| {
    let engine = engine(&EngineOptions::default()).expect("the options are supported");
    let wasm = wat::parse_str(GUEST).expect("the guest is well-formed");
    let module = Module::new(&engine, wasm).expect("the guest is valid");
    let mut linker = Linker::new(&engine);
    linker.func_wrap("host", "tick", || ()).expect("it is the only one");
    linker.instantiate_pre(&module).expect("its import is there")
});

/// Three guests of 20 steps.
fn guests(world: &World) -> Result<(), Error> {
    let mut calls = Vec::with_capacity(3);
    for _ in 0..3 {
        let mut call = world.instance(&*LINKED, || ())?.call::<(), ()>("run", ())?;
        world.pool().submit(call.to_job()?);
        calls.push(call);
    }
    world.run_all();
    calls.iter_mut().try_for_each(|call| call.try_get_result().map(drop))
}

/// Three native calls of 20 steps.
fn native(world: &World) -> Result<(), Error> {
    let mut calls = Vec::with_capacity(3);
    for _ in 0..3 {
        let mut call = Future::new(async {
            for _ in 0..19 {
                yield_now().await;
            }
            Ok(())
        });
        world.pool().submit(call.to_job()?);
        calls.push(call);
    }
    world.run_all();
    calls.iter_mut().try_for_each(|call| call.try_get_result().map(drop))
}

/// Three tasks of 20 yields.
fn tasks() {
    let tasks = [(); 3].map(|()| {
        shuttle::future::spawn(async {
            for _ in 0..20 {
                shuttle::future::yield_now().await;
            }
        })
    });
    for task in tasks {
        shuttle::future::block_on(task).expect("it does not panic");
    }
}

fn explored(test: impl Fn(&World) -> Result<(), Error>) {
    let report = explore::random(SCHEDULES).run(test);
    assert_eq!(report.steps, SCHEDULES * 60);
}

type Test = fn(&World) -> Result<(), Error>;

const ALL: [(&str, Test); 2] = [("explore", guests), ("explore_native", native)];

fn main() {
    for (name, test) in ALL {
        let ours = || explored(test);
        let theirs = || shuttle::check_random(tasks, SCHEDULES as usize);
        let finding = compare(Other::Peer("shuttle"), ROUNDS, SCHEDULES, ours, theirs);
        println!("measure={name} {finding}");
    }
}
