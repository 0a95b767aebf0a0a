;; Gets up in the morning, and brings one apple after the other.
(module
  (import "shop" "sleep" (func $sleep))
  (import "shop" "count" (func $count (result i32)))
  (import "shop" "set_count" (func $set_count (param $apples i32)))

  (func (export "restock") (param $left i32)
    (call $sleep)
    (loop $next
      (call $set_count (i32.add (call $count) (i32.const 1)))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $next (local.get $left)))))
