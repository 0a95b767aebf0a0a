//! There is never more between two checks than the interval says, and no program is without checks for ever.

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

/// Calls a function of the guest, by its name or from its table.
fn back(caller: &mut Caller<'_, Meter>, from_table: bool) -> wasmtime::Result<()> {
    let function = match caller.get_export(if from_table { "table" } else { "back" }) {
        Some(Extern::Func(function)) => Some(function),
        Some(Extern::Table(table)) => {
            table.get(&mut *caller, 0).and_then(|element| element.as_func().flatten().copied())
        }
        _ => None,
    };
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
    linker
        .func_wrap("host", "back", |mut caller: Caller<'_, Meter>| back(&mut caller, false))
        .unwrap();
    linker
        .func_wrap("host", "table", |mut caller: Caller<'_, Meter>| back(&mut caller, true))
        .unwrap();
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

/// A program of functions that each call the next one twice. `call` is the text of the call of the function with a number.
fn doubling(fields: &str, before: &str, call: impl Fn(usize) -> String, last: &str) -> String {
    let mut text = format!("(module {fields}");
    for n in 0..40 {
        let call = call(n + 1);
        write!(text, "(func $f{n} {before} {call} {call})").unwrap();
    }
    write!(text, "(func $f40 {last}) (func (export \"f\") (call $f0)))").unwrap();
    text
}

/// Types that are all different, one for each function, and calls by them.
fn doubling_by_types(call: impl Fn(usize) -> String) -> String {
    let mut text = "(module (table $table 41 41 funcref) (elem (i32.const 0)".to_owned();
    (0..=40).for_each(|n| write!(text, " $f{n}").unwrap());
    text.push(')');
    let params = |n: usize| (0..6).map(move |bit| if n >> bit & 1 == 1 { " i64" } else { " i32" });
    for n in 0..=40 {
        write!(text, "(type $t{n} (func (param{})))", params(n).collect::<String>()).unwrap();
    }
    for n in 0..40 {
        let arguments: String = params(n + 1).map(|ty| format!("({}.const 0)", &ty[1..])).collect();
        let call = call(n + 1).replace('@', &arguments);
        write!(text, "(func $f{n} (type $t{n}) {call} {call})").unwrap();
    }
    let zeros = "(i32.const 0)".repeat(6);
    write!(text, "(func $f40 (type $t40)) (func (export \"f\") (call $f0 {zeros})))").unwrap();
    text
}

/// Programs that never end, or not in the age of the universe.
fn endless() -> Vec<(&'static str, String)> {
    let f = |body: &str| format!("(module (func (export \"f\") {body}))");
    let exceptions = |body: &str| {
        format!(
            r#"(module (import "host" "back" (func $back))
            (tag $e) (func $throw (throw $e)) (table funcref (elem $throw))
            (export "back" (func $throw)) (func (export "f") (local $r exnref) {body}))"#
        )
    };
    let mut all = vec![
        ("a loop", f("(loop $l (br $l))")),
        ("a loop without a body", f("(loop $l (nop) (br $l))")),
        ("a loop with a parameter", f("(i32.const 1) (loop $l (param i32) (br $l)) (unreachable)")),
        ("a loop with a condition", f("(loop $l (br_if $l (i32.const 1)))")),
        ("a loop by null", f("(loop $l (ref.null func) (br_on_null $l) (drop))")),
        (
            "a loop by what is not null",
            r#"(module (elem declare func $g) (func $g)
            (func (export "f") (ref.func $g) (loop $l (param (ref func)) (br_on_non_null $l))))"#
                .to_owned(),
        ),
        ("only the inner loop branches", f("(loop (loop $l (br $l)))")),
        ("the inner branches to the outer", f("(loop $l (loop (br $l)))")),
        ("the inner branches out and back", f("(loop $l (block $b (loop (br $b))) (br $l))")),
        (
            "a table of loops",
            f("(local i32) (loop $a (loop $b (loop $c
                (local.set 0 (i32.add (local.get 0) (i32.const 7)))
                (br_table $a $b $c $a (i32.and (local.get 0) (i32.const 3))))))"),
        ),
        (
            "two loops by turns inside of one",
            f("(loop $l (loop $a (br_if $a (i32.const 0))) (loop $b (br_if $b (i32.const 0))) (br $l))"),
        ),
        (
            "the inner loop ends at once each time",
            f("(local i32) (loop $l (loop $a (local.set 0 (i32.eqz (local.get 0)))
                (br_if $a (local.get 0))) (br $l))"),
        ),
        ("an arm of an if", f("(loop $l (if (i32.const 1) (then (br $l)) (else (unreachable))))")),
        ("the other arm", f("(loop $l (if (i32.const 0) (then) (else (br $l))))")),
        ("a loop after what cannot be reached", f("(block (br 0) (loop $l (br $l))) (loop $l (br $l))")),
        ("a handler's label is the loop", exceptions(
            "(loop $l (try_table (catch $e $l) (call $throw)))")),
        ("a handler of all", exceptions("(loop $l (try_table (catch_all $l) (throw $e)))")),
        ("a handler with a reference", exceptions(
            "(local.get $r) (loop $l (param exnref) (drop) (try_table (catch_ref $e $l) (call $throw)) (unreachable))")),
        ("a handler of all with a reference", exceptions(
            "(local.get $r) (loop $l (param exnref) (drop) (try_table (catch_all_ref $l) (call $throw)) (unreachable))")),
        ("an exception is thrown again", exceptions(
            "(local.get $r) (loop $l (param exnref) (local.set $r)
                (try_table (catch_all_ref $l) (if (ref.is_null (local.get $r))
                (then (throw $e))) (throw_ref (local.get $r))) (unreachable))")),
        ("a handler around others", exceptions(
            "(loop $l (try_table (catch_all $l) (try_table (call_indirect (i32.const 0)))))")),
        ("a handler around one that catches nothing", exceptions(
            "(loop $l (try_table (catch_all $l) (try_table (call $throw))))")),
        ("the inner handler throws", exceptions(
            "(loop $l (try_table (catch_all $l) (block $b (try_table (catch_all $b) (call $throw))) (call $throw)))")),
        ("the exception comes from the host", exceptions(
            "(loop $l (try_table (catch_all $l) (call $back)))")),
        ("itself, and then a loop that never turns", r#"(module (func $f (export "f")
            (return_call $f) (loop $l (br_if $l (i32.const 0)))))"#.to_owned()),
        ("itself", r#"(module (func $f (export "f") (return_call $f)))"#.to_owned()),
        ("each other", r#"(module (func $f (export "f") (return_call $g))
            (func $g (return_call $h)) (func $h (return_call $f)))"#.to_owned()),
        ("itself by its type", r#"(module (table funcref (elem $f))
            (func $f (export "f") (return_call_indirect (i32.const 0))))"#.to_owned()),
        ("itself by a type that is written twice", r#"(module (type $a (func)) (type $b (func))
            (table funcref (elem $f))
            (func $f (type $a) (return_call_indirect (type $b) (i32.const 0)))
            (func (export "f") (call $f)))"#.to_owned()),
        ("itself by a reference", r#"(module (type $s (func)) (type $t (func (param (ref $s))))
            (elem declare func $g) (func $g (return_call_ref $s (ref.func $g)))
            (func (export "f") (call $g)))"#.to_owned()),
        ("a type leads to the one that calls it by another", r#"(module
            (type $a (func)) (type $b (func (param i32)))
            (table funcref (elem $g $h))
            (func $g (type $a) (return_call_indirect (type $b) (i32.const 1) (i32.const 1)))
            (func $h (type $b) (return_call_indirect (type $a) (i32.const 0)))
            (func (export "f") (call_indirect (type $a) (i32.const 0))))"#.to_owned()),
        ("a global's function", r#"(module (type $t (func)) (global $g (mut (ref null $t)) (ref.null $t))
            (elem declare func $f)
            (func $f (export "f") (global.set $g (ref.func $f)) (return_call_ref $t (global.get $g))))"#.to_owned()),
        ("a function that is written to the table", r#"(module (type $t (func)) (table 1 funcref)
            (elem declare func $g)
            (func $g (return_call_indirect (i32.const 0)))
            (func (export "f") (table.set (i32.const 0) (ref.func $g)) (call_indirect (i32.const 0))))"#.to_owned()),
        ("an exported function that only an export names", r#"(module (import "host" "back" (func $back))
            (func (export "back") (call $back)) (func (export "f") (call $back)))"#.to_owned()),
        ("the exported table", r#"(module (import "host" "table" (func $back)) (export "table" (table 0))
            (table funcref (elem $g)) (func $g (call $back)) (func (export "f") (call $back)))"#.to_owned()),
        ("the host by a reference", r#"(module (type $t (func)) (import "host" "back" (func $back))
            (elem declare func $back)
            (func $g (call_ref $t (ref.func $back))) (export "back" (func $g))
            (func (export "f") (call $g)))"#.to_owned()),
        ("the start function", "(module (start $f) (func $f (loop $l (br $l))))".to_owned()),
        ("only the start function, and itself", "(module (start $f) (func $f (return_call $f)))".to_owned()),
        ("only the start function, and the host", r#"(module (import "host" "back" (func $back))
            (start $f) (func $f (call $back) (return_call $f)))"#.to_owned()),
        ("two of each", doubling("", "", |n| format!("(call $f{n})"), "")),
        ("two of each, the last of them a tail call", {
            let mut text = "(module ".to_owned();
            for n in 0..40 {
                let next = n + 1;
                write!(text, "(func $f{n} (call $f{next}) (return_call $f{next}))").unwrap();
            }
            text + "(func $f40) (func (export \"f\") (call $f0)))"
        }),
        ("two of each, which throw", doubling("(tag $e)", "",
            |n| format!("(block $b (try_table (catch_all $b) (call $f{n})))"), "(throw $e)")),
        ("two of each, which only throw", {
            let mut text = "(module (tag $e)".to_owned();
            for n in 0..40 {
                let call = format!("(block $b (try_table (catch $e $b) (call $f{})))", n + 1);
                write!(text, "(func $f{n} {call} {call} (throw $e))").unwrap();
            }
            text + "(func $f40 (throw $e)) (func (export \"f\") (call $f0)))"
        }),
        ("two of each, by the table", doubling_by_types(|n| {
            format!("@(i32.const {n}) (call_indirect (type $t{n}))")
        })),
        ("two of each, by references", doubling_by_types(|n| {
            format!("@(ref.func $f{n}) (call_ref $t{n})")
        })),
        ("two of each, which are all of one type", doubling(
            "(table 41 41 funcref) (elem (i32.const 0) $f0 $f1 $f2 $f3 $f4 $f5 $f6 $f7 $f8 $f9 $f10 $f11 $f12 $f13 $f14 $f15 $f16 $f17
                $f18 $f19 $f20 $f21 $f22 $f23 $f24 $f25 $f26 $f27 $f28 $f29 $f30 $f31 $f32 $f33 $f34 $f35 $f36 $f37 $f38 $f39 $f40)",
            "", |n| format!("(call_indirect (i32.const {n}))"), "")),
        ("a number counts down, twice", r#"(module (func $f (param i32)
            (if (local.get 0) (then
                (call $f (i32.sub (local.get 0) (i32.const 1)))
                (call $f (i32.sub (local.get 0) (i32.const 1))))))
            (func (export "f") (call $f (i32.const 60))))"#.to_owned()),
        ("a hundred loops of two rounds, one in the other", {
            let mut body = String::new();
            (0..100).for_each(|n| write!(body, "(local.set {n} (i32.const 1)) (loop ").unwrap());
            (0..100).rev().for_each(|n| {
                let round = format!("(local.tee {n} (i32.sub (local.get {n}) (i32.const 1)))");
                write!(body, "(br_if 0 (i32.eqz {round})))").unwrap();
            });
            f(&format!("(local {}) {body}", "i32 ".repeat(100)))
        }),
    ];
    // Blocks and loops of which only the innermost branches, to the outermost.
    let deep = |opening: &str, closing: &str| {
        f(&format!("(loop $l {} (br $l) {})", opening.repeat(2_000), closing.repeat(2_000)))
    };
    all.push(("two thousand blocks", deep("(block ", ")")));
    all.push(("two thousand loops", deep("(loop ", ")")));
    all.push(("two thousand conditions", deep("(if (i32.const 1) (then ", "))")));
    all
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
