//! A program that others wrote, as a component: Lua's interpreter.

use super::args;
use super::components::{Started, by_hand, command, on};
use crate::support::{Way, workers};
use std::fs;
use std::time::Duration;
use wasm_jobs::wasi::{Command, FsPerms, MemoryOutputPipe};
use wasm_jobs::{Error, Future, JobPool, ManualClock, Slice, Step};

const SLICE: Slice = Slice::Time(Duration::from_millis(1));

/// A script, and what it prints.
const SCRIPTS: &[(&str, &str)] = &[
    (
        "local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
        print(fib(18), 1 / 3, 10 // 3, utf8.char(955), math.maxinteger)",
        "2584\t0.33333333333333\t3\tλ\t9223372036854775807\n",
    ),
    (
        "local words = {}
        for word in ('the quick brown fox'):gmatch('%a+') do words[#words + 1] = word:upper() end
        table.sort(words)
        print(table.concat(words, ' '))",
        "BROWN FOX QUICK THE\n",
    ),
    (
        "local parts = {}
        for n = 1, 2000 do parts[n] = ('%x'):format(n * n) end
        local text = table.concat(parts)
        print(#text, text:rep(20):find('3d0900', 1, true), select('#', text:byte(1, 100)))",
        "10641\t10636\t100\n",
    ),
];

fn lua(script: &str, slice: Slice) -> Result<(Future<()>, MemoryOutputPipe), Error> {
    let stdout = super::captured();
    let ctx = args(["lua", "-e", script]).seed(1).stdout(stdout.clone());
    let lua = Command::new(&command("lua")?, ctx.build()?)?;
    lua.set_slice(slice)?;
    Ok((lua.run()?, stdout))
}

#[test]
fn scripts_print_the_same_by_hand_and_on_many_workers() -> Result<(), Error> {
    let expected: Vec<_> =
        SCRIPTS.iter().map(|(_, prints)| ("Ok(Some(()))".into(), (*prints).into())).collect();
    for slice in [Slice::Unbounded, SLICE] {
        let scripts = || -> Result<Vec<_>, Error> {
            SCRIPTS.iter().map(|(script, _)| lua(script, slice)).collect()
        };
        let clock = ManualClock::new();
        assert_eq!(by_hand(&clock, scripts()?)?, expected);
        for count in [1, 2, 8] {
            assert_eq!(on(workers(count), &clock, scripts()?)?, expected, "{count} workers");
        }
    }
    Ok(())
}

#[test]
fn a_script_is_read_from_a_file() -> Result<(), Error> {
    let path = super::files::directory("a_script_is_read_by_a_component");
    fs::write(path.join("script.lua"), "print('from a file', ...)").unwrap();
    for &way in Way::ALL {
        let ctx = args(["lua", "/scripts/script.lua"]);
        let ctx = ctx.preopened_dir(&path, "/scripts", FsPerms::ReadOnly);
        let mut lua = Started::new("lua", ctx)?;
        way.finish(&mut lua.run)?;
        assert_eq!(super::printed(&lua.stdout), "from a file\n", "{way:?}");
    }
    Ok(())
}

#[test]
fn a_script_that_never_ends_yields_in_each_step_and_is_cancelled() -> Result<(), Error> {
    let (mut run, stdout) = lua("print('begun') while true do end", SLICE)?;
    while super::printed(&stdout) != "begun\n" {
        assert_eq!(run.resume()?, Step::Yielded);
    }
    let job = workers(1).submit(run.to_job()?);
    run.cancel();
    job.wait();
    assert!(matches!(run.try_get_result(), Err(Error::Cancelled)));
    Ok(())
}

#[test]
fn a_script_that_fails_exits_with_its_error() -> Result<(), Error> {
    for (script, error) in [
        ("error('no more')", "lua: (command line):1: no more\n"),
        ("print(", "lua: (command line):1: unexpected symbol near <eof>\n"),
    ] {
        let stderr = super::captured();
        let ctx = args(["lua", "-e", script]).stderr(stderr.clone());
        let failure = Started::new("lua", ctx)?.run.wait().unwrap_err();
        assert!(matches!(failure, Error::Exit(1)), "{failure:?}");
        assert_eq!(super::printed(&stderr), error);
    }
    Ok(())
}
