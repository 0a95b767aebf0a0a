//! Scripts in an interpreter: Lua runs as a job, in slices of time.

use super::{Program, args, captured, printed, program};
use crate::support::{a_thread_each, workers};
use std::thread;
use std::time::Duration;
use wasm_jobs::{Error, JobPool, Slice, Step};

const SLICE: Slice = Slice::Time(Duration::from_millis(1));

fn lua(script: &str) -> Result<Program, Error> {
    let program = Program::start(&program("lua")?, args(["lua", "-e", script]))?;
    program.instance.set_slice(SLICE)?;
    Ok(program)
}

#[test]
fn a_script_computes_and_prints() -> Result<(), Error> {
    let mut lua = lua("
        local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
        local words = {}
        for word in ('the quick brown fox'):gmatch('%a+') do words[#words + 1] = word:upper() end
        table.sort(words)
        print(table.concat(words, ' '))
        print(fib(20), 1 / 3, 10 // 3, utf8.char(955), math.maxinteger)")?;
    workers(2).submit(lua.main.to_job()?).wait();
    assert_eq!(lua.main.try_get_result()?, Some(()));
    assert_eq!(
        lua.printed(),
        "BROWN FOX QUICK THE\n6765\t0.33333333333333\t3\tλ\t9223372036854775807\n"
    );
    Ok(())
}

#[test]
fn scripts_that_share_one_worker_take_turns() -> Result<(), Error> {
    let mut endless = lua("while true do end")?;
    let mut short = lua("print(_VERSION)")?;
    let worker = workers(1);
    let job = worker.submit(endless.main.to_job()?);
    worker.submit(short.main.to_job()?).wait();
    assert_eq!(short.main.try_get_result()?, Some(()));
    assert_eq!(short.printed(), "Lua 5.4\n");
    endless.main.cancel();
    job.wait();
    assert!(matches!(endless.main.try_get_result(), Err(Error::Cancelled)));
    Ok(())
}

#[test]
fn a_script_that_never_ends_is_cancelled() -> Result<(), Error> {
    let mut lua = lua("print('begun') while true do end")?;
    let job = a_thread_each.submit(lua.main.to_job()?);
    while lua.printed() != "begun\n" {
        thread::yield_now();
    }
    lua.main.cancel();
    job.wait();
    assert!(matches!(lua.main.try_get_result(), Err(Error::Cancelled)));
    assert!(lua.instance.is_poisoned(), "the script was stopped half-way");
    Ok(())
}

#[test]
fn a_script_that_never_ends_yields_in_each_step() -> Result<(), Error> {
    let mut lua = lua("local n = 0 while true do n = n + 1 end")?;
    for _ in 0..20 {
        assert_eq!(lua.main.resume()?, Step::Yielded);
    }
    Ok(())
}

#[test]
fn a_script_that_fails_exits_with_its_error() -> Result<(), Error> {
    for (script, error) in [
        ("error('no more')", "lua: (command line):1: no more\n"),
        ("print(", "lua: (command line):1: unexpected symbol near <eof>\n"),
        ("pcall(error, 'caught nowhere')", "lua: caught nowhere\n"),
    ] {
        let stderr = captured();
        let ctx = args(["lua", "-e", script]).stderr(stderr.clone());
        let failure = Program::start(&program("lua")?, ctx)?.main.wait().unwrap_err();
        assert!(matches!(failure, Error::Exit(1)), "{failure:?}");
        assert_eq!(printed(&stderr), error);
    }
    Ok(())
}
