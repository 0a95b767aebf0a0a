//! Finding a race between two guests that share state of the host: by resuming their calls in every order.

use super::{compile, link, options_of_engines, small_engine};
use std::sync::{Arc, Mutex};
use wasm_jobs::wasmtime::{Engine, Linker};
use wasm_jobs::{Error, Future, Instance, InstanceOptions, Slice, Step};

/// Adds one to a number of the host's, which it reads and then writes. `line` does so in a straight line, and `calls` has a function of
/// its own do the sum.
const GUEST: &str = r#"(module
    (import "env" "get" (func $get (result i32)))
    (import "env" "set" (func $set (param i32)))
    (func $add (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
    (func (export "line") (call $set (i32.add (call $get) (i32.const 1))))
    (func (export "calls") (call $set (call $add (call $get)))))"#;

/// The numbers that two guests leave behind, each for one order in which their calls are resumed.
fn outcomes(engine: &Engine, options: &InstanceOptions, export: &str) -> Result<Vec<i32>, Error> {
    let number = Arc::new(Mutex::new(0));
    let mut linker = Linker::<()>::new(engine);
    let (gets, sets) = (number.clone(), number.clone());
    linker.func_wrap("env", "get", move || *gets.lock().expect("nobody panics"))?;
    linker.func_wrap("env", "set", move |n: i32| *sets.lock().expect("nobody panics") = n)?;
    let pre = link(&linker, &compile(engine, GUEST)?)?;
    let guests = [(), ()].map(|()| Instance::with_options(&pre, options.clone(), || ()));
    let [first, second] = guests;
    let (first, second) = (first?, second?);

    let mut outcomes = Vec::new();
    // Each bit of an order is the guest that takes the next step. Afterwards both go on to their ends.
    for order in 0..1_u32 << 8 {
        *number.lock().expect("nobody panics") = 0;
        let mut calls = [first.call::<(), ()>(export, ())?, second.call::<(), ()>(export, ())?];
        for step in 0..8 {
            let _ = calls[(order >> step) as usize & 1].resume()?;
        }
        calls.iter_mut().try_for_each(finish)?;
        outcomes.push(*number.lock().expect("nobody panics"));
    }
    Ok(outcomes)
}

fn finish(call: &mut Future<()>) -> Result<(), Error> {
    while call.resume()? != Step::Done {}
    call.try_get_result().map(drop)
}

fn finds_a_lost_number(outcomes: &[i32]) -> bool {
    assert!(outcomes.contains(&2), "one after the other, they add two: {outcomes:?}");
    outcomes.contains(&1)
}

fn counts_fuel() -> Result<Engine, Error> {
    wasm_jobs::engine(&options_of_engines().fuel(true).pooling(4))
}

#[test]
fn guests_that_never_stop_half_way_have_no_race_on_one_thread() -> Result<(), Error> {
    let engine = small_engine();
    for export in ["line", "calls"] {
        assert!(!finds_a_lost_number(&outcomes(&engine, &InstanceOptions::default(), export)?));
    }
    Ok(())
}

#[test]
fn a_slice_of_one_fuel_finds_a_race_where_a_function_is_entered_in_between() -> Result<(), Error> {
    let (engine, options) = (counts_fuel()?, InstanceOptions::default().slice(Slice::Fuel(1)));
    assert!(finds_a_lost_number(&outcomes(&engine, &options, "calls")?));
    assert!(
        !finds_a_lost_number(&outcomes(&engine, &options, "line")?),
        "a slice of fuel now ends between two calls of the host in a straight line: say so in the documentation"
    );
    Ok(())
}

#[test]
fn yielding_before_host_calls_finds_a_race_in_a_straight_line_too() -> Result<(), Error> {
    let (engine, options) =
        (small_engine(), InstanceOptions::default().yield_before_host_calls(true));
    for export in ["line", "calls"] {
        assert!(finds_a_lost_number(&outcomes(&engine, &options, export)?));
    }
    Ok(())
}

#[test]
fn an_order_that_lost_a_number_loses_it_again() -> Result<(), Error> {
    let (engine, options) = (counts_fuel()?, InstanceOptions::default().slice(Slice::Fuel(1)));
    let first = outcomes(&engine, &options, "calls")?;
    assert_eq!(outcomes(&engine, &options, "calls")?, first);
    Ok(())
}
