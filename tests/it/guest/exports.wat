;; One export of each kind, and names that are no Rust names.
(module $exports
    (memory (export "memory") 1)
    (table (export "table") 2 funcref)
    (elem (i32.const 0) $reset)
    (global (export "answer") i32 (i32.const 42))
    (global $counter (export "counter") (mut i64) (i64.const 0))
    (global (export "ratio") (mut f64) (f64.const 0))

    (func (export "counter-add") (param $by i64)
        (global.set $counter (i64.add (global.get $counter) (local.get $by))))
    (func (export "divide") (param $a i32) (param $b i32) (result i32)
        (i32.div_s (local.get $a) (local.get $b)))
    (func (export "load") (param i32) (result i32)
        (i32.load (local.get 0)))
    (func (export "all_numbers") (param i32 i64 f32 f64) (result i32 i64 f32 f64)
        (local.get 0) (local.get 1) (local.get 2) (local.get 3))
    (func (export "same_v128") (param v128) (result v128) (local.get 0))
    (func (export "same_externref") (param externref) (result externref) (local.get 0))
    (func (export "same_funcref") (param funcref) (result funcref) (local.get 0))

    (func (export "a-b") (result i32) (i32.const 1))
    (func (export "a_b") (result i32) (i32.const 2))
    (func (export "match") (result i32) (i32.const 3))
    (func (export "1st") (result i32) (i32.const 4))
    (func (export "new") (result i32) (i32.const 5))
    ;; This is also the name of a method of `Instance`.
    (func $reset (export "reset") (result i32) (i32.const 42)))
