//! Guests of all shapes, each with the result that it has to give: undisturbed, frozen at each of its suspensions alone, and at all of them.

use super::gives;
use wasm_jobs::wasmtime::V128;

#[test]
fn locals_and_operands() {
    gives(
        r#"(module IMPORT (func (export "run") (result i32) (local i32)
            (local.set 0 (i32.const 5))
            (i32.add
                (i32.mul (i32.const 100) (call $wait (i32.const 1)))
                (i32.add (local.get 0) (call $wait (i32.const 2))))))"#,
        208,
        &[1, 2],
        2,
    );
}

#[test]
fn a_thousand_functions() {
    gives(
        r#"(module IMPORT
            (func $down (param i32) (result i32)
                (if (result i32) (local.get 0)
                    (then (i32.add (local.get 0) (call $down (i32.sub (local.get 0) (i32.const 1)))))
                    (else (call $yield) (call $wait (i32.const 0)))))
            (func (export "run") (result i32) (call $down (i32.const 1000))))"#,
        500_501,
        &[0],
        2,
    );
}

#[test]
fn two_functions_that_call_each_other_and_wait_on_the_way_down_and_up() {
    gives(
        r#"(module IMPORT
            (func $even (param $n i32) (result i32)
                (if (i32.eqz (local.get $n)) (then (return (i32.const 1))))
                (call $log (local.get $n))
                (call $odd (i32.sub (call $wait (local.get $n)) (i32.const 2))))
            (func $odd (param $n i32) (result i32) (local $is i32)
                (if (i32.eqz (local.get $n)) (then (return (i32.const 0))))
                (local.set $is (call $even (i32.sub (local.get $n) (i32.const 1))))
                (call $yield)
                (call $log (i32.sub (i32.const 0) (local.get $n)))
                (local.get $is))
            (func (export "run") (result i32) (call $even (i32.const 6))))"#,
        1,
        &[6, 6, 4, 4, 2, 2, -1, -3, -5],
        6,
    );
}

#[test]
fn tail_calls() {
    gives(
        r#"(module IMPORT (type $t (func (param i32 i32) (result i32)))
            (table funcref (elem $sum $last))
            (func $sum (type $t)
                (if (i32.eqz (local.get 0)) (then
                    (return_call_indirect (type $t) (i32.const 7) (local.get 1) (i32.const 1))))
                (return_call $sum
                    (i32.sub (local.get 0) (i32.const 1))
                    (i32.add (local.get 1) (call $wait (local.get 0)))))
            (func $last (type $t) (call $yield) (i32.add (local.get 0) (local.get 1)))
            (func (export "run") (result i32)
                (return_call_ref $t (i32.const 5) (i32.const 100) (ref.func $sum))))"#,
        // 6 + 5 + 4 + 3 + 2, and 7.
        100 + 20 + 7,
        &[5, 4, 3, 2, 1],
        6,
    );
}

#[test]
fn several_results_and_blocks_with_parameters() {
    gives(
        r#"(module IMPORT
            (func $pair (param i32) (result i32 i64 f64)
                (call $wait (local.get 0)) (i64.const -9) (f64.const 0.5))
            (func (export "run") (result i32 i64 f64 i32)
                (call $pair (i32.const 4))
                (block $out (param i32 i64 f64) (result i32 i64 f64 i32)
                    (call $wait (i32.const 20))
                    (br_if $out (call $wait (i32.const -2)))
                    (unreachable))))"#,
        (5, -9_i64, 0.5_f64, 21),
        &[4, 20, -2],
        3,
    );
}

#[test]
fn vectors() {
    gives(
        r#"(module IMPORT
            (func $f (param v128) (result v128) (local $twice v128)
                (local.set $twice (i32x4.add (local.get 0) (local.get 0)))
                (i32x4.replace_lane 3 (local.get $twice) (call $wait (i32.const 8)))
                (call $yield)
                (i64x2.add (local.get 0)))
            (func (export "run") (result v128)
                (call $f (v128.const i32x4 1 -1 3 4))))"#,
        // 2 -2 6 9 and 1 -1 3 4, by halves.
        V128::from(
            u128::from(0xffff_fffe_0000_0002_u64.wrapping_add(0xffff_ffff_0000_0001))
                | u128::from(0x0000_0009_0000_0006_u64 + 0x0000_0004_0000_0003) << 64,
        ),
        &[8],
        2,
    );
}

