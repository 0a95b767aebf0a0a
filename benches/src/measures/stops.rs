//! What it costs a guest that it can be stopped by a flag: a prepared guest on an engine with flags and without epochs, beside the same guest as
//! it is on an engine that checks nothing.
//!
//! A round's pair is that of one layout of the code: the median of each side's times in it. Of several programs, it is their geometric mean.

use super::compiled::{Compiled, engine, engine_with_flags};
use super::steps;
use super::work::{CALLS, LOOP, MEMORY, PICTURE, PROGRAMS, Runs, Work};
use crate::guests::GUEST;
use crate::layout::{LAYOUTS, in_layouts, timed};
use crate::rounds::{Finding, Other, geometric_mean, of_pairs};
use std::time::Duration;
use wasm_jobs::{InstanceOptions, Slice};

pub(crate) fn bare_loop() -> Finding {
    of_all(&[LOOP])
}

pub(crate) fn memory_loop() -> Finding {
    of_all(&[MEMORY])
}

pub(crate) fn fib() -> Finding {
    of_all(&[CALLS])
}

pub(crate) fn picture() -> Finding {
    of_all(&[PICTURE])
}

pub(crate) fn programs() -> Finding {
    of_all(&PROGRAMS)
}

/// Steps of a guest that yields, with a slice of time that it does not use up; the other side has none.
pub(crate) fn slice_in_a_step() -> Finding {
    let wasm = wat::parse_str(GUEST).expect("the guest is well-formed");
    let sliced = InstanceOptions::default().slice(Slice::Time(Duration::from_secs(1)));
    let yields = |guest: &Compiled, options| Box::new(steps::yields(guest, options)) as Runs;
    let ours = |guest: &Compiled| yields(guest, sliced.clone());
    let theirs = |guest: &Compiled| yields(guest, InstanceOptions::default());
    let per_step = |ns: f64| ns / f64::from(steps::YIELDS);
    let pairs = sides(&wasm, ours, theirs);
    let pairs: Vec<_> =
        pairs.into_iter().map(|(ours, theirs)| (per_step(ours), per_step(theirs))).collect();
    of_pairs("ns", Other::Baseline("unchecked"), &pairs)
}

fn of_all(works: &[Work]) -> Finding {
    let pairs =
        |work: &Work| -> Result<_, String> { Ok(sides(&(work.wasm)()?, work.runs, work.runs)) };
    let works: Vec<Vec<(f64, f64)>> = match works.iter().map(pairs).collect() {
        Ok(works) => works,
        Err(why) => return Finding::Skipped { why },
    };
    let mean = |layout: usize| {
        let of = |side: fn(&(f64, f64)) -> f64| {
            geometric_mean(works.iter().map(|pairs| side(&pairs[layout])))
        };
        (of(|pair| pair.0), of(|pair| pair.1))
    };
    let pairs: Vec<_> = (0..LAYOUTS.len()).map(mean).collect();
    of_pairs("ns", Other::Baseline("unchecked"), &pairs)
}

/// The medians of both sides in each layout, in nanoseconds.
fn sides(
    wasm: &[u8],
    ours: impl Fn(&Compiled) -> Runs,
    theirs: impl Fn(&Compiled) -> Runs,
) -> Vec<(f64, f64)> {
    let (flags, unchecked) = (engine_with_flags(), engine(false, false));
    in_layouts(
        wasm,
        |wasm| timed(ours(&Compiled::prepared(&flags, wasm))),
        |wasm| timed(theirs(&Compiled::as_it_is(&unchecked, wasm))),
    )
}
