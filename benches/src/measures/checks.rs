//! What it costs a guest in compiled code that it can be stopped: the checks of the epoch, the counting of fuel, and both, each beside an
//! engine that has neither.
//!
//! The guests: a picture, which computes much between two checks; a bare loop, which does little else than check; a function that calls
//! itself; and two programs of others, SQLite and Lua.

use super::wasi;
use crate::guests::{BARE_LOOP, FIB};
use crate::rounds::{Finding, Other, compare};
use std::fs;
use std::path::Path;
use wasm_jobs::wasmtime::{Engine, Linker, Module};
use wasm_jobs::{EngineOptions, Instance, InstanceOptions, add_yield};

/// What an engine checks.
#[derive(Clone, Copy)]
struct Checks {
    epochs: bool,
    fuel: bool,
}

const UNCHECKED: Checks = Checks { epochs: false, fuel: false };
const EPOCHS: Checks = Checks { epochs: true, fuel: false };
const FUEL: Checks = Checks { epochs: false, fuel: true };
const BOTH: Checks = Checks { epochs: true, fuel: true };

pub(crate) fn epochs_in_a_picture() -> Finding {
    beside_unchecked(picture, EPOCHS)
}

pub(crate) fn fuel_in_a_picture() -> Finding {
    beside_unchecked(picture, FUEL)
}

pub(crate) fn both_in_a_picture() -> Finding {
    beside_unchecked(picture, BOTH)
}

pub(crate) fn epochs_in_a_loop() -> Finding {
    beside_unchecked(bare_loop, EPOCHS)
}

pub(crate) fn fuel_in_a_loop() -> Finding {
    beside_unchecked(bare_loop, FUEL)
}

pub(crate) fn both_in_a_loop() -> Finding {
    beside_unchecked(bare_loop, BOTH)
}

pub(crate) fn epochs_in_fib() -> Finding {
    beside_unchecked(fib, EPOCHS)
}

pub(crate) fn fuel_in_fib() -> Finding {
    beside_unchecked(fib, FUEL)
}

pub(crate) fn both_in_fib() -> Finding {
    beside_unchecked(fib, BOTH)
}

pub(crate) fn epochs_in_sqlite() -> Finding {
    beside_unchecked(sqlite, EPOCHS)
}

pub(crate) fn fuel_in_sqlite() -> Finding {
    beside_unchecked(sqlite, FUEL)
}

pub(crate) fn both_in_sqlite() -> Finding {
    beside_unchecked(sqlite, BOTH)
}

pub(crate) fn epochs_in_lua() -> Finding {
    beside_unchecked(lua, EPOCHS)
}

pub(crate) fn fuel_in_lua() -> Finding {
    beside_unchecked(lua, FUEL)
}

pub(crate) fn both_in_lua() -> Finding {
    beside_unchecked(lua, BOTH)
}

/// A guest that runs once, or why there is none.
type Run = Result<Box<dyn FnMut()>, String>;

fn beside_unchecked(run: fn(&Engine) -> Run, checks: Checks) -> Finding {
    let on = |Checks { epochs, fuel }| run(&engine(epochs, fuel));
    match (on(checks), on(UNCHECKED)) {
        (Ok(ours), Ok(theirs)) => compare(Other::Baseline("unchecked"), 15, 1, ours, theirs),
        (Err(why), _) | (_, Err(why)) => Finding::Skipped { why },
    }
}

pub(super) fn engine(epochs: bool, fuel: bool) -> Engine {
    let options = EngineOptions::default().pooling(1).epoch_interruption(epochs).fuel(fuel);
    wasm_jobs::engine(&options).expect("the options go together")
}

pub(super) fn module(engine: &Engine, wasm: &[u8]) -> Module {
    Module::new(engine, wasm).expect("the guest is valid")
}

pub(super) fn guest(module: &Module, options: InstanceOptions) -> Instance<()> {
    let mut linker = Linker::new(module.engine());
    add_yield(&mut linker, "env", "yield").expect("the linker is new");
    linker.func_wrap("env", "row_done", || {}).expect("there is none of that name");
    let pre = linker.instantiate_pre(module).expect("the guest imports what is linked");
    Instance::with_options(&pre, options, || ()).expect("the pool has room")
}

fn picture(engine: &Engine) -> Run {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests/mandelbrot.wasm");
    let wasm = fs::read(path).expect("the guest is there");
    let guest = guest(&module(engine, &wasm), InstanceOptions::default());
    Ok(Box::new(move || {
        let tile = guest.call::<(f64, f64, f64), i32>("render", (-0.745, 0.132, 1e-6));
        tile.and_then(|mut tile| tile.wait()).expect("the guest draws");
    }))
}

fn bare_loop(engine: &Engine) -> Run {
    const COUNT: i64 = 50_000_000;
    let wasm = wat::parse_str(BARE_LOOP).expect("the guest is well-formed");
    let guest = guest(&module(engine, &wasm), InstanceOptions::default());
    Ok(Box::new(move || {
        let count = guest.call::<i64, i64>("counts", COUNT);
        let count = count.and_then(|mut count| count.wait()).expect("the guest returns");
        assert_eq!(count, COUNT);
    }))
}

fn fib(engine: &Engine) -> Run {
    let wasm = wat::parse_str(FIB).expect("the guest is well-formed");
    let guest = guest(&module(engine, &wasm), InstanceOptions::default());
    Ok(Box::new(move || {
        let number = guest.call::<i32, i32>("fib", 30);
        let number = number.and_then(|mut number| number.wait()).expect("the guest returns");
        assert_eq!(number, 832_040);
    }))
}

fn sqlite(engine: &Engine) -> Run {
    Ok(Box::new(wasi::SQLITE.on(engine)?))
}

fn lua(engine: &Engine) -> Run {
    Ok(Box::new(wasi::LUA.on(engine)?))
}
