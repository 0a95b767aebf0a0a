//! What it costs a guest in compiled code that it can be stopped: the checks of the epoch, the counting of fuel, and both, each beside an
//! engine that has neither.
//!
//! The guests: a picture, which computes much between two checks; a bare loop, which does little else than check; a function that calls
//! itself; and two programs of others, SQLite and Lua.

use super::compiled::{Compiled, engine};
use super::work::{CALLS, LOOP, LUA, PICTURE, SQLITE, Work};
use crate::rounds::{Finding, Other, compare};

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
    beside_unchecked(&PICTURE, EPOCHS)
}

pub(crate) fn fuel_in_a_picture() -> Finding {
    beside_unchecked(&PICTURE, FUEL)
}

pub(crate) fn both_in_a_picture() -> Finding {
    beside_unchecked(&PICTURE, BOTH)
}

pub(crate) fn epochs_in_a_loop() -> Finding {
    beside_unchecked(&LOOP, EPOCHS)
}

pub(crate) fn fuel_in_a_loop() -> Finding {
    beside_unchecked(&LOOP, FUEL)
}

pub(crate) fn both_in_a_loop() -> Finding {
    beside_unchecked(&LOOP, BOTH)
}

pub(crate) fn epochs_in_fib() -> Finding {
    beside_unchecked(&CALLS, EPOCHS)
}

pub(crate) fn fuel_in_fib() -> Finding {
    beside_unchecked(&CALLS, FUEL)
}

pub(crate) fn both_in_fib() -> Finding {
    beside_unchecked(&CALLS, BOTH)
}

pub(crate) fn epochs_in_sqlite() -> Finding {
    beside_unchecked(&SQLITE, EPOCHS)
}

pub(crate) fn fuel_in_sqlite() -> Finding {
    beside_unchecked(&SQLITE, FUEL)
}

pub(crate) fn both_in_sqlite() -> Finding {
    beside_unchecked(&SQLITE, BOTH)
}

pub(crate) fn epochs_in_lua() -> Finding {
    beside_unchecked(&LUA, EPOCHS)
}

pub(crate) fn fuel_in_lua() -> Finding {
    beside_unchecked(&LUA, FUEL)
}

pub(crate) fn both_in_lua() -> Finding {
    beside_unchecked(&LUA, BOTH)
}

fn beside_unchecked(work: &Work, checks: Checks) -> Finding {
    let wasm = match (work.wasm)() {
        Ok(wasm) => wasm,
        Err(why) => return Finding::Skipped { why },
    };
    let on =
        |Checks { epochs, fuel }| (work.runs)(&Compiled::as_it_is(&engine(epochs, fuel), &wasm));
    compare(Other::Baseline("unchecked"), 15, 1, on(checks), on(UNCHECKED))
}
