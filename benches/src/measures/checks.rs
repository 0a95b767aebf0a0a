//! What guests pay for what they can be stopped by: the checks of the epoch, and the counting of fuel, each beside an
//! engine that has neither. Two guests: a picture, which computes much between two checks, and a bare loop, which does
//! nothing else.

use crate::guests::BARE_LOOP;
use crate::rounds::{Finding, compare};
use std::fs;
use std::path::Path;
use wasm_jobs::wasmtime::{Engine, Linker, Module};
use wasm_jobs::{EngineOptions, Instance, add_yield};

pub(crate) fn epochs_in_a_picture() -> Finding {
    compare("unchecked", 9, 1, picture(&with_epochs()), picture(&with_neither()))
}

pub(crate) fn fuel_in_a_picture() -> Finding {
    compare("unchecked", 9, 1, picture(&with_fuel()), picture(&with_neither()))
}

pub(crate) fn epochs_in_a_loop() -> Finding {
    compare("unchecked", 9, 1, bare_loop(&with_epochs()), bare_loop(&with_neither()))
}

pub(crate) fn fuel_in_a_loop() -> Finding {
    compare("unchecked", 9, 1, bare_loop(&with_fuel()), bare_loop(&with_neither()))
}

fn with_epochs() -> Engine {
    engine(EngineOptions::default())
}

fn with_fuel() -> Engine {
    engine(EngineOptions::default().epoch_interruption(false).fuel(true))
}

fn with_neither() -> Engine {
    engine(EngineOptions::default().epoch_interruption(false))
}

fn engine(options: EngineOptions) -> Engine {
    wasm_jobs::engine(&options.pooling(1)).expect("the options go together")
}

fn guest(engine: &Engine, wasm: &[u8]) -> Instance<()> {
    let mut linker = Linker::new(engine);
    add_yield(&mut linker, "env", "yield").expect("the linker is new");
    linker.func_wrap("env", "row_done", || {}).expect("there is none of that name");
    let module = Module::new(engine, wasm).expect("the guest is valid");
    let pre = linker.instantiate_pre(&module).expect("the guest imports what is linked");
    Instance::new(&pre, ()).expect("the pool has room")
}

fn picture(engine: &Engine) -> impl FnMut() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests/mandelbrot.wasm");
    let guest = guest(engine, &fs::read(path).expect("the guest is there"));
    move || {
        let tile = guest.call::<(f64, f64, f64), i32>("render", (-0.745, 0.132, 1e-6));
        tile.and_then(|mut tile| tile.wait()).expect("the guest draws");
    }
}

fn bare_loop(engine: &Engine) -> impl FnMut() {
    const COUNT: i64 = 50_000_000;
    let wasm = wat::parse_str(BARE_LOOP).expect("the guest is well-formed");
    let guest = guest(engine, &wasm);
    move || {
        let count = guest.call::<i64, i64>("counts", COUNT);
        let count = count.and_then(|mut count| count.wait()).expect("the guest returns");
        assert_eq!(count, COUNT);
    }
}
