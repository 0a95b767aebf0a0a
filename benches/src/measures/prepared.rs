//! What it costs a guest to be prepared for checkpoints, if none is made: the geometric mean of a picture, SQLite's speed test and a script in
//! Lua's interpreter, beside the same guests unprepared.

use super::compiled::{Compiled, engine};
use super::work::{LUA, PICTURE, Runs, SQLITE, Work};
use crate::rounds::{Finding, Other, geometric_mean, in_turn, time};
use wasm_jobs::wasmtime::Engine;

pub(crate) fn run() -> Finding {
    match (all(Compiled::prepared), all(Compiled::as_it_is)) {
        (Ok(mut ours), Ok(mut theirs)) => in_turn(
            "ms",
            Other::Baseline("unprepared"),
            15,
            || mean_of_millis(&mut ours),
            || mean_of_millis(&mut theirs),
        ),
        (Err(why), _) | (_, Err(why)) => Finding::Skipped { why },
    }
}

fn all(compiled: fn(&Engine, &[u8]) -> Compiled) -> Result<Vec<Runs>, String> {
    let engine = engine(true, false);
    let runs =
        |work: &Work| -> Result<_, String> { Ok((work.runs)(&compiled(&engine, &(work.wasm)()?))) };
    [SQLITE, LUA, PICTURE].iter().map(runs).collect()
}

fn mean_of_millis(runs: &mut [Runs]) -> f64 {
    geometric_mean(runs.iter_mut().map(|run| time(run).as_secs_f64() * 1e3))
}
