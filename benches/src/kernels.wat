;; Small guests that may wait in each of their functions, and hardly ever do.
(module
  (import "env" "yield" (func $yield))
  (memory (export "memory") 4)

  ;; Takeuchi's function: little else than calls.
  (func $tak (export "tak") (param $x i32) (param $y i32) (param $z i32) (result i32)
    (if (i32.lt_s (local.get $x) (i32.const -100)) (then call $yield))
    (if (result i32) (i32.lt_s (local.get $y) (local.get $x))
      (then (call $tak
        (call $tak (i32.sub (local.get $x) (i32.const 1)) (local.get $y) (local.get $z))
        (call $tak (i32.sub (local.get $y) (i32.const 1)) (local.get $z) (local.get $x))
        (call $tak (i32.sub (local.get $z) (i32.const 1)) (local.get $x) (local.get $y))))
      (else (local.get $z))))

  ;; In how many ways so many queens can stand: a function that calls itself in a loop.
  (global $solutions (mut i32) (i32.const 0))
  (func (export "queens") (param $count i32) (result i32)
    (global.set $solutions (i32.const 0))
    (call $place (i32.sub (i32.shl (i32.const 1) (local.get $count)) (i32.const 1)) (i32.const 0) (i32.const 0) (i32.const 0))
    (global.get $solutions))
  (func $place (param $all i32) (param $columns i32) (param $left i32) (param $right i32) (local $free i32) (local $bit i32)
    (if (i32.eq (local.get $columns) (local.get $all))
      (then
        (global.set $solutions (i32.add (global.get $solutions) (i32.const 1)))
        (if (i32.eqz (i32.rem_u (global.get $solutions) (i32.const 1000))) (then call $yield))
        return))
    (local.set $free (i32.and (local.get $all)
      (i32.xor (i32.or (i32.or (local.get $columns) (local.get $left)) (local.get $right)) (i32.const -1))))
    block $done
      loop $next
        (br_if $done (i32.eqz (local.get $free)))
        (local.set $bit (i32.and (local.get $free) (i32.sub (i32.const 0) (local.get $free))))
        (local.set $free (i32.xor (local.get $free) (local.get $bit)))
        (call $place
          (local.get $all)
          (i32.or (local.get $columns) (local.get $bit))
          (i32.shl (i32.or (local.get $left) (local.get $bit)) (i32.const 1))
          (i32.shr_u (i32.or (local.get $right) (local.get $bit)) (i32.const 1)))
        br $next
      end
    end)

  ;; Sorts words by a function of a table, which may wait.
  (type $compare (func (param i32 i32) (result i32)))
  (table 2 funcref)
  (elem (i32.const 0) $up $down)
  (func $up (type $compare) (i32.lt_u (local.get 0) (local.get 1)))
  (func $down (type $compare)
    (if (i32.eq (local.get 0) (i32.const -1)) (then call $yield))
    (i32.gt_u (local.get 0) (local.get 1)))
  (func (export "sorts") (param $count i32) (param $order i32) (result i32) (local $at i32) (local $word i32)
    (local.set $word (i32.const 12345))
    loop $fill
      (local.set $word (i32.add (i32.mul (local.get $word) (i32.const 1664525)) (i32.const 1013904223)))
      (i32.store (i32.shl (local.get $at) (i32.const 2)) (i32.and (local.get $word) (i32.const 0x7fffffff)))
      (br_if $fill (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1))) (local.get $count)))
    end
    (call $sort (i32.const 0) (i32.shl (i32.sub (local.get $count) (i32.const 1)) (i32.const 2)) (local.get $order))
    (i32.load (i32.const 0)))
  (func $sort (param $low i32) (param $high i32) (param $order i32) (local $i i32) (local $j i32) (local $pivot i32) (local $word i32)
    (if (i32.ge_s (local.get $low) (local.get $high)) (then return))
    (local.set $pivot (i32.load (local.get $high)))
    (local.set $i (local.get $low))
    (local.set $j (local.get $low))
    loop $next
      (if (call_indirect (type $compare) (i32.load (local.get $j)) (local.get $pivot) (local.get $order))
        (then
          (local.set $word (i32.load (local.get $i)))
          (i32.store (local.get $i) (i32.load (local.get $j)))
          (i32.store (local.get $j) (local.get $word))
          (local.set $i (i32.add (local.get $i) (i32.const 4)))))
      (br_if $next (i32.lt_s (local.tee $j (i32.add (local.get $j) (i32.const 4))) (local.get $high)))
    end
    (i32.store (local.get $high) (i32.load (local.get $i)))
    (i32.store (local.get $i) (local.get $pivot))
    (call $sort (local.get $low) (i32.sub (local.get $i) (i32.const 4)) (local.get $order))
    (call $sort (i32.add (local.get $i) (i32.const 4)) (local.get $high) (local.get $order)))

  ;; Multiplies matrices of 64 rows, and yields after each row.
  (func (export "multiplies") (param $times i32) (result f64) (local $row i32) (local $column i32) (local $k i32) (local $sum f64)
    loop $again
      (local.set $row (i32.const 0))
      loop $rows
        (local.set $column (i32.const 0))
        loop $columns
          (local.set $k (i32.const 0))
          (local.set $sum (f64.const 1))
          loop $products
            (local.set $sum (f64.add (local.get $sum) (f64.mul
              (f64.load (i32.add (i32.shl (local.get $row) (i32.const 9)) (i32.shl (local.get $k) (i32.const 3))))
              (f64.load offset=32768 (i32.add (i32.shl (local.get $k) (i32.const 9)) (i32.shl (local.get $column) (i32.const 3)))))))
            (br_if $products (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 1))) (i32.const 64)))
          end
          (f64.store offset=65536
            (i32.add (i32.shl (local.get $row) (i32.const 9)) (i32.shl (local.get $column) (i32.const 3))) (local.get $sum))
          (br_if $columns (i32.lt_u (local.tee $column (i32.add (local.get $column) (i32.const 1))) (i32.const 64)))
        end
        call $yield
        (br_if $rows (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (i32.const 64)))
      end
      (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1))))
    end
    local.get $sum)

  ;; Sieves numbers, and yields after each prime number.
  (func (export "sieves") (param $below i32) (result i32) (local $number i32) (local $multiple i32) (local $count i32)
    (memory.fill (i32.const 0) (i32.const 0) (local.get $below))
    (local.set $number (i32.const 2))
    loop $next
      (if (i32.eqz (i32.load8_u (local.get $number)))
        (then
          (local.set $count (i32.add (local.get $count) (i32.const 1)))
          (if (i32.eqz (i32.and (local.get $count) (i32.const 0xff))) (then call $yield))
          (local.set $multiple (i32.shl (local.get $number) (i32.const 1)))
          block $done
            loop $multiples
              (br_if $done (i32.ge_u (local.get $multiple) (local.get $below)))
              (i32.store8 (local.get $multiple) (i32.const 1))
              (local.set $multiple (i32.add (local.get $multiple) (local.get $number)))
              br $multiples
            end
          end))
      (br_if $next (i32.lt_u (local.tee $number (i32.add (local.get $number) (i32.const 1))) (local.get $below)))
    end
    local.get $count))
