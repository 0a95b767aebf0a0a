//! Unmodified programs that are prepared for checkpoints do what they do unprepared; and do it again, after a rollback to their beginning.

use super::{args, linked, printed};
use std::fs;
use wasm_jobs::wasi::{MemoryInputPipe, MemoryOutputPipe, WasiCtxBuilder};
use wasm_jobs::{EngineOptions, Error, Instance, prepare};

/// Runs a program from its beginning to its end, three times in one instance and once in another. `output` is what it prints.
fn runs_again_and_again(
    program: &str,
    ctx: impl Fn() -> WasiCtxBuilder,
    output: &[u8],
) -> Result<(), Error> {
    let engine = wasm_jobs::engine(&EngineOptions::default().pooling(2))?;
    let pre = linked(&prepare(&engine, fs::read(program).unwrap())?)?;
    let all = MemoryOutputPipe::new(1 << 20);
    let instance = Instance::new(&pre, ctx().stdout(all.clone()).build()?)?;
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
    let plain = linked(&wasm_jobs::wasmtime::Module::new(&engine, plain)?)?;
    let stdout = MemoryOutputPipe::new(1 << 20);
    let instance = Instance::new(&plain, input().stdout(stdout.clone()).build()?)?;
    instance.call::<(), ()>("_start", ())?.wait()?;
    assert!(stdout.contents().starts_with(b"BZh1"));

    let engine = wasm_jobs::engine(&EngineOptions::default().pooling(1))?;
    let prepared = linked(&prepare(&engine, fs::read("guests/wasi/bzip2.wasm").unwrap())?)?;
    let again = MemoryOutputPipe::new(1 << 20);
    let instance = Instance::new(&prepared, input().stdout(again.clone()).build()?)?;
    instance.call::<(), ()>("_start", ())?.wait()?;
    assert!(again.contents() == stdout.contents());
    Ok(())
}
