//! Single cases of calls that are saved. Each is saved at each of its waits alone, and at all of them, and gives what it should.

use crate::frames::{Call, HasCall, connect, go_on, save};
use crate::run::{shown, wasm};
use std::collections::HashSet;
use std::sync::Arc;
use wasm_jobs_transform::{
    Error, FrameLayout, Options, SAVING, Transformed, code_export, transform_with,
};
use wasmtime::{Caller, Config, Engine, Global, Linker, Module, Store, Val, ValType};

#[derive(Default)]
struct Host {
    call: Call,
    frames: Arc<FrameLayout>,
    saving: Option<Global>,
    /// What the guest gave, in order.
    log: Vec<i32>,
    /// The wait at which the call is saved. `None`: all of them.
    at: Option<usize>,
    saved: usize,
    functions: usize,
}

impl HasCall for Host {
    fn saved(&mut self) -> &mut Call {
        &mut self.call
    }

    fn frames(&self) -> Arc<FrameLayout> {
        self.frames.clone()
    }
}

pub(crate) fn transformed(text: &str) -> Result<Transformed, Error> {
    transform_with(&wasm(text), &Options::default().saves_calls(true).twins(true))
}

/// Calls `run`. It gives its results and what it has logged, and how often and with how many functions it was saved.
fn run(text: &str, at: Option<usize>) -> (String, Vec<i32>, usize, usize) {
    let new = transformed(text).unwrap_or_else(|error| panic!("{error}"));
    let mut config = Config::new();
    config.max_wasm_stack(1 << 20);
    let engine = Engine::new(&config).unwrap();
    let module = Module::new(&engine, &new.wasm).unwrap_or_else(|error| panic!("{error:?}"));
    let host = Host { frames: Arc::new(new.frames), at, ..Host::default() };
    let mut store = Store::new(&engine, host);
    let mut linker = Linker::new(&engine);
    linker
        .func_wrap("host", "wait", |mut caller: Caller<'_, Host>, number: i32| {
            let host = caller.data_mut();
            host.log.push(number);
            if host.at.is_none_or(|at| at == host.log.len()) {
                host.saved += 1;
                let saving = host.saving.unwrap();
                save(&mut caller, saving, [(ValType::I32, Val::I32(number + 1))]);
                return 0;
            }
            number + 1
        })
        .unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    connect(&mut store, instance);
    store.data_mut().saving = instance.get_global(&mut store, SAVING);
    let function = instance.get_func(&mut store, "run").unwrap();
    let mut results = vec![Val::I32(0); function.ty(&store).results().len()];
    function.call(&mut store, &[], &mut results).unwrap();
    while store.data().call.is_saved {
        store.data_mut().functions += store.data().call.depth();
        results = go_on(&mut store, instance).unwrap();
    }
    let host = store.data();
    let results = results.iter().map(shown).collect::<Vec<_>>().join(" ");
    (results, host.log.clone(), host.saved, host.functions)
}

/// `depth` is how many functions are on the stack at all waits together.
#[track_caller]
pub(crate) fn gives(text: &str, results: &str, log: &[i32], depth: usize) {
    let text = text.replace(
        "IMPORT",
        r#"(import "host" "wait" (func $wait (param i32) (result i32)))
        (func $log (param i32) (drop (call $wait (local.get 0))))"#,
    );
    let never = run(&text, Some(0));
    assert_eq!(never, (results.to_owned(), log.to_vec(), 0, 0), "never saved");
    for at in 1..=log.len() {
        let (found, logged, saved, _) = run(&text, Some(at));
        assert_eq!((&found[..], &logged[..], saved), (results, log, 1), "saved at wait {at}");
    }
    let always = run(&text, None);
    assert_eq!(always, (results.to_owned(), log.to_vec(), log.len(), depth), "always saved");
}

#[track_caller]
fn refused(text: &str) -> String {
    transformed(text).map(drop).expect_err("it is to be refused").to_string()
}

