//! What it costs a guest that its calls can be frozen, if none is: a guest prepared for that, beside the same guest as it is. The engine checks nothing.
//!
//! A round's pair is that of one layout of the code: the median of each side's times in it. Of several guests, it is their geometric mean. Of the sizes of code, a pair
//! is that of a guest.

use super::asyncify;
use super::compiled::{Compiled, engine, freezable};
use super::steps;
use super::work::{MANY, TURNS, Work};
use crate::guests::{GUEST, INTERPRETER};
use crate::layout::{Form, LAYOUTS, Timed, in_layouts, sides_in_layouts, timed};
use crate::rounds::{Finding, Other, geometric_mean, median, of_pairs};
use std::sync::{LazyLock, OnceLock};
use std::time::Instant;
use wasm_jobs::transform::{Options, transform_with};
use wasm_jobs::wasmtime::{Engine, Linker};
use wasm_jobs::{EngineOptions, Future, Instance, InstanceOptions, PreparedPre, Step, add_yield};

pub(super) const UNPREPARED: Other = Other::Baseline("unprepared");

/// What was found of a guest.
pub(super) struct Found {
    guest: &'static str,
    /// The times in each layout.
    times: Vec<(f64, f64)>,
    /// The bytes of machine code: as it is, freezable, and with twins.
    code: [usize; 3],
    /// What was found of its other form, or why there is none.
    pub(super) asyncified: Result<Asyncified, String>,
}

/// What was found of the form of a guest that Binaryen's asyncify makes, in the same run.
pub(super) struct Asyncified {
    /// The times in each layout, and those of the same guest: freezable, and as it is.
    pub(super) times: Vec<[f64; 3]>,
    /// The bytes of machine code, and those of the guest as it is.
    pub(super) code: (usize, usize),
}

