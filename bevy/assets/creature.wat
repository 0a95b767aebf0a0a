;; A creature of `examples/creatures.rs`, written by hand. `wander` is a walk that never ends; `spin` is a loop that never ends.
(module
    (import "bevy" "next_frame" (func $next_frame (result f32)))
    (import "bevy" "sleep" (func $sleep (param f64)))
    (import "game" "seed" (func $seed (result i32)))
    (import "game" "move_by" (func $move_by (param f32 f32) (result i32)))

    (global $random (mut i32) (i32.const 0))

    ;; A number from -1 to 1: Marsaglia's xorshift.
    (func $next_random (result f32)
        (global.set $random (i32.xor (global.get $random) (i32.shl (global.get $random) (i32.const 13))))
        (global.set $random (i32.xor (global.get $random) (i32.shr_u (global.get $random) (i32.const 17))))
        (global.set $random (i32.xor (global.get $random) (i32.shl (global.get $random) (i32.const 5))))
        (f32.div (f32.convert_i32_s (global.get $random)) (f32.const 2147483648)))

    (func (export "wander")
        (local $x f32) (local $y f32) (local $turn f32) (local $old f32) (local $length f32) (local $way f32)
        (global.set $random (call $seed))
        (local.set $x (call $next_random))
        (local.set $y (call $next_random))
        (loop $again
            ;; The direction turns a little, and has the length one.
            (local.set $turn (f32.add (f32.mul (local.get $turn) (f32.const 0.9)) (f32.mul (call $next_random) (f32.const 0.05))))
            (local.set $old (local.get $x))
            (local.set $x (f32.sub (local.get $x) (f32.mul (local.get $turn) (local.get $y))))
            (local.set $y (f32.add (local.get $y) (f32.mul (local.get $turn) (local.get $old))))
            (local.set $length (f32.sqrt (f32.add
                (f32.mul (local.get $x) (local.get $x))
                (f32.mul (local.get $y) (local.get $y)))))
            (local.set $x (f32.div (local.get $x) (local.get $length)))
            (local.set $y (f32.div (local.get $y) (local.get $length)))

            (local.set $way (f32.mul (call $next_frame) (f32.const 12))) ;; twelve a second
            (if (i32.eqz (call $move_by (f32.mul (local.get $x) (local.get $way)) (f32.mul (local.get $y) (local.get $way))))
                (then ;; a wall: it rests, and turns round
                    (call $sleep (f64.const 0.3))
                    (drop (call $next_frame)) ;; the time of the rest is not walked
                    (local.set $x (f32.neg (local.get $x)))
                    (local.set $y (f32.neg (local.get $y)))))
            (br $again)))

    (func (export "spin")
        (loop $again (br $again))))