#[test]
fn operands_locals_and_results() {
    gives(
        "(module IMPORT (func (export \"run\") (result i32) (local i32)
            (local.set 0 (i32.const 5))
            (i32.add
                (i32.mul (i32.const 100) (call $wait (i32.const 1)))
                (i32.add (local.get 0) (call $wait (i32.const 2))))))",
        "I32(208)",
        &[1, 2],
        2,
    );
}

#[test]
fn a_parameter_that_is_never_null() {
    gives(
        r#"(module (type $t (func (result i32))) IMPORT
            (elem declare func $seven) (func $seven (type $t) (i32.const 7))
            (func $f (param $p (ref $t)) (result i32)
                (drop (call $wait (i32.const 1)))
                (call_ref $t (local.get $p))
                (drop (call $wait (i32.const 2))))
            (func (export "run") (result i32) (call $f (ref.func $seven))))"#,
        "I32(7)",
        &[1, 2],
        4,
    );
}

#[test]
fn a_local_and_an_operand_that_are_never_null() {
    gives(
        r#"(module (type $t (func (result i32))) IMPORT
            (elem declare func $seven) (func $seven (type $t) (i32.const 7))
            (func (export "run") (result i32) (local $l (ref $t))
                (local.tee $l (ref.func $seven))
                (drop (call $wait (i32.const 1)))
                (call_ref $t)
                (block (result (ref $t)) (local.get $l) (drop (call $wait (i32.const 2))))
                (call_ref $t)
                (i32.mul)))"#,
        "I32(49)",
        &[1, 2],
        2,
    );
}

#[test]
fn many_values_of_all_numbers() {
    let locals = "i32 i64 f32 f64 v128 ".repeat(5);
    let mut body = String::new();
    let mut sum = String::new();
    for n in (0..25).step_by(5) {
        body += &format!(
            "(local.set {} (i32.const {n})) (local.set {} (i64.const -{n})) (local.set {} (f32.const {n}.5))
            (local.set {} (f64.const -{n}.25)) (local.set {} (v128.const i64x2 {n} -{n}))",
            n, n + 1, n + 2, n + 3, n + 4
        );
        sum += &format!(
            "(i64.extend_i32_s (local.get {})) (local.get {}) (i64.trunc_f32_s (f32.mul (local.get {}) (f32.const 2)))
            (i64.trunc_f64_s (f64.mul (local.get {}) (f64.const 4)))
            (i64x2.extract_lane 0 (local.get {v})) (i64x2.extract_lane 1 (local.get {v}))
            i64.sub i64.sub i64.sub i64.sub i64.sub i64.add",
            n, n + 1, n + 2, n + 3, v = n + 4
        );
    }
    // For n of 0, 5, 10, 15, 20: n - (-n - (2n + 1 - (-4n - 1 - (n + n)))) is 10 n + 2.
    gives(
        &format!(
            "(module IMPORT (func (export \"run\") (result i64) (local {locals}) {body}
                (drop (call $wait (i32.const 3))) (i64.const 0) {sum}))"
        ),
        "I64(510)",
        &[3],
        1,
    );
}

#[test]
fn loops_in_loops_with_parameters() {
    gives(
        r#"(module IMPORT (func (export "run") (result i32) (local $i i32) (local $j i32)
            (i32.const 1000)
            (loop $outer (param i32) (result i32)
                (local.set $j (i32.const 2))
                (loop $inner (param i32) (result i32)
                    (i32.add (call $wait (local.get $j)))
                    (local.set $j (i32.sub (local.get $j) (i32.const 1)))
                    (br_if $inner (local.get $j)))
                (i32.add (call $wait (i32.const 50)))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $outer (i32.lt_u (local.get $i) (i32.const 3))))))"#,
        "I32(1168)",
        &[2, 1, 50, 2, 1, 50, 2, 1, 50],
        9,
    );
}

#[test]
fn a_table_of_branches_to_loops_with_parameters() {
    gives(
        r#"(module IMPORT (func (export "run") (result i32) (local $n i32)
            (block $out (result i32)
                (i32.const 0)
                (loop $again (param i32) (result i32)
                    (i32.add (call $wait (local.get $n)))
                    (local.set $n (i32.add (local.get $n) (i32.const 1)))
                    (br_table $again $again $out (i32.sub (local.get $n) (i32.const 1)))))))"#,
        "I32(6)",
        &[0, 1, 2],
        3,
    );
}

