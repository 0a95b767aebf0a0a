;; The creature of `examples/walk.rs`: it walks for half a second, two a second.
(module
    (import "bevy" "next_frame" (func $next_frame (result f32)))
    (import "bevy" "now" (func $now (result f64)))
    (import "game" "walk" (func $walk (param f32)))
    (func (export "main")
        (local $end f64)
        (local.set $end (f64.add (call $now) (f64.const 0.5)))
        (loop $again
            (call $walk (f32.mul (call $next_frame) (f32.const 2)))
            (br_if $again (f64.lt (call $now) (local.get $end))))))
