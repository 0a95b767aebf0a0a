//! WASI programs. Here: how the tests make and run them.

mod bad_input;
mod clocks;
mod determinism;
mod exit;
mod files;
mod given;
mod output;
mod polling;
mod real_programs;
mod threads;

use crate::support::Way;
use std::sync::LazyLock;
use wasm_jobs::wasi::{self, MemoryOutputPipe, WasiCtx, WasiCtxBuilder};
use wasm_jobs::wasmtime::{Engine, InstancePre, Linker, Module};
use wasm_jobs::{EngineOptions, Error, Future, Instance};

static ENGINE: LazyLock<Engine> =
    LazyLock::new(|| wasm_jobs::engine(&EngineOptions::default()).expect("the default engine"));

fn linked(module: &Module) -> Result<InstancePre<WasiCtx>, Error> {
    let mut linker = Linker::new(module.engine());
    wasi::add_to_linker(&mut linker, |ctx| ctx)?;
    Ok(linker.instantiate_pre(module)?)
}

/// A guest in text form, with the names of what it imports in place of `$imports`.
fn text(wat: &str) -> Result<InstancePre<WasiCtx>, Error> {
    linked(&Module::new(&ENGINE, wat::parse_str(wat).expect("the text of a module"))?)
}

/// One of `guests/wasi`.
fn program(name: &str) -> Result<InstancePre<WasiCtx>, Error> {
    linked(&Module::from_file(&ENGINE, format!("guests/wasi/{name}.wasm"))?)
}

/// Room for all that a test's guest writes.
fn captured() -> MemoryOutputPipe {
    MemoryOutputPipe::new(1 << 20)
}

fn printed(pipe: &MemoryOutputPipe) -> String {
    String::from_utf8(pipe.contents().to_vec()).expect("what the guests of the tests print is text")
}

/// A program that was started, and what it prints.
struct Program {
    instance: Instance<WasiCtx>,
    main: Future<()>,
    stdout: MemoryOutputPipe,
}

impl Program {
    fn start(pre: &InstancePre<WasiCtx>, ctx: WasiCtxBuilder) -> Result<Self, Error> {
        let stdout = captured();
        let instance = Instance::new(pre, ctx.stdout(stdout.clone()).build()?)?;
        let main = instance.call("_start", ())?;
        Ok(Self { instance, main, stdout })
    }

    fn printed(&self) -> String {
        printed(&self.stdout)
    }
}

fn args<const N: usize>(args: [&str; N]) -> WasiCtxBuilder {
    WasiCtxBuilder::new().args(args)
}
