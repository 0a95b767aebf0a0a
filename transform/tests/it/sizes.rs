//! Large and unusual modules are transformed in a time that grows with their size, and do not become much larger.

use std::fmt::Write;
use std::time::{Duration, Instant};
use wasm_jobs_transform::{Error, Options, transform_with};
use wasmparser::{Validator, WasmFeatures};

/// The time that a transformation takes. The result is valid, and not much larger.
fn time(what: &str, text: &str) -> Duration {
    let wasm = wat::parse_str(text).unwrap_or_else(|error| panic!("{what}: {error}"));
    let start = Instant::now();
    let new = transform_with(&wasm, &Options::default().stops(true));
    let time = start.elapsed();
    let new = new.unwrap_or_else(|error| panic!("{what}: {error}"));
    println!(
        "{what}: {} bytes, {} afterwards, {} checks, {time:?}",
        wasm.len(),
        new.wasm.len(),
        new.checks
    );
    Validator::new_with_features(WasmFeatures::WASM3).validate_all(&new.wasm).unwrap();
    assert!(
        new.wasm.len() < 20 * wasm.len() + 2_000,
        "{what}: {} of {}",
        new.wasm.len(),
        wasm.len()
    );
    time
}

/// Makes a module of this size.
type Make = fn(usize) -> String;

const MODULES: &[(&str, usize, Make)] = &[
    ("functions", 100_000, |size| {
        let body = "(func (param i32) (local.set 0 (i32.const 1)) (loop (br_if 0 (local.get 0))))";
        format!("(module {})", body.repeat(size))
    }),
    ("functions in a row", 100_000, |size| {
        let mut text = "(module ".to_owned();
        (1..size).for_each(|n| write!(text, "(func (call {n}) (call {n}))").unwrap());
        text + "(func))"
    }),
    ("functions in circles", 3_000, |size| {
        let mut text = "(module ".to_owned();
        for n in 0..size {
            text.push_str("(func");
            (1..20).for_each(|m| write!(text, "(call {})", (n + m * m * 7) % size).unwrap());
            text.push(')');
        }
        text + ")"
    }),
    ("functions that call through one type", 50_000, |size| {
        let mut text = format!("(module (table {size} funcref) (elem (i32.const 0)");
        (0..size).for_each(|n| write!(text, " {n}").unwrap());
        text.push(')');
        for _ in 0..size {
            text += "(func (call_indirect (i32.const 0)) (call_indirect (i32.const 1)))";
        }
        text + ")"
    }),
    ("functions that call through types of their own", 20_000, |size| {
        let mut text = format!("(module (table {size} funcref) (elem (i32.const 0)");
        (0..size).for_each(|n| write!(text, " {n}").unwrap());
        text.push(')');
        let params = |n: usize| -> String {
            (0..16).map(|bit| if n >> bit & 1 == 1 { " i64" } else { " i32" }).collect()
        };
        for n in 0..size {
            write!(text, "(type $t{n} (func (param{})))", params(n)).unwrap();
        }
        for n in 0..size {
            let next = (n + 1) % size;
            let arguments: String =
                params(next).split_whitespace().map(|ty| format!("({ty}.const 0)")).collect();
            write!(
                text,
                "(func (type $t{n}) {arguments} (i32.const {next}) (call_indirect (type $t{next})))"
            )
            .unwrap();
        }
        text + ")"
    }),
    ("locals and loops", 20_000, |size| {
        let locals = "i32 ".repeat(size * 5 / 2 - 10);
        let mut body = String::new();
        for n in 0..size {
            write!(body, "(loop (br_if 0 (local.tee {n} (local.get {}))))", (n * 7) % size)
                .unwrap();
        }
        format!("(module (func (local {locals}) {body}))")
    }),
    ("locals that are all live in loops inside of each other", 1_000, |size| {
        let locals = "i32 ".repeat(size);
        let uses: String =
            (0..size).map(|n| format!("(local.set {n} (local.get {}))", (n + 1) % size)).collect();
        let opening = "(loop ".repeat(size);
        let closing = "(br_if 0 (local.get 0)))".repeat(size);
        format!("(module (func (local {locals}) {opening} {uses} {closing}))")
    }),
    ("locals that are live in loops one after the other", 1_000, |size| {
        let locals = "i32 ".repeat(size);
        let uses: String =
            (0..size).map(|n| format!("(local.set {n} (local.get {}))", (n + 1) % size)).collect();
        let inner = "(loop (br_if 0 (local.get 0)))".repeat(size);
        format!("(module (func (local {locals}) (loop {uses} {inner} (br_if 0 (local.get 1)))))")
    }),
    ("a table of branches", 100_000, |size| {
        format!(
            "(module (func (loop (block (br_table {} (i32.const 0))))))",
            "0 1 ".repeat(size / 2)
        )
    }),
    ("tables of branches", 1_000, |size| {
        let table = format!("(block (loop (br_table {} (local.get 0))))", "0 1 ".repeat(50));
        format!("(module (func (param i32) {}))", table.repeat(size))
    }),
    ("handlers around handlers around calls", 1_000, |size| {
        format!(
            "(module (tag $e) (func $throw (throw $e)) (func (loop {} {} {})))",
            "(block (try_table (catch $e 0) (catch_all 0) ".repeat(size),
            "(call $throw)".repeat(size),
            "))".repeat(size),
        )
    }),
    ("blocks inside of each other", 100_000, |size| {
        format!("(module (func {} (br 0) {}))", "(block ".repeat(size), ")".repeat(size))
    }),
    ("loops inside of each other, with locals", 5_000, |size| {
        let mut body = String::new();
        (0..size).for_each(|n| write!(body, "(local.set {n} (i32.const 1)) (loop ").unwrap());
        (0..size).rev().for_each(|n| write!(body, "(br_if 0 (local.get {n})))").unwrap());
        format!("(module (func (local {}) {body}))", "i32 ".repeat(size))
    }),
    ("a loop with many operands", 1_000, |size| {
        let types = "i32 ".repeat(size);
        format!(
            "(module (type $t (func (param {types}) (result {types}))) (func (type $t) {} {}))",
            (0..size).map(|n| format!("(local.get {n})")).collect::<String>(),
            "(loop (type $t) (br_if 0 (i32.const 0)))".repeat(size / 10),
        )
    }),
    ("loops with operands one after the other", 60_000, |size| {
        format!(
            "(module (type $t (func (param i32 i64 i32 f32 i32) (result i32 i64 i32 f32 i32)))
                (func (type $t) {} {}))",
            (0..5).map(|n| format!("(local.get {n})")).collect::<String>(),
            "(loop (type $t) (br_if 0 (i32.const 0)))".repeat(size),
        )
    }),
    ("types of references", 10_000, |size| {
        let mut text = "(module ".to_owned();
        for n in 0..size {
            let params: String =
                (0..14).map(|bit| if n >> bit & 1 == 1 { " i64" } else { " i32" }).collect();
            write!(text, "(type $t{n} (func (param{params})))").unwrap();
        }
        for n in 0..size {
            write!(
                text,
                "(func (param (ref null $t{n})) (loop (br_if 0 (ref.is_null (local.get 0)))))"
            )
            .unwrap();
        }
        text + ")"
    }),
];

