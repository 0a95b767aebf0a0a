//! Programs that never end.

use std::fmt::Write;

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
pub(crate) fn endless() -> Vec<(&'static str, String)> {
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
        ("the host calls what it is given", r#"(module (type $t (func))
            (import "host" "call" (func $host (param (ref $t)))) (elem declare func $g)
            (func $g (type $t) (call $host (ref.func $g))) (func (export "f") (call $g)))"#.to_owned()),
        ("the host calls what it is given, if that is not null", r#"(module (type $t (func))
            (import "host" "call" (func $host (param (ref null $t)))) (elem declare func $g)
            (func $g (type $t) (call $host (ref.func $g))) (func (export "f") (call $g)))"#.to_owned()),
        ("two circles through one function", r#"(module
            (func $f (export "f") (call $g) (return_call $h))
            (func $g (call $i)) (func $h (return_call $f)) (func $i (br_if 0 (i32.const 1)) (call $f)))"#.to_owned()),
        ("a circle after a circle that ends", r#"(module
            (func $a (param i32) (if (local.get 0) (then (call $b (i32.sub (local.get 0) (i32.const 1))))))
            (func $b (param i32) (call $a (local.get 0)))
            (func $f (export "f") (call $a (i32.const 9)) (return_call $g)) (func $g (return_call $f)))"#.to_owned()),
        ("a circle of functions and one of a type through one of them", r#"(module
            (type $t (func)) (table funcref (elem $g $h))
            (func $f (export "f") (param) (call_indirect (type $t) (i32.const 0)) (return_call $f))
            (func $g (type $t) (br_if 0 (i32.const 1)) (call_indirect (type $t) (i32.const 1)))
            (func $h (type $t) (br_if 0 (i32.const 1)) (call $f)))"#.to_owned()),
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
