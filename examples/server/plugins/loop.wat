;; Never ends. The limit of 50 ms that a call may run stops it.
(module $loop
  (memory (export "memory") 1)
  (func (export "alloc") (param i32) (result i32) (i32.const 0))
  (func $for_ever (export "handle") (param i32 i32) (result i64)
    (loop $again (br $again))
    unreachable))