#[test]
fn floats_keep_the_bits_of_what_is_no_number() {
    gives(
        r#"(module IMPORT
            (global $f (mut f32) (f32.const nan:0x200001))
            (func (export "run") (result i32 i64 i32 i64) (local $f f32) (local $d f64)
                (local.set $f (f32.const -nan:0x312345))
                (local.set $d (f64.const nan:0x4000000000001))
                (f32.const nan:0x7) ;; an operand that is a signalling one
                (global.set $f (f32.const -nan:0x1))
                (call $yield)
                (i32.reinterpret_f32)
                (i64.reinterpret_f64 (local.get $d))
                (call $yield)
                (i32.reinterpret_f32 (local.get $f))
                (i64.extend_i32_u (i32.reinterpret_f32 (global.get $f)))))"#,
        (
            0x7f80_0007_i32,
            0x7ff4_0000_0000_0001_i64,
            0xffb1_2345_u32.cast_signed(),
            0xff80_0001_i64,
        ),
        &[],
        2,
    );
}

#[test]
fn handlers_around_what_waits() {
    gives(
        r#"(module IMPORT (tag $t (param i32))
            (func $throws (param i32) (throw $t (call $wait (local.get 0))))
            (func $between (param i32) (call $throws (local.get 0)) (call $log (i32.const -1)))
            (func (export "run") (result i32) (local $kept i32)
                (local.set $kept (i32.const 100))
                (block $caught (result i32)
                    (try_table (catch $t $caught)
                        (drop (call $wait (i32.const 1)))
                        (call $yield)
                        (call $between (i32.const 2)))
                    (unreachable))
                (i32.add (local.get $kept))
                (block $again (result i32)
                    (try_table (catch $t $again)
                        (block $inner
                            (try_table (catch_all $inner) (call $throws (i32.const 3)))
                            (unreachable))
                        (throw $t (call $wait (i32.const 4))))
                    (unreachable))
                (i32.add)))"#,
        100 + 3 + 5,
        &[1, 2, 3, 4],
        5,
    );
}

#[test]
fn loops_with_parameters_by_a_table_of_branches() {
    gives(
        r#"(module IMPORT (func (export "run") (result i32) (local $n i32) (local $turns i32)
            (i32.const 0)
            (loop $outer (param i32) (result i32)
                (block $out (param i32) (result i32)
                    (loop $again (param i32) (result i32)
                        (i32.add (call $wait (local.get $n)))
                        (local.set $n (i32.add (local.get $n) (i32.const 1)))
                        (br_table $again $again $out $outer $out
                            (i32.sub (local.get $n) (i32.const 1)))))
                (local.set $turns (i32.add (local.get $turns) (i32.const 1)))
                (call $yield)
                (br_if $outer (i32.lt_u (local.get $turns) (i32.const 2))))))"#,
        // n is 0, 1, 2, out; 3, outer; 4, out.
        1 + 2 + 3 + 4 + 5,
        &[0, 1, 2, 3, 4],
        7,
    );
}

#[test]
fn indirect_calls_of_guest_and_host_functions() {
    gives(
        r#"(module IMPORT (type $t (func (param i32) (result i32)))
            (table $f 3 funcref) (elem (i32.const 0) $wait $twice $through)
            (func $twice (type $t) (i32.mul (i32.const 2) (call $wait (local.get 0))))
            (func $through (type $t)
                (call_indirect $f (type $t) (call $wait (local.get 0)) (i32.const 0)))
            (func (export "run") (result i32) (local $n i32) (local $sum i32)
                (loop $next
                    (local.set $sum (i32.add
                        (i32.mul (local.get $sum) (i32.const 10))
                        (call_indirect $f (type $t) (local.get $n) (local.get $n))))
                    (br_if $next (i32.lt_u
                        (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 3))))
                (local.get $sum)))"#,
        100 + 40 + 4,
        &[0, 1, 2, 3],
        4,
    );
}

#[test]
fn an_import_that_is_exported_is_the_whole_call() {
    gives(
        r#"(module
            (import "env" "yield" (func $yield))
            (export "run" (func $yield)))"#,
        (),
        &[],
        1,
    );
}

#[test]
fn three_hundred_calls_in_one_function() {
    let calls: String = (0..300)
        .map(|n| {
            format!("(local.set $sum (i32.add (local.get $sum) (call $wait (i32.const {n}))))")
        })
        .collect();
    let text = format!(
        r#"(module IMPORT (func (export "run") (result i32) (local $sum i32) {calls} (local.get $sum)))"#
    );
    let log: Vec<i32> = (0..300).collect();
    gives(&text, 300 * 301 / 2, &log, 300);
}

