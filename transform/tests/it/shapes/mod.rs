//! [`module`]: makes modules, as text, whose blocks, loops and handlers take and give references, too. Their calls of `host` may wait. All loops end.

mod body;
mod branches;

use crate::splitmix::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heap {
    Func,
    T,
    U,
    Extern,
    Exn,
}

/// A type. A reference may be null if it says `true`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ty {
    I32,
    I64,
    V128,
    Ref(Heap, bool),
}

use Heap::{Exn, Extern, T, U};
use Ty::{I32, I64, Ref, V128};

const TYPES: [Ty; 13] = [
    I32,
    I32,
    I64,
    V128,
    Ref(Heap::Func, true),
    Ref(Heap::Func, false),
    Ref(T, true),
    Ref(T, false),
    Ref(U, false),
    Ref(Extern, true),
    Ref(Extern, false),
    Ref(Exn, true),
    Ref(Exn, false),
];

const TAGS: [&[Ty]; 4] = [&[], &[I32], &[Ref(T, false)], &[Ref(Extern, true), I64]];

/// What all modules have. `more` ends the loops, and `see` functions keep what the guest has seen.
const COMMON: &str = r#"
(type $t (func (result i32))) (type $s (func (result i32)))
(type $u (func (param (ref null $t)) (result (ref $s))))
(import "host" "wait" (func $wait (param i32) (result i32)))
(import "host" "make" (func $make (param i32) (result externref)))
(import "host" "pause" (func $pause))
(import "host" "two" (func $two (param i32 i64) (result i64 i32)))
(import "now" "show" (func $show (param externref)))
(import "now" "kind" (func $kind (param funcref) (result i32)))
(tag $e0) (tag $e1 (param i32)) (tag $e2 (param (ref $t))) (tag $e3 (param externref i64))
(global $seen (mut i32) (i32.const 1)) (global $left (mut i32) (i32.const LEFT))
(table $tab 5 funcref) (elem (table $tab) (i32.const 0) func $t0 $t1 $t2 $t0)
(elem declare func $t0 $t1 $t2 $u0 $u1)
(func $t0 (type $t) (i32.const 7))
(func $t1 (type $s) (call $wait (i32.const 70)))
(func $t2 (type $t) (call $see_i32 (i32.const 8)) (global.get $seen))
(func $u0 (type $u) (ref.func $t0))
(func $u1 (type $u) (call $pause)
    (block (result (ref $t)) (br_on_non_null 0 (local.get 0)) (ref.func $t1)))
(func $more (result i32)
    (global.set $left (i32.sub (global.get $left) (i32.const 1)))
    (i32.gt_s (global.get $left) (i32.const 0)))
(func $see_i32 (param i32)
    (global.set $seen (i32.add (local.get 0) (i32.mul (i32.const 31) (global.get $seen)))))
(func $see_i64 (param i64) (call $see_i32 (i32.wrap_i64 (local.get 0))))
(func $see_v128 (param v128) (call $see_i32 (i32x4.extract_lane 1 (local.get 0))))
(func $see_t (param (ref null $t))
    (block (call $see_i32 (call_ref $t (br_on_null 0 (local.get 0)))) (return))
    (call $see_i32 (i32.const 2)))
(func $see_u (param (ref null $u)) (call $see_t (call_ref $u (ref.null $t) (local.get 0))))
(func $see_func (param funcref)
    (table.set $tab (i32.const 4) (local.get 0))
    (call $see_i32 (call $kind (local.get 0)))
    (if (i32.eq (call $kind (local.get 0)) (i32.const 1))
        (then (call $see_i32 (call_indirect $tab (type $t) (i32.const 4))))))
(func $see_extern (param externref) (call $show (local.get 0)))
(func $see_exn (param exnref) (local i32)
    (block (block $one (result i32)
            (block $two (result (ref $t))
                (br_if 2 (ref.is_null (local.get 0)))
                (try_table (catch $e1 $one) (catch $e2 $two) (catch_all 2) (throw_ref (local.get 0)))
                (unreachable))
            (call_ref $t))
        (call $see_i32)))
(func $some_exn (result exnref)
    (block (result exnref)
        (try_table (catch_all_ref 0) (throw $e1 (call $wait (i32.const 60)))) (unreachable)))
"#;

impl Ty {
    fn is_a(self, of: Self) -> bool {
        match (self, of) {
            (Ref(one, null), Ref(other, may)) => {
                (may || !null) && (one == other || (other == Heap::Func && matches!(one, T | U)))
            }
            _ => self == of,
        }
    }
}

struct Label {
    types: Vec<Ty>,
    is_loop: bool,
}

struct Maker {
    random: Random,
    text: String,
    stack: Vec<Ty>,
    locals: Vec<Ty>,
    /// Whether a local has a value, for sure.
    is_set: Vec<bool>,
    labels: Vec<Label>,
    functions: Vec<(Vec<Ty>, Vec<Ty>)>,
    this: usize,
    /// How many more steps the function may have.
    budget: i32,
    loops: u64,
}

/// A module that exports `run`. It imports what `saved_shapes` defines.
pub(crate) fn module(seed: u64) -> String {
    let mut random = Random(seed);
    let left = 3 + random.below(12);
    let mut maker = Maker {
        random,
        text: format!("(module {}", COMMON.replace("LEFT", &left.to_string())),
        stack: vec![],
        locals: vec![],
        is_set: vec![],
        labels: vec![],
        functions: vec![],
        this: 0,
        budget: 0,
        loops: 0,
    };
    for n in 0..3 {
        let params = if n == 0 { vec![] } else { maker.types(4) };
        let mut results = maker.types(3);
        // Nothing can stand in for these.
        results.retain(|ty| !matches!(ty, Ref(Extern | Exn, false)));
        maker.functions.push((params, results));
    }
    for n in 0..3 {
        maker.function(n);
    }
    maker.text +=
        "(func (export \"run\") (result i32)\n(block (try_table (catch_all 0) (call $f0)\n";
    maker.stack = maker.functions[0].1.clone();
    while let Some(ty) = maker.stack.pop() {
        maker.see(ty);
    }
    maker.text += ")) (call $wait (global.get $seen))))";
    maker.text
}