impl Found {
    fn of((guest, work): &(&'static str, Work), anywhere: bool) -> Result<Self, String> {
        let freezable = if anywhere { Compiled::freezable_anywhere } else { Compiled::freezable };
        let (engine, wasm) = (engine(false, false), (work.wasm)()?);
        let runs = |compiled: &Compiled| timed((work.runs)(compiled));
        let unprepared = |wasm: &[u8]| runs(&Compiled::as_it_is(&engine, wasm));
        let freezable_runs = |wasm: &[u8]| runs(&freezable(&engine, wasm));
        let asyncified = asyncify::form(guest, anywhere);
        let mut forms: Vec<Form<'_>> = vec![(&wasm, &freezable_runs), (&wasm, &unprepared)];
        if let Ok(asyncified) = &asyncified {
            forms.push((asyncified, &unprepared));
        }
        let found = sides_in_layouts(&forms);
        let times = found.iter().map(|times| (times[0], times[1])).collect();
        // A place in the pool has one table, and the twins need another.
        let options = EngineOptions::default().on_demand().epoch_interruption(false);
        let engine = wasm_jobs::engine(&options).expect("the options go together");
        let compiled = [
            Compiled::as_it_is(&engine, &wasm),
            freezable(&engine, &wasm),
            Compiled::as_it_is(&engine, &with_twins(&wasm, anywhere)),
        ];
        let code = compiled.map(|compiled| compiled.code());
        let asyncified = asyncified.map(|wasm| Asyncified {
            times: found.iter().map(|times| [times[2], times[0], times[1]]).collect(),
            code: (Compiled::as_it_is(&engine, &wasm).code(), code[0]),
        });
        let found = Self { guest, times, code, asyncified };
        eprintln!("# {guest} anywhere={anywhere}: {} code={:?}", found.of_times(), found.code);
        match &found.asyncified {
            Ok(asyncified) => eprintln!("#   {asyncified}"),
            Err(why) => eprintln!("#   {why}"),
        }
        Ok(found)
    }

    fn of_times(&self) -> Finding {
        of_pairs("ns", UNPREPARED, &self.times)
    }

    /// The median of the layouts' ratios.
    fn ratio(&self) -> f64 {
        median(self.times.iter().map(|(ours, theirs)| ours / theirs))
    }
}

/// The module in which frozen calls go on, as the library makes it.
fn with_twins(wasm: &[u8], anywhere: bool) -> Vec<u8> {
    let waits_in = move |module: &str, name: &str| {
        anywhere
            || module != "wasi_snapshot_preview1"
            || matches!(name, "poll_oneoff" | "sched_yield")
    };
    let options = Options::default().saves_calls(true).twins(true).waits_in(waits_in);
    transform_with(wasm, &options).expect("the guest can be transformed").wasm
}

/// All guests, measured once for several lines.
pub(super) static ALL: LazyLock<Result<Vec<Found>, String>> =
    LazyLock::new(|| MANY.iter().map(|guest| Found::of(guest, false)).collect());

/// The programs of WASI, which may wait in all of its functions.
pub(super) static ANYWHERE: LazyLock<Result<Vec<Found>, String>> =
    LazyLock::new(|| MANY[..7].iter().map(|guest| Found::of(guest, true)).collect());

pub(super) type All = Result<Vec<Found>, String>;

pub(super) fn of_all(all: &All, finding: impl FnOnce(&[Found]) -> Finding) -> Finding {
    match all {
        Ok(all) => finding(all),
        Err(why) => Finding::Skipped { why: why.clone() },
    }
}

/// The geometric mean of all guests.
pub(crate) fn run() -> Finding {
    mean(&ALL)
}

pub(crate) fn run_anywhere() -> Finding {
    mean(&ANYWHERE)
}

fn mean(all: &Result<Vec<Found>, String>) -> Finding {
    of_all(all, |all| {
        let mean = |layout: usize| {
            let of = |side: fn(&(f64, f64)) -> f64| {
                geometric_mean(all.iter().map(|found| side(&found.times[layout])))
            };
            (of(|pair| pair.0), of(|pair| pair.1))
        };
        of_pairs("ns", UNPREPARED, &(0..LAYOUTS.len()).map(mean).collect::<Vec<_>>())
    })
}

/// The guest that it costs most.
pub(crate) fn worst() -> Finding {
    worst_of(&ALL)
}

pub(crate) fn worst_anywhere() -> Finding {
    worst_of(&ANYWHERE)
}

fn worst_of(all: &Result<Vec<Found>, String>) -> Finding {
    of_all(all, |all| {
        let worst = all.iter().max_by(|one, other| one.ratio().total_cmp(&other.ratio()));
        let worst = worst.expect("there are guests");
        Finding::Of { guest: worst.guest, finding: Box::new(worst.of_times()) }
    })
}

pub(crate) fn code() -> Finding {
    of_code(&ALL, |[unprepared, freezable, _]| (freezable, unprepared))
}

pub(crate) fn code_anywhere() -> Finding {
    of_code(&ANYWHERE, |[unprepared, freezable, _]| (freezable, unprepared))
}

pub(crate) fn twins_code() -> Finding {
    of_code(&ALL, |[unprepared, _, twins]| (twins, unprepared))
}

pub(crate) fn twins_code_anywhere() -> Finding {
    of_code(&ANYWHERE, |[unprepared, _, twins]| (twins, unprepared))
}

fn of_code(all: &Result<Vec<Found>, String>, pair: fn([usize; 3]) -> (usize, usize)) -> Finding {
    of_all(all, |all| {
        let pairs = all.iter().map(|found| pair(found.code));
        let pairs = pairs.map(|(ours, theirs)| (ours as f64, theirs as f64));
        of_pairs("bytes", UNPREPARED, &pairs.collect::<Vec<_>>())
    })
}

/// Steps of a guest that yields.
pub(crate) fn resume() -> Finding {
    let wasm = wat::parse_str(GUEST).expect("the guest is well-formed");
    let engine = engine(false, false);
    let yields = |guest: &Compiled| -> Timed {
        let mut yields = timed(steps::yields(guest, InstanceOptions::default()));
        Box::new(move || yields() / f64::from(steps::YIELDS))
    };
    let pairs = in_layouts(
        &wasm,
        |wasm| yields(&Compiled::freezable(&engine, wasm)),
        |wasm| yields(&Compiled::as_it_is(&engine, wasm)),
    );
    of_pairs("ns", UNPREPARED, &pairs)
}

/// The main loop of an interpreter, in the call of it that was frozen and thawed before. Only what comes then is timed.
pub(crate) fn twin_loop() -> Finding {
    let wasm = wat::parse_str(INTERPRETER).expect("the guest is well-formed");
    let engine = engine(false, false);
    let theirs = |wasm: &[u8]| -> Timed {
        let guest = Compiled::as_it_is(&engine, wasm).instance(InstanceOptions::default());
        Box::new(move || {
            let mut call = guest.call::<i64, i64>("interprets", TURNS).expect("it is free");
            yields(&mut call);
            rest(call)
        })
    };
    let pairs = in_layouts(&wasm, |wasm| thawed(&engine, wasm), theirs);
    of_pairs("ns", UNPREPARED, &pairs)
}

fn thawed(engine: &Engine, wasm: &[u8]) -> Timed {
    let mut linker = Linker::new(engine);
    add_yield(&mut linker, "env", "yield").expect("the linker is new");
    let pre: PreparedPre<()> =
        freezable(engine, wasm).instantiate_pre(&linker).expect("the guest imports what is linked");
    Box::new(move || {
        let guest = Instance::new(&pre, ()).expect("the pool has room");
        let mut call = guest.call::<i64, i64>("interprets", TURNS).expect("it is free");
        yields(&mut call);
        let frozen = call.freeze().expect("it has yielded");
        let mut call = frozen.thaw(&pre, InstanceOptions::default(), ()).expect("it is ours");
        // It yields anew.
        yields(&mut call);
        rest(call)
    })
}

fn yields(call: &mut Future<i64>) {
    assert_eq!(call.resume().expect("the call is ours"), Step::Yielded);
}

/// What the program ends with, on both sides.
static ENDS_WITH: OnceLock<i64> = OnceLock::new();

/// The nanoseconds of the rest of a call.
fn rest(mut call: Future<i64>) -> f64 {
    let start = Instant::now();
    let given = call.wait().expect("the guest returns");
    let time = start.elapsed();
    assert_eq!(given, *ENDS_WITH.get_or_init(|| given));
    time.as_nanos() as f64
}