#[test]
fn memory_and_tables_that_grew_and_segments_that_were_dropped() {
    gives(
        r#"(module IMPORT
            (type $t (func (result i32)))
            (memory (export "memory") 1 9)
            (table $f 1 20 funcref)
            (data $d "passive") (data (i32.const 8) "active")
            (elem $e func $one $two)
            (func $one (type $t) (i32.const 1))
            (func $two (type $t) (i32.const 2))
            (global $g (mut i64) (i64.const 5))
            (func $fits (result i32)
                (block $caught (result i32)
                    (i32.add (memory.size) (table.size $f))))
            (func (export "run") (result i32 i32 i32 i64)
                (call $yield)
                (drop (memory.grow (i32.const 2)))
                (memory.init $d (i32.const 150000) (i32.const 0) (i32.const 7))
                (drop (table.grow $f (ref.func $one) (i32.const 4)))
                (call $yield)
                (data.drop $d)
                (table.init $f $e (i32.const 1) (i32.const 1) (i32.const 1))
                (elem.drop $e)
                (global.set $g (i64.const -5))
                (call $yield)
                (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
                ;; Of a segment that was dropped, nothing is left to copy, and that is no trap.
                (memory.init $d (i32.const 0) (i32.const 0) (i32.const 0))
                (table.init $f $e (i32.const 0) (i32.const 0) (i32.const 0))
                (call $yield)
                (call $fits)
                (i32.load (i32.const 150003))
                (i32.add
                    (i32.mul (i32.const 10) (call_indirect $f (type $t) (i32.const 1)))
                    (call_indirect $f (type $t) (i32.const 4)))
                (call $yield)
                (global.get $g)))"#,
        (3 + 5, i32::from_le_bytes(*b"sive"), 21, -5_i64),
        &[],
        5,
    );
}

#[test]
fn several_memories_of_both_widths() {
    gives(
        r#"(module IMPORT
            (memory $a 1) (memory $b i64 1) (memory $c 0 3)
            (func (export "run") (result i32 i64 i32)
                (i32.store $a (i32.const 100) (call $wait (i32.const 6)))
                (i64.store $b (i64.const 65528) (i64.const -2))
                (call $yield)
                (drop (memory.grow $c (i32.const 2)))
                (memory.copy $a $c (i32.const 0) (i32.const 0) (i32.const 8))
                (i32.store8 $c (i32.const 131071) (i32.const 77))
                (drop (memory.grow $b (i64.const 1)))
                (call $yield)
                (i32.load $a (i32.const 100))
                (i64.load $b (i64.const 65528))
                (i32.load8_u $c (i32.const 131071))))"#,
        (7, -2_i64, 77),
        &[6],
        3,
    );
}

#[test]
fn references_to_functions_that_live_across_a_wait() {
    gives(
        r#"(module IMPORT (type $t (func (result i32)))
            (global $g (mut funcref) (ref.null func))
            (table $f 2 funcref)
            (elem declare func $one $two)
            (func $one (type $t) (i32.add (call $wait (i32.const 10)) (i32.const 1)))
            (func $two (type $t) (i32.const 2))
            (func $call (param $p (ref $t)) (param $null funcref) (result i32) (local $l (ref null $t))
                (local.set $l (ref.func $two))
                (call $yield)
                (table.set $f (i32.const 1) (local.get $l))
                (i32.add
                    (i32.mul (i32.const 100) (call_ref $t (local.get $p)))
                    (i32.add
                        (i32.mul (i32.const 10) (call_ref $t (local.get $l)))
                        (ref.is_null (local.get $null)))))
            (func (export "run") (result i32)
                (global.set $g (ref.func $two))
                (call $call (ref.func $one) (ref.null func))
                (call $yield)
                (call_indirect $f (type $t) (i32.const 1))
                (i32.add)))"#,
        1_200 + 20 + 1 + 2,
        &[10],
        3,
    );
}

#[test]
fn a_start_function_runs_once_and_not_at_the_thaw() {
    gives(
        r#"(module IMPORT
            (memory 1)
            (global $g (mut i32) (i32.const 0))
            (start $start)
            (func $start
                (global.set $g (i32.add (global.get $g) (i32.const 1)))
                (i32.store (i32.const 4) (i32.add (i32.load (i32.const 4)) (i32.const 1))))
            (func (export "run") (result i32)
                (call $yield)
                (i32.add (i32.mul (i32.const 10) (global.get $g)) (i32.load (i32.const 4)))))"#,
        11,
        &[],
        1,
    );
}

#[test]
fn a_call_is_frozen_and_thawed_three_hundred_times() {
    gives(
        r#"(module IMPORT
            (memory 1)
            (func $turn (param $n i32) (call $yield)
                (i32.store (i32.mul (local.get $n) (i32.const 64)) (local.get $n)))
            (func (export "run") (result i32) (local $n i32) (local $sum i32)
                (loop $next
                    (call $turn (local.get $n))
                    (br_if $next (i32.lt_u
                        (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 300))))
                (loop $next
                    (local.set $n (i32.sub (local.get $n) (i32.const 1)))
                    (local.set $sum (i32.add (local.get $sum)
                        (i32.load (i32.mul (local.get $n) (i32.const 64)))))
                    (br_if $next (local.get $n)))
                (local.get $sum)))"#,
        299 * 300 / 2,
        &[],
        300,
    );
}
