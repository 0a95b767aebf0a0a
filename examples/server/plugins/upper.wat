;; Answers with its input in upper case: a module, whose instance serves one request after the other.
(module $upper
  (memory (export "memory") 2)

  ;; The input always goes to the second page. More than a page is refused.
  (func (export "alloc") (param $length i32) (result i32)
    (if (i32.gt_u (local.get $length) (i32.const 65536)) (then unreachable))
    (i32.const 65536))

  ;; The address of the answer in the upper half, and its length in the lower.
  (func (export "handle") (param $at i32) (param $length i32) (result i64)
    (local $end i32) (local $here i32)
    (local.set $here (local.get $at))
    (local.set $end (i32.add (local.get $at) (local.get $length)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $here) (local.get $end)))
        (if (i32.lt_u (i32.sub (i32.load8_u (local.get $here)) (i32.const 97)) (i32.const 26))
          (then (i32.store8 (local.get $here) (i32.sub (i32.load8_u (local.get $here)) (i32.const 32)))))
        (local.set $here (i32.add (local.get $here) (i32.const 1)))
        (br $next)))
    (i64.or
      (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32))
      (i64.extend_i32_u (local.get $length)))))
