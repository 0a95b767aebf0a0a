//! There is never more between two checks than the interval says, and no program is without checks for ever.

use crate::endless::endless;
use crate::program::endless_program;
use crate::random::{Random, arguments, each_seed, stoppable_engine};
use crate::stopped::Stops;
use std::fmt::Write;
use wasm_jobs_transform::{Options, START, transform_with};
use wasmtime::{Caller, Engine, Extern, Func, Instance, Linker, Module, Store, Trap, Val};

/// What is between two checks and counts for nothing: the check itself, and the calls of the host and of the function that sets the flag.
const BESIDE: u64 = 150;

/// The stop that ends the guest.
const LAST: u64 = 10;

/// What a program may use, beyond all that a bound allows.
const FUEL: u64 = 20_000_000;

const ENDED: &str = "ended by a check";

/// The data of a store.
#[derive(Default)]
struct Meter {
    stops: Option<Stops>,
    /// How often the guest was stopped.
    count: u64,
    /// How much fuel there was when it was last let go on.
    last: u64,
    /// The most fuel that it has taken from one check to the next.
    most: u64,
    /// How many of the host's calls into the guest are in progress, and how many there were.
    depth: u32,
    calls: u64,
}

fn stop(mut caller: Caller<'_, Meter>, _: i32) -> wasmtime::Result<()> {
    measure(&mut caller)?;
    caller.data_mut().count += 1;
    if caller.data().count == LAST {
        return Err(wasmtime::format_err!("{ENDED}"));
    }
    let stops = caller.data().stops.clone();
    stops.expect("the guest has checks").set_flag(&mut caller)?;
    caller.data_mut().last = caller.get_fuel()?;
    Ok(())
}

fn measure(caller: &mut Caller<'_, Meter>) -> wasmtime::Result<()> {
    let fuel = caller.get_fuel()?;
    let meter = caller.data_mut();
    meter.most = meter.most.max(meter.last - fuel);
    Ok(())
}

/// The function of the guest that the host calls: by its name or from its table.
fn exported(caller: &mut Caller<'_, Meter>, from_table: bool) -> Option<Func> {
    match caller.get_export(if from_table { "table" } else { "back" }) {
        Some(Extern::Func(function)) => Some(function),
        Some(Extern::Table(table)) => {
            table.get(&mut *caller, 0).and_then(|element| element.as_func().flatten().copied())
        }
        _ => None,
    }
}

/// Calls a function of the guest.
fn back(caller: &mut Caller<'_, Meter>, function: Option<Func>) -> wasmtime::Result<()> {
    let Some(function) = function else { return Ok(()) };
    // As deep as the stack allows, each call twice.
    if caller.data().depth == 30 {
        return Ok(());
    }
    caller.data_mut().calls += 1;
    if caller.data().calls > 10_000 {
        // Fuel would end it, too, but these calls take long.
        return Err(wasmtime::format_err!("too many calls of the host without a check"));
    }
    caller.data_mut().depth += 1;
    let result = (0..2).try_for_each(|_| function.call(&mut *caller, &[], &mut []));
    caller.data_mut().depth -= 1;
    result
}

/// What came of a program.
struct Outcome {
    error: Option<wasmtime::Error>,
    stops: u64,
    /// The most fuel from one check to the next.
    most: u64,
}

impl Outcome {
    fn was_ended(&self) -> bool {
        self.error.as_ref().is_some_and(|error| error.root_cause().to_string() == ENDED)
    }

    fn is_out_of_fuel(&self) -> bool {
        let trap = self.error.as_ref().and_then(|error| error.downcast_ref::<Trap>());
        trap == Some(&Trap::OutOfFuel)
    }
}

