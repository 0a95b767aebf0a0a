//! Unmodified programs that are prepared for checkpoints do what they do unprepared; and do it again, after a rollback to their beginning.

use super::{args, linked, linker, printed};
use std::fs;
use wasm_jobs::wasi::{MemoryInputPipe, MemoryOutputPipe, WasiCtx, WasiCtxBuilder};
use wasm_jobs::wasmtime::{Engine, Module};
use wasm_jobs::{EngineOptions, Error, Instance, PreparedPre, Stops, prepare};

/// Engines whose prepared guests look at the epoch, and at flags.
fn engines() -> Result<[(Engine, Stops); 2], Error> {
    let options = EngineOptions::default().pooling(2);
    let with_flags = options.clone().stop_flags(true).epoch_interruption(false);
    Ok([
        (wasm_jobs::engine(&options)?, Stops::AtEpochs),
        (wasm_jobs::engine(&with_flags)?, Stops::AtFlags),
    ])
}

fn prepared(engine: &Engine, program: &str) -> Result<PreparedPre<WasiCtx>, Error> {
    prepare(engine, fs::read(program).unwrap())?.instantiate_pre(&linker(engine)?)
}

/// Runs a program from its beginning to its end, three times in one instance and once in another. `output` is what it prints.
fn runs_again_and_again(
    program: &str,
    ctx: impl Fn() -> WasiCtxBuilder,
    output: &[u8],
) -> Result<(), Error> {
    for (engine, stops) in engines()? {
        let pre = prepared(&engine, program)?;
        let all = MemoryOutputPipe::new(1 << 20);
        let instance = Instance::new(&pre, ctx().stdout(all.clone()).build()?)?;
        assert_eq!(instance.stops(), stops);
        let begin = instance.checkpoint()?;
        let run = |instance: &Instance<_>| instance.call::<(), ()>("_start", ())?.wait();
        for times in 1..=3 {
            run(&instance)?;
            let end = instance.checkpoint()?;
            assert_ne!(end.hash(), begin.hash(), "the program has changed its memory");
            assert!(*all.contents() == *output.repeat(times), "{program}: {}", printed(&all));
            instance.rollback(&begin)?;
            assert_eq!(instance.checkpoint()?.hash(), begin.hash());
        }
        let again = MemoryOutputPipe::new(1 << 20);
        let twin = begin.instantiate(&pre, ctx().stdout(again.clone()).build()?)?;
        run(&twin)?;
        assert!(*again.contents() == *output, "{program}: {}", printed(&again));
    }
    Ok(())
}

#[test]
fn an_interpreter() -> Result<(), Error> {
    let script = "
        local t = {} for i = 1, 500 do t[i] = tostring(i * 7919 % 20011) end
        table.sort(t)
        print(#table.concat(t, ' '), t[1], t[500])";
    let output = b"2725\t10035\t9996\n";
    runs_again_and_again("guests/wasi/lua.wasm", || args(["lua", "-e", script]), output)
}

#[test]
fn a_program_that_compresses() -> Result<(), Error> {
    let text = b"what is compressed here, and here, and here".repeat(50);
    let input = || args(["bzip2", "-1", "-c"]).stdin(MemoryInputPipe::new(text.clone()));
    // What it prints unprepared.
    let engine = wasm_jobs::engine(&EngineOptions::default().pooling(1))?;
    let plain = fs::read("guests/wasi/bzip2.wasm").unwrap();
    let plain = linked(&Module::new(&engine, plain)?)?;
    let stdout = MemoryOutputPipe::new(1 << 20);
    let instance = Instance::new(&plain, input().stdout(stdout.clone()).build()?)?;
    instance.call::<(), ()>("_start", ())?.wait()?;
    assert!(stdout.contents().starts_with(b"BZh1"));

    for (engine, _) in engines()? {
        let prepared = prepared(&engine, "guests/wasi/bzip2.wasm")?;
        let again = MemoryOutputPipe::new(1 << 20);
        let instance = Instance::new(&prepared, input().stdout(again.clone()).build()?)?;
        instance.call::<(), ()>("_start", ())?.wait()?;
        assert!(again.contents() == stdout.contents());
    }
    Ok(())
}