#[test]
fn conditions_with_parameters_and_without_else() {
    gives(
        r#"(module IMPORT
            (func $f (param $c i32) (result i32)
                (i32.const 4)
                (local.get $c)
                (if (param i32) (result i32) (then (i32.add (call $wait (i32.const 10))))))
            (func $g (param $c i32) (result i32)
                (i32.const 4)
                (local.get $c)
                (if (param i32) (result i32)
                    (then (i32.add (call $wait (i32.const 20))))
                    (else (i32.mul (call $wait (i32.const 30)))))
                (i32.add (call $wait (i32.const 40))))
            (func (export "run") (result i32 i32 i32 i32)
                (call $f (i32.const 0)) (call $f (i32.const 1))
                (call $g (i32.const 0)) (call $g (i32.const 1))))"#,
        "I32(4) I32(15) I32(165) I32(66)",
        &[10, 30, 40, 20, 40],
        10,
    );
}

#[test]
fn handlers_around_what_goes_on() {
    gives(
        r#"(module IMPORT (tag $t (param i32))
            (func $throws (param i32) (throw $t (call $wait (local.get 0))))
            (func (export "run") (result i32) (local $kept i32) (local $e exnref)
                (local.set $kept (i32.const 100))
                (block $caught (result i32)
                    (try_table (catch $t $caught)
                        (drop (call $wait (i32.const 1)))
                        (call $throws (i32.const 2)))
                    (unreachable))
                (i32.add (local.get $kept))
                (block $again (result i32 exnref)
                    (try_table (catch_ref $t $again) (call $throws (i32.const 3)))
                    (unreachable))
                (local.set $e)
                (i32.add (call $wait (i32.const 4)))
                (i32.add)
                (block $last (result i32)
                    (try_table (catch $t $last)
                        (drop (call $wait (i32.const 5)))
                        (throw_ref (local.get $e)))
                    (unreachable))
                (i32.add)))"#,
        "I32(116)",
        &[1, 2, 3, 4, 5],
        7,
    );
}

#[test]
fn tail_calls_and_indirect_calls() {
    gives(
        r#"(module IMPORT (type $t (func (param i32) (result i32))) (table funcref (elem $wait $twice))
            (func $twice (param i32) (result i32)
                (i32.mul (i32.const 2) (call $wait (local.get 0))))
            (func $tail (param i32) (result i32) (return_call $twice (local.get 0)))
            (func $other (param i32) (result i32)
                (return_call_indirect (type $t) (local.get 0) (i32.const 0)))
            (func (export "run") (result i32)
                (i32.add
                    (i32.add (call $tail (i32.const 1)) (call $other (i32.const 10)))
                    (call_indirect (type $t) (i32.const 100) (i32.const 1)))))"#,
        "I32(217)",
        &[1, 10, 100],
        5,
    );
}

#[test]
fn a_thousand_functions() {
    gives(
        r#"(module IMPORT
            (func $down (param i32) (result i32)
                (if (result i32) (local.get 0)
                    (then (i32.add (local.get 0) (call $down (i32.sub (local.get 0) (i32.const 1)))))
                    (else (call $wait (i32.const 0)))))
            (func (export "run") (result i32) (call $down (i32.const 1000))))"#,
        "I32(500501)",
        &[0],
        1002,
    );
}

#[test]
fn code_that_is_never_reached() {
    gives(
        r#"(module IMPORT (func (export "run") (result i32)
            (block (result i32)
                (br 0 (call $wait (i32.const 1)))
                (drop (call $wait (i32.const 9)))
                (block (br 0) (drop (call $wait)) (call $log (i32.const 3)))
                (loop (result i32) (call $wait (i32.const 8))))
            (if (result i32) (then (return (call $wait (i32.const 2))) (call $wait)) (else (unreachable)))))"#,
        "I32(3)",
        &[1, 2],
        2,
    );
}

