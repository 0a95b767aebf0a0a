;; Someone who walks in their sleep. Each of its steps begins after a sleep of up to a minute, several functions deep.
(module
    (import "env" "sleep" (func $sleep (param $nanoseconds i64)))
    (memory 1)
    (global $random (mut i64) (i64.const 0))

    ;; xorshift64
    (func $next (result i64)
        (global.set $random (i64.xor (global.get $random) (i64.shl (global.get $random) (i64.const 13))))
        (global.set $random (i64.xor (global.get $random) (i64.shr_u (global.get $random) (i64.const 7))))
        (global.set $random (i64.xor (global.get $random) (i64.shl (global.get $random) (i64.const 17))))
        (global.get $random))

    ;; Sleeps at the bottom of a dream, and adds up what is dreamt on the way back.
    (func $dream (param $depth i32) (result i64)
        (local $dreamt i64)
        (local.set $dreamt (call $next))
        (if (i32.eqz (local.get $depth))
            (then (call $sleep (i64.mul
                (i64.rem_u (local.get $dreamt) (i64.const 60_000))
                (i64.const 1_000_000))))
            (else (local.set $dreamt (i64.add
                (local.get $dreamt)
                (call $dream (i32.sub (local.get $depth) (i32.const 1)))))))
        (local.get $dreamt))

    (func (export "walk") (param $seed i64) (param $steps i32) (result i64)
        (local $x i64) (local $y i64) (local $dreamt i64)
        (global.set $random (local.get $seed))
        (loop $step
            (local.set $dreamt (call $dream (i32.const 4)))
            (local.set $x (i64.add (local.get $x) (i64.and (local.get $dreamt) (i64.const 0xff))))
            (local.set $y (i64.xor (local.get $y) (i64.mul (local.get $dreamt) (local.get $x))))
            ;; Where it has been.
            (i64.store
                (i32.shl (local.get $steps) (i32.const 4))
                (local.get $x))
            (i64.store offset=8
                (i32.shl (local.get $steps) (i32.const 4))
                (local.get $y))
            (br_if $step (local.tee $steps (i32.sub (local.get $steps) (i32.const 1)))))
        (i64.xor (local.get $x) (local.get $y))))
