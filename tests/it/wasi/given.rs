//! Arguments, environment, input and random numbers of a guest.

use super::{Program, functions, program};
use wasm_jobs::wasi::{self, MemoryInputPipe, WasiCtx, WasiCtxBuilder};
use wasm_jobs::wasmtime::{Caller, Linker, Module};
use wasm_jobs::{Error, Instance};

#[test]
fn arguments_environment_and_input() -> Result<(), Error> {
    let ctx = WasiCtxBuilder::new()
        .arg("given")
        .args(["one", "zwei \u{fc}"])
        .env("NAME", "value")
        .envs([("EMPTY", ""), ("OTHER", "a=b")])
        .stdin(MemoryInputPipe::new("first line\nsecond line\n"));
    let mut program = Program::start(&program("given")?, ctx)?;
    program.main.wait()?;
    let expected = "argument given\nargument one\nargument zwei \u{fc}\n\
                    variable NAME=value\nvariable EMPTY=\nvariable OTHER=a=b\n\
                    input first line\ninput second line\n";
    assert_eq!(program.printed(), expected);
    Ok(())
}

#[test]
fn a_guest_is_given_nothing_by_default() -> Result<(), Error> {
    let mut program = Program::start(&program("given")?, WasiCtxBuilder::new())?;
    program.main.wait()?;
    assert_eq!(program.printed(), "");
    Ok(())
}

fn random(ctx: WasiCtxBuilder) -> Result<Vec<u8>, Error> {
    let guest = functions(ctx)?;
    assert_eq!(guest.call::<_, i32>("random_get", (0, 64))?.wait()?, 0);
    let mut store = guest.store()?;
    Ok(store.memory("memory")?.data(&store)[..64].to_vec())
}

#[test]
fn random_numbers_follow_from_the_seed() -> Result<(), Error> {
    let seeded = |seed| random(WasiCtxBuilder::new().seed(seed));
    assert_eq!(seeded(1)?, seeded(1)?);
    assert_ne!(seeded(1)?, seeded(2)?);
    // A seed always gives the same numbers, so that a replay works.
    assert_eq!(seeded(42)?[..8], EIGHT_BYTES_OF_42);
    Ok(())
}

const EIGHT_BYTES_OF_42: [u8; 8] = [162, 99, 125, 19, 209, 113, 178, 120];

#[test]
fn random_numbers_come_from_the_system() -> Result<(), Error> {
    assert_ne!(random(WasiCtxBuilder::new())?, random(WasiCtxBuilder::new())?);
    Ok(())
}

#[test]
fn a_context_is_a_part_of_the_state() -> Result<(), Error> {
    struct State {
        ctx: WasiCtx,
        score: u32,
    }

    let mut linker = Linker::<State>::new(&super::ENGINE);
    wasi::add_to_linker(&mut linker, |state| &mut state.ctx)?;
    linker.func_wrap("env", "score", |mut state: Caller<'_, State>| state.data_mut().score += 1)?;
    let text = r#"(module
        (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
        (import "env" "score" (func $score))
        (memory (export "memory") 1)
        (func (export "_start") (drop (call $yield)) (call $score)))"#;
    let module = Module::new(&super::ENGINE, wat::parse_str(text).unwrap())?;
    let state = State { ctx: WasiCtxBuilder::new().build()?, score: 6 };
    let guest = Instance::new(&linker.instantiate_pre(&module)?, state)?;
    guest.call::<(), ()>("_start", ())?.wait()?;
    assert_eq!(guest.store()?.data().score, 7);
    Ok(())
}
