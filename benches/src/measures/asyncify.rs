//! Binaryen's asyncify, which makes guests that can be suspended on any engine, beside this library: the same guests, in the same run as the lines of [`freezable`](super::freezable).
//!
//! `benches/asyncify.sh` makes the guests. They may wait in the same imports as the freezable ones.

use super::freezable::{ALL, ANYWHERE, All, Asyncified, UNPREPARED, of_all};
use crate::layout::LAYOUTS;
use crate::rounds::{Finding, Other, geometric_mean, of_pairs};
use std::fmt;

const ASYNCIFY: Other = Other::Peer("asyncify");

/// A guest as asyncify has made it, or why there is none.
pub(super) fn form(guest: &str, anywhere: bool) -> Result<Vec<u8>, String> {
    let file = match guest {
        "bunzip2" => "bzip2",
        "tak" | "queens" | "sorts" | "multiplies" | "sieves" => "kernels",
        "counts" => "guest",
        guest => guest,
    };
    let folder = if anywhere { "anywhere" } else { "default" };
    let path = format!("{}/asyncified/{folder}/{file}.wasm", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).map_err(|error| format!("{path}, of asyncify.sh: {error}"))
}

impl fmt::Display for Asyncified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { times, code } = self;
        let pairs = |other: usize| times.iter().map(move |times| (times[0], times[other]));
        let (freezable, unprepared) = (pairs(1).collect::<Vec<_>>(), pairs(2).collect::<Vec<_>>());
        let [beside_freezable, beside_unprepared] =
            [("freezable", freezable), ("unprepared", unprepared)]
                .map(|(name, pairs)| of_pairs("ns", Other::Baseline(name), &pairs));
        write!(f, "asyncified: {beside_unprepared}; {beside_freezable} code={code:?}")
    }
}

/// The geometric means of all guests in each layout: of two of their times.
fn means(all: &All, other: Other, pair: fn([f64; 3]) -> (f64, f64)) -> Finding {
    of_asyncified(all, |found| {
        let mean = |layout: usize| {
            let of = |side: fn((f64, f64)) -> f64| {
                geometric_mean(found.iter().map(|guest| side(pair(guest.times[layout]))))
            };
            (of(|pair| pair.0), of(|pair| pair.1))
        };
        of_pairs("ns", other, &(0..LAYOUTS.len()).map(mean).collect::<Vec<_>>())
    })
}

fn of_asyncified(all: &All, finding: impl FnOnce(&[&Asyncified]) -> Finding) -> Finding {
    of_all(all, |all| {
        let found = all.iter().map(|found| found.asyncified.as_ref());
        match found.collect::<Result<Vec<_>, _>>() {
            Ok(found) => finding(&found),
            Err(why) => Finding::Skipped { why: why.clone() },
        }
    })
}

fn code_of(all: &All) -> Finding {
    of_asyncified(all, |found| {
        let pairs = found.iter().map(|guest| (guest.code.0 as f64, guest.code.1 as f64));
        of_pairs("bytes", UNPREPARED, &pairs.collect::<Vec<_>>())
    })
}

/// What asyncify costs a guest that is not suspended: it beside the guest as it is.
pub(crate) fn run() -> Finding {
    means(&ALL, UNPREPARED, |[asyncified, _, unprepared]| (asyncified, unprepared))
}

pub(crate) fn run_anywhere() -> Finding {
    means(&ANYWHERE, UNPREPARED, |[asyncified, _, unprepared]| (asyncified, unprepared))
}

/// A guest of this library beside one of asyncify.
pub(crate) fn beside() -> Finding {
    means(&ALL, ASYNCIFY, |[asyncified, freezable, _]| (freezable, asyncified))
}

pub(crate) fn beside_anywhere() -> Finding {
    means(&ANYWHERE, ASYNCIFY, |[asyncified, freezable, _]| (freezable, asyncified))
}

pub(crate) fn code() -> Finding {
    code_of(&ALL)
}

pub(crate) fn code_anywhere() -> Finding {
    code_of(&ANYWHERE)
}