#[test]
fn large_modules_do_not_become_much_larger() {
    for (what, size, make) in MODULES {
        time(what, &make(if cfg!(debug_assertions) { size / 5 } else { *size }));
    }
}

#[test]
#[ignore = "by hand, on a machine that does nothing else: it compares times"]
fn large_modules_take_a_time_that_grows_with_their_size() {
    let mut failed = Vec::new();
    for (what, size, make) in MODULES {
        let size = if cfg!(debug_assertions) { size / 5 } else { *size };
        let half = time(what, &make(size / 2));
        let whole = time(what, &make(size));
        // Twice is linear, four times quadratic.
        let grows = whole > Duration::from_millis(100) && whole > half * 7 / 2;
        if whole > Duration::from_secs(10) || grows {
            failed.push(format!("{what}: {half:?}, twice the size {whole:?}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Modules whose calls can be saved.
const SAVED: &[(&str, usize, Make)] = &[
    ("points one after the other", 60_000, |size| {
        format!(
            r#"(module (import "" "" (func $wait (result i32))) (func (param i32) {}))"#,
            "(local.set 0 (i32.add (local.get 0) (call $wait)))".repeat(size)
        )
    }),
    ("functions with points", 50_000, |size| {
        let function = "(func (param i64 f32) (result i64)
            (loop (call $wait) (br_if 0 (i64.eqz (local.get 0)))) (local.get 0))";
        format!(r#"(module (import "" "" (func $wait)) {})"#, function.repeat(size))
    }),
    ("blocks inside of each other, with points", 20_000, |size| {
        format!(
            r#"(module (import "" "" (func $wait)) (func {} {}))"#,
            "(block ".repeat(size),
            "(call $wait))".repeat(size)
        )
    }),
    ("conditions inside of each other, with points", 20_000, |size| {
        format!(
            r#"(module (import "" "" (func $wait)) (func (param i32) {} {}))"#,
            "(if (local.get 0) (then (call $wait)".repeat(size),
            "(call $wait)) (else (call $wait)))".repeat(size)
        )
    }),
    ("loops inside of each other, with points", 1_000, |size| {
        format!(
            r#"(module (import "" "" (func $wait (result i32))) (func {} {}))"#,
            "(loop (drop (call $wait)) ".repeat(size),
            "(br_if 0 (call $wait)))".repeat(size)
        )
    }),
    ("points with many operands", 2_000, |size| {
        format!(
            r#"(module (import "" "" (func $wait (result i32))) (func (result i32) {} {}))"#,
            "(call $wait)".repeat(size),
            "(i32.add)".repeat(size - 1)
        )
    }),
    ("points with many locals, each live at others", 5_000, |size| {
        let mut body = String::new();
        for n in 0..size {
            write!(body, "(local.set {n} (call $wait))").unwrap();
        }
        for n in 0..size {
            write!(body, "(drop (call $wait)) (drop (local.get {}))", n * 7 % size).unwrap();
        }
        let locals = "i32 ".repeat(size);
        format!(
            r#"(module (import "" "" (func $wait (result i32))) (func (local {locals}) {body}))"#
        )
    }),
];

/// With twins, the result is valid, or too large.
fn save(what: &str, text: &str) -> Duration {
    let wasm = wat::parse_str(text).unwrap_or_else(|error| panic!("{what}: {error}"));
    let start = Instant::now();
    let new = transform_with(&wasm, &Options::default().saves_calls(true).twins(true));
    let time = start.elapsed();
    match new {
        Ok(new) => {
            println!("{what}: {} bytes, {} afterwards, {time:?}", wasm.len(), new.wasm.len());
            Validator::new_with_features(WasmFeatures::WASM3).validate_all(&new.wasm).unwrap();
        }
        Err(Error::TooLarge { .. }) => println!("{what}: {} bytes, too large", wasm.len()),
        Err(error) => panic!("{what}: {error}"),
    }
    time
}

#[test]
fn large_modules_whose_calls_are_saved_are_valid_or_refused() {
    for (what, size, make) in SAVED {
        save(what, &make(if cfg!(debug_assertions) { size / 5 } else { *size }));
    }
}
