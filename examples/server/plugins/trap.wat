;; Divides by zero.
(module $trap
  (memory (export "memory") 1)
  (func (export "alloc") (param i32) (result i32) (i32.const 0))
  (func $divide (param $by i32) (result i32) (i32.div_u (i32.const 1) (local.get $by)))
  (func (export "handle") (param i32 i32) (result i64)
    (i64.extend_i32_u (call $divide (i32.const 0)))))
