;; Counts, and keeps the count where the host can read it.
(module
  (func (export "increment") (param $by i32) (result i32)
    (global.set $count (i32.add (global.get $count) (local.get $by)))
    (global.get $count))
  (global $count (export "count") (mut i32) (i32.const 0))
  (memory (export "memory") 1))
