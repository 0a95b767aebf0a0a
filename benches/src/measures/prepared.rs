//! What it costs a guest to be prepared for checkpoints, if none is made: the geometric mean of a picture, SQLite's speed test and a script in
//! Lua's interpreter, beside the same guests unprepared.

use super::{checks, wasi};
use crate::rounds::{Finding, Other, in_turn, time};
use std::fs;
use std::path::Path;
use wasm_jobs::wasmtime::{Engine, Module};
use wasm_jobs::{Error, InstanceOptions, prepare};

/// Runs of each guest.
type Runs = Vec<Box<dyn FnMut()>>;

pub(crate) fn run() -> Finding {
    match (prepared(), unprepared()) {
        (Ok(mut ours), Ok(mut theirs)) => in_turn(
            "ms",
            Other::Baseline("unprepared"),
            15,
            || geometric_mean(&mut ours),
            || geometric_mean(&mut theirs),
        ),
        (Err(why), _) | (_, Err(why)) => Finding::Skipped { why },
    }
}

fn prepared() -> Result<Runs, String> {
    let engine = checks::engine(true, false);
    let programs: Runs =
        vec![Box::new(wasi::SQLITE.prepared(&engine)?), Box::new(wasi::LUA.prepared(&engine)?)];
    Ok(with_picture(programs, |engine, wasm| Ok(Module::clone(&prepare(engine, wasm)?))))
}

fn unprepared() -> Result<Runs, String> {
    let engine = checks::engine(true, false);
    let programs: Runs =
        vec![Box::new(wasi::SQLITE.on(&engine)?), Box::new(wasi::LUA.on(&engine)?)];
    Ok(with_picture(programs, |engine, wasm| Ok(Module::new(engine, wasm)?)))
}

fn with_picture(mut runs: Runs, compile: impl Fn(&Engine, &[u8]) -> Result<Module, Error>) -> Runs {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests/mandelbrot.wasm");
    let wasm = fs::read(path).expect("the guest is there");
    let module = compile(&checks::engine(true, false), &wasm).expect("the guest is valid");
    let guest = checks::guest(&module, InstanceOptions::default());
    runs.push(Box::new(move || {
        let tile = guest.call::<(f64, f64, f64), i32>("render", (-0.745, 0.132, 1e-6));
        tile.and_then(|mut tile| tile.wait()).expect("the guest draws");
    }));
    runs
}

/// In milliseconds.
fn geometric_mean(runs: &mut Runs) -> f64 {
    let logarithms = runs.iter_mut().map(|run| (time(run).as_secs_f64() * 1e3).ln());
    (logarithms.sum::<f64>() / 3.0).exp()
}
