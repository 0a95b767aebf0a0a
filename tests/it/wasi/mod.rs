//! WASI programs, and how the tests make and run them.

mod bad_input;
mod clocks;
#[cfg(all(target_os = "linux", feature = "rayon"))]
mod component_threads;
mod components;
mod components_of_others;
mod determinism;
mod exit;
mod files;
#[cfg(feature = "freeze")]
mod freezing;
#[cfg(feature = "freeze")]
mod frozen_programs;
mod given;
mod lua;
mod output;
mod pollables;
mod polling;
#[cfg(feature = "checkpoint")]
mod prepared;
#[cfg(feature = "wasi-p3-preview")]
mod preview3;
#[cfg(feature = "rayon")]
mod real_programs;
#[cfg(feature = "checkpoint")]
mod saved;
mod seeds;
#[cfg(feature = "freeze")]
mod suspending;
mod threads;

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;
use wasm_jobs::wasi::{self, MemoryOutputPipe, WasiCtx, WasiCtxBuilder};
use wasm_jobs::wasmtime::component::{self, Component};
use wasm_jobs::wasmtime::{Engine, InstancePre, Linker, Module};
use wasm_jobs::{EngineOptions, Error, Future, Instance};

static ENGINE: LazyLock<Engine> =
    LazyLock::new(|| wasm_jobs::engine(&EngineOptions::default()).expect("the default options"));

fn linked(module: &Module) -> Result<InstancePre<WasiCtx>, Error> {
    Ok(linker(module.engine())?.instantiate_pre(module)?)
}

fn linker(engine: &Engine) -> Result<Linker<WasiCtx>, Error> {
    let mut linker = Linker::new(engine);
    wasi::add_to_linker(&mut linker, |ctx| ctx)?;
    Ok(linker)
}

fn text(wat: &str) -> Result<InstancePre<WasiCtx>, Error> {
    linked(&Module::new(&ENGINE, wat::parse_str(wat).expect("the text of a module"))?)
}

/// A component of WASI 0.2.
fn component_text(wat: &str) -> Result<component::InstancePre<WasiCtx>, Error> {
    let component = Component::new(&ENGINE, wat::parse_str(wat).expect("the text of a component"))?;
    let mut linker = component::Linker::new(&ENGINE);
    wasi::add_to_component_linker(&mut linker)?;
    Ok(linker.instantiate_pre(&component)?)
}

/// A guest whose exports are functions of WASI.
const FUNCTIONS: &str = r#"(module
    (import "wasi_snapshot_preview1" "poll_oneoff"
        (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_time_get"
        (func $clock_time_get (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_res_get"
        (func $clock_res_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "sched_yield" (func $sched_yield (result i32)))
    (import "wasi_snapshot_preview1" "random_get"
        (func $random_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write"
        (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
        (func $path_open
            (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
    (memory (export "memory") 1)
    (func (export "poll_oneoff") (param i32 i32 i32 i32) (result i32)
        (call $poll_oneoff (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
    (func (export "clock_time_get") (param i32 i64 i32) (result i32)
        (call $clock_time_get (local.get 0) (local.get 1) (local.get 2)))
    (func (export "clock_res_get") (param i32 i32) (result i32)
        (call $clock_res_get (local.get 0) (local.get 1)))
    (func (export "sched_yield") (result i32) (call $sched_yield))
    (func (export "random_get") (param i32 i32) (result i32)
        (call $random_get (local.get 0) (local.get 1)))
    (func (export "fd_write") (param i32 i32 i32 i32) (result i32)
        (call $fd_write (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
    (func (export "fd_close") (param i32) (result i32) (call $fd_close (local.get 0)))
    (func (export "path_open") (param $flags i32) (param $rights i64) (result i32)
        ;; The path is at address 1032, and its length in the byte before it. The descriptor goes to address 1024.
        (call $path_open
            (i32.const 3) (i32.const 0) (i32.const 1032) (i32.load8_u (i32.const 1031))
            (local.get $flags) (local.get $rights) (i64.const 0) (i32.const 0)
            (i32.const 1024)))
    (func (export "proc_exit") (param i32) (call $proc_exit (local.get 0)))
    (func (export "number_or_exit") (param i32) (result i32)
        (call $proc_exit (local.get 0)) (i32.const 7)))"#;

fn functions(ctx: WasiCtxBuilder) -> Result<Instance<WasiCtx>, Error> {
    static PRE: LazyLock<InstancePre<WasiCtx>> =
        LazyLock::new(|| text(FUNCTIONS).expect("WASI defines all imports"));
    Instance::new(&PRE, ctx.build()?)
}

// Error numbers, from <https://github.com/WebAssembly/WASI/blob/main/legacy/preview1/docs.md#errno>.
const SUCCESS: i32 = 0;
const BADF: i32 = 8;
const FAULT: i32 = 21;
const INVAL: i32 = 28;
const IO: i32 = 29;
const NOMEM: i32 = 48;
const OVERFLOW: i32 = 61;

// Clock numbers.
const REALTIME: u32 = 0;
const MONOTONIC: u32 = 1;

/// The guest's monotonic time when its clock's time is zero.
const MONOTONIC_START: Duration = Duration::from_secs(1);

/// A program from `guests/wasi`. Each is compiled once.
fn program(name: &'static str) -> Result<InstancePre<WasiCtx>, Error> {
    static PROGRAMS: Mutex<BTreeMap<&str, InstancePre<WasiCtx>>> = Mutex::new(BTreeMap::new());
    let mut programs = PROGRAMS.lock().unwrap();
    if let Some(program) = programs.get(name) {
        return Ok(program.clone());
    }
    let program = linked(&Module::from_file(&ENGINE, format!("guests/wasi/{name}.wasm"))?)?;
    programs.insert(name, program.clone());
    Ok(program)
}

/// A pipe with room for all output of a guest.
fn captured() -> MemoryOutputPipe {
    MemoryOutputPipe::new(1 << 20)
}

fn printed(pipe: &MemoryOutputPipe) -> String {
    String::from_utf8(pipe.contents().to_vec()).expect("the guests of the tests print text")
}

/// A started program, and its output.
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