#[test]
fn what_cannot_be_saved_is_refused_by_name() {
    let import = r#"(import "host" "wait" (func $wait))"#;
    let tail = refused(&format!(
        "(module {import} (type $t (func))
            (func $g (result (ref null $t)) (call $wait) (ref.null $t))
            (func $f (result funcref) (return_call $g)))"
    ));
    assert!(tail.contains("gives values of other types") && tail.contains("`f`"), "{tail}");
    let result = refused(&format!(
        "(module {import} (func $f (param (ref extern)) (result (ref extern)) (call $wait) (local.get 0)))"
    ));
    assert!(result.contains("refers to no function") && result.contains("`f`"), "{result}");
    let locals = "i32 ".repeat(1_000);
    let uses: String = (0..1_000).map(|n| format!("(drop (local.get {n}))")).collect();
    let many = refused(&format!("(module {import} (func (local {locals}) (call $wait) {uses}))"));
    assert!(many.contains("1000 values to save at one call"), "{many}");
    let operands = refused(&format!(
        "(module {import} (func {} {} (call $wait) {}))",
        "(i32.const 0)".repeat(5_000),
        "(block)".repeat(4_000),
        "(drop)".repeat(5_000)
    ));
    assert!(operands.contains("instructions and operands"), "{operands}");
}

#[test]
fn references_in_frames_have_names() {
    let new = transformed(
        r#"(module (import "host" "wait" (func $wait)) (type $t (func)) (func $g) (table 1 funcref)
            (elem (i32.const 0) $g)
            (func (export "run") (local $f funcref)
                (local.set $f (table.get 0 (i32.const 0)))
                (call $wait) (drop (local.get $f))))"#,
    )
    .unwrap();
    let functions: Vec<_> = new.layout.functions.clone();
    assert_eq!(functions, [1, 2]);
    let engine = Engine::default();
    let module = Module::new(&engine, &new.wasm).unwrap();
    assert!(module.get_export("__wasm_jobs_function_1").is_some());
}

#[test]
fn both_modules_have_the_same_points() {
    let text = r#"(module (import "a" "wait" (func $a)) (import "b" "go" (func $b))
        (func (export "run") (param i64) (result i64) (call $a) (call $b) (local.get 0)))"#;
    let with = |options: Options| transform_with(&wasm(text), &options).unwrap().frames;
    let save = with(Options::default().saves_calls(true));
    let both = with(Options::default().saves_calls(true).twins(true));
    assert_eq!(save.hash(), both.hash());
    assert_eq!(save.points.len(), 2);
    let one = with(Options::default().saves_calls(true).waits_in(|module, _| module == "a"));
    assert_eq!(one.points.len(), 1);
    assert_ne!(one.hash(), both.hash());
    assert_eq!(one.points[0].callee(), Some(0));
    assert_eq!(one.points[0].words(), 2);
}

#[test]
fn a_module_says_how_it_was_transformed() {
    let text = r#"(module (import "a" "wait" (func $a)) (import "b" "go" (func $b))
        (func (export "run") (param i64) (result i64) (call $a) (call $b) (local.get 0)))"#;
    let (save, engine) = (Options::default().saves_calls(true), Engine::default());
    let named = |options: &Options| {
        let transformed = transform_with(&wasm(text), options).unwrap();
        let module = Module::new(&engine, transformed.wasm).unwrap();
        let names = module.exports().map(|export| export.name().to_owned());
        let names: Vec<_> = names.filter(|name| name.starts_with("__wasm_jobs_code_")).collect();
        assert_eq!(names, [code_export(&transformed.frames.code_hash())]);
        names
    };
    let all: HashSet<_> = [
        save.clone(),
        save.clone().twins(true),
        save.clone().counts_fuel(true),
        save.clone().twins(true).counts_fuel(true),
        save.clone().waits_in(|module, _| module == "a"),
    ]
    .iter()
    .map(named)
    .collect();
    assert_eq!(all.len(), 5);
    assert_eq!(named(&save), named(&save.clone()));
}
