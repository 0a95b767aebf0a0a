//! Lockstep: all guests take their next step, and none takes another one before all have taken it. rayon's own `par_iter_mut` does that
//! with runners.

use super::{ENGINE, compile};
use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use wasm_jobs::wasmtime::Linker;
use wasm_jobs::{Error, Future, FutureRunner, Instance, Step, add_yield};

/// Reports to the host and yields, `rounds` times.
const GUEST: &str = r#"(module
    (import "env" "yield" (func $yield))
    (import "env" "report" (func $report))
    (func (export "run") (param $rounds i32) (result i32) (local $done i32)
        (loop $again
            (call $report)
            (local.set $done (i32.add (local.get $done) (i32.const 1)))
            (call $yield)
            (br_if $again (i32.lt_u (local.get $done) (local.get $rounds))))
        (local.get $done)))"#;

#[test]
fn runners_are_stepped_in_lockstep_by_a_parallel_iterator() -> Result<(), Error> {
    const GUESTS: usize = 40;
    const ROUNDS: usize = 25;
    let reports = Arc::new(AtomicUsize::new(0));
    let mut linker = Linker::<()>::new(&ENGINE);
    add_yield(&mut linker, "env", "yield")?;
    let counts = reports.clone();
    linker.func_wrap("env", "report", move || {
        counts.fetch_add(1, Relaxed);
    })?;
    let pre = linker.instantiate_pre(&compile(&ENGINE, GUEST)?)?;
    let guests = (0..GUESTS).map(|_| Instance::new(&pre, ()));
    let guests = guests.collect::<Result<Vec<_>, Error>>()?;
    let calls = guests.iter().map(|guest| guest.call::<(i32,), i32>("run", (ROUNDS as i32,)));
    let mut calls: Vec<Future<i32>> = calls.collect::<Result<_, Error>>()?;
    let runners = calls.iter_mut().map(Future::to_job);
    let mut runners: Vec<FutureRunner<i32>> = runners.collect::<Result<_, Error>>()?;

    // More threads than this machine may have processors, so that the guests do move.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().expect("a pool");
    for round in 1..=ROUNDS {
        let steps = Mutex::new(Vec::new());
        pool.install(|| {
            runners.par_iter_mut().for_each(|runner| {
                let step = runner.resume();
                steps.lock().expect("nobody panics").push(step);
            });
        });
        assert_eq!(steps.into_inner().expect("nobody panics"), [Step::Yielded; GUESTS]);
        assert_eq!(reports.load(Relaxed), round * GUESTS, "a guest is ahead, or behind");
    }
    pool.install(|| {
        runners.par_iter_mut().for_each(|runner| assert_eq!(runner.resume(), Step::Done))
    });
    for call in &mut calls {
        assert_eq!(call.try_get_result()?, Some(ROUNDS as i32));
    }
    Ok(())
}