/// Runs the export `f`, or the start function, until it ends, or until it is stopped for the last time.
fn run(engine: &Engine, wasm: &[u8], interval: u32, fuel: u64) -> Outcome {
    let options = Options::default().stops(true).check_interval(interval);
    let new = transform_with(wasm, &options).unwrap_or_else(|error| panic!("{error}"));
    let module = Module::new(engine, &new.wasm).unwrap_or_else(|error| panic!("{error:?}"));
    let mut store = Store::new(engine, Meter::default());
    store.set_fuel(fuel).unwrap();
    let mut linker = Linker::new(engine);
    for (name, from_table) in [("back", false), ("table", true)] {
        linker
            .func_wrap("host", name, move |mut caller: Caller<'_, Meter>| {
                let function = exported(&mut caller, from_table);
                back(&mut caller, function)
            })
            .unwrap();
    }
    // Its type is one of the module's own.
    let imports = module.imports().filter(|import| import.name() == "call");
    for ty in imports.filter_map(|import| import.ty().func().cloned()) {
        linker
            .func_new("host", "call", ty, |mut caller: Caller<'_, Meter>, given, _| {
                let function = given[0].unwrap_funcref().copied();
                back(&mut caller, function)
            })
            .unwrap();
    }
    let mut stops = Stops::at_the_first(1);
    stops.define(&mut linker, &mut store);
    let instance = linker.instantiate(&mut store, &module).unwrap();
    connected(&mut store, instance, stops);
    let name = if new.layout.start.is_some() { START } else { "f" };
    let f = instance.get_func(&mut store, name).unwrap();
    called(&mut store, f, &[])
}

fn connected(store: &mut Store<Meter>, instance: Instance, stops: Stops) {
    let function = Func::wrap(&mut *store, stop);
    stops.connect_to(store, instance, function);
    store.data_mut().stops = Some(stops);
}

fn called(store: &mut Store<Meter>, function: Func, arguments: &[Val]) -> Outcome {
    let mut results = vec![Val::I32(0); function.ty(&*store).results().len()];
    store.data_mut().last = store.get_fuel().unwrap();
    let error = function.call(&mut *store, arguments, &mut results).err();
    let fuel = store.get_fuel().unwrap();
    let meter = store.data();
    let after_the_last = if meter.count == LAST { 0 } else { meter.last - fuel };
    Outcome { error, stops: meter.count, most: meter.most.max(after_the_last) }
}

