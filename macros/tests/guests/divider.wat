;; Traps if it is asked to divide by zero.
(module
  (func (export "divide") (param $of i32) (param $by i32) (result i32)
    (i32.div_s (local.get $of) (local.get $by)))
  (func (export "check")))