#[test]
fn code_without_loops_has_checks_where_it_is_long() {
    let engine = stoppable_engine();
    // 4 bytes each, of which no one is an event for the search of checks.
    let straight = |bytes: usize| "(global.set $g (i32.const 1))".repeat(bytes / 4);
    let module =
        |functions: &str| format!("(module (global $g (mut i32) (i32.const 0)) {functions})");
    let chain = |before: &str, after: &str| {
        let mut functions = String::new();
        for n in 0..6 {
            write!(functions, "(func $f{n} {before} (call $f{}) {after})", n + 1).unwrap();
        }
        module(&(functions + "(func $f6 (loop)) (func (export \"f\") (call $f0))"))
    };
    let some = straight(700);
    let choice = format!("(if (global.get $g) (then {some}) (else {some}))");
    for (what, text) in [
        ("a function", module(&format!("(func (export \"f\") {})", straight(200_000)))),
        (
            "a function that branches",
            module(&format!("(func (export \"f\") {choice} {choice} {choice})")),
        ),
        ("functions that call after they do something", chain(&some, "")),
        ("functions that do something after they call", chain("", &some)),
        (
            "functions that throw",
            format!(
                "(module (global $g (mut i32) (i32.const 0)) (tag $e)
            (func $f2 (loop) {some} (throw $e))
            (func $f1 (try_table (call $f2)) (unreachable))
            (func $f0 (block $b (try_table (catch_all $b) (call $f1))) {some} (throw $e))
            (func (export \"f\") (block $b (try_table (catch_all $b) (call $f0))) {some}))"
            ),
        ),
        (
            "operands",
            module(&format!(
                "(func (export \"f\") {} {})",
                "(i32.const 1)".repeat(2_000),
                "(drop)".repeat(2_000)
            )),
        ),
    ] {
        let wasm = wat::parse_str(&text).unwrap_or_else(|error| panic!("{what}: {error}"));
        for interval in [1, 1_000] {
            let outcome = run(&engine, &wasm, interval, FUEL);
            let Outcome { stops, most, .. } = outcome;
            assert!(outcome.was_ended() || outcome.error.is_none(), "{what}: {:?}", outcome.error);
            assert!(
                most <= u64::from(interval) + BESIDE,
                "{what}, interval {interval}: {most}, {stops} stops"
            );
        }
    }
}

#[test]
fn every_endless_program_is_stopped_again_and_again() {
    let engine = stoppable_engine();
    let mut failed = Vec::new();
    for (what, text) in endless() {
        let Ok(wasm) = wat::parse_str(&text) else {
            failed.push(format!("{what}: no module"));
            continue;
        };
        for interval in [1, 1_000, 40_000] {
            let outcome = run(&engine, &wasm, interval, FUEL);
            let Outcome { stops, most, .. } = outcome;
            if !outcome.was_ended() || most > 2 * u64::from(interval) + BESIDE {
                failed.push(format!(
                    "{what}, interval {interval}: {stops} stops, {most} between two, {:?}",
                    outcome.error
                ));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// At one of these lengths, a check comes due at the branch itself, which is not taken.
#[test]
fn a_check_that_comes_due_where_a_loop_leads_back_is_passed_by_those_who_leave_the_loop() {
    let engine = stoppable_engine();
    for length in 850..1_000 {
        let text = format!(
            r#"(module (func $f (param i32)
                (if (local.get 0) (then (loop $w (br_if $w (i32.const 0))) {}))
                (loop $l {} (i32.const 0) (br_if $l)))
                (func (export "f") (loop $m (call $f (i32.const 0)) (br $m))))"#,
            "nop ".repeat(length),
            "nop ".repeat(70),
        );
        let outcome = run(&engine, &wat::parse_str(text).unwrap(), 1_000, FUEL / 100);
        assert!(outcome.was_ended(), "{length}: {:?}", outcome.error);
    }
}

#[test]
fn random_programs_that_may_be_endless_are_stopped() {
    let engine = stoppable_engine();
    let programs = if cfg!(debug_assertions) { 100 } else { 2_000 };
    let counts = each_seed(programs, |seed| {
        let wasm = endless_program(seed);
        let mut random = Random(!seed);
        let interval = random.of(&[1, 50, 1_000, 40_000]);
        let options = Options::default().stops(true).check_interval(interval);
        let new = transform_with(&wasm, &options).unwrap_or_else(|error| panic!("{error}"));
        let module = Module::new(&engine, &new.wasm).unwrap_or_else(|error| panic!("{error:?}"));
        let mut ended = false;
        for export in Module::new(&engine, &wasm).unwrap().exports() {
            let ty = export.ty();
            let Some(arguments) = ty.func().and_then(|ty| arguments(&mut random, ty.params()))
            else {
                continue;
            };
            let mut store = Store::new(&engine, Meter::default());
            store.set_fuel(FUEL).unwrap();
            let mut linker = Linker::new(&engine);
            let mut stops = Stops::at_the_first(1);
            stops.define(&mut linker, &mut store);
            linker.define_unknown_imports_as_default_values(&mut store, &module).unwrap();
            let instance = linker.instantiate(&mut store, &module).unwrap();
            connected(&mut store, instance, stops);
            let function = instance.get_func(&mut store, export.name()).unwrap();
            let outcome = called(&mut store, function, &arguments);
            let Outcome { most, stops, .. } = outcome;
            assert!(!outcome.is_out_of_fuel(), "interval {interval}, {stops} stops, {most}");
            assert!(most <= 2 * u64::from(interval) + BESIDE, "{most} with {interval}, {stops}");
            ended |= outcome.was_ended();
        }
        if ended { "ended by a check" } else { "ended by itself" }
    });
    let total: u64 = counts.values().sum();
    assert!(total < 10 || counts["ended by a check"] * 2 > total, "{counts:?}");
}
