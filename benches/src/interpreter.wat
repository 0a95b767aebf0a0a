;; An interpreter. An instruction is four bytes: what to do, and its operands a, b and c. There are 32 registers of 64 bits.
(module
  (import "env" "yield" (func $yield))
  (memory (export "memory") 1)
  ;; At 4096, the program: it yields, and then counts register 1 down.
  (data (i32.const 4096)
    "\01\00\00\00" ;; yield
    "\02\02\02\01" ;; r2 = r2 + r1
    "\03\03\03\02" ;; r3 = r3 * r2
    "\04\03\03\01" ;; r3 = r3 ^ r1
    "\07\04\03\00" ;; r4 = words[r3]
    "\02\04\04\01" ;; r4 = r4 + r1
    "\08\04\03\00" ;; words[r3] = r4
    "\05\03\03\07" ;; r3 = r3 + 7
    "\05\01\01\ff" ;; r1 = r1 - 1
    "\06\01\00\f7" ;; if r1 is not 0, go back by nine instructions, to the second
    "\00\03\00\00") ;; end with r3

  ;; Runs the program with `times` in register 1, and gives what it ends with, plus the number of instructions.
  (func (export "interprets") (param $times i64) (result i64)
    (memory.fill (i32.const 0) (i32.const 0) (i32.const 4096))
    (i64.store (i32.const 8) (local.get $times))
    (i64.store (i32.const 24) (i64.const 1))
    (call $run (i32.const 4096)))

  (func $run (param $at i32) (result i64) (local $instruction i32) (local $a i32) (local $b i32) (local $c i32) (local $count i64)
    loop $next
      (local.set $instruction (i32.load (local.get $at)))
      (local.set $at (i32.add (local.get $at) (i32.const 4)))
      (local.set $count (i64.add (local.get $count) (i64.const 1)))
      (local.set $a (i32.and (i32.shr_u (local.get $instruction) (i32.const 5)) (i32.const 0xf8)))
      (local.set $b (i32.and (i32.shr_u (local.get $instruction) (i32.const 13)) (i32.const 0xf8)))
      (local.set $c (i32.shr_s (local.get $instruction) (i32.const 24)))
      block $store block $load block $if block $add_number block $xor block $mul block $add block $wait block $end
        (br_table $end $wait $add $mul $xor $add_number $if $load $store
          (i32.and (local.get $instruction) (i32.const 0xff)))
      end ;; $end
        (return (i64.add (i64.load (local.get $a)) (local.get $count)))
      end ;; $wait
        call $yield
        br $next
      end ;; $add
        (i64.store (local.get $a)
          (i64.add (i64.load (local.get $b)) (i64.load (i32.shl (local.get $c) (i32.const 3)))))
        br $next
      end ;; $mul
        (i64.store (local.get $a)
          (i64.mul (i64.load (local.get $b)) (i64.load (i32.shl (local.get $c) (i32.const 3)))))
        br $next
      end ;; $xor
        (i64.store (local.get $a)
          (i64.xor (i64.load (local.get $b)) (i64.load (i32.shl (local.get $c) (i32.const 3)))))
        br $next
      end ;; $add_number
        (i64.store (local.get $a) (i64.add (i64.load (local.get $b)) (i64.extend_i32_s (local.get $c))))
        br $next
      end ;; $if
        (if (i64.ne (i64.load (local.get $a)) (i64.const 0))
          (then (local.set $at (i32.add (local.get $at) (i32.shl (local.get $c) (i32.const 2))))))
        br $next
      end ;; $load
        (i64.store (local.get $a)
          (i64.load offset=8192 (i32.and (i32.wrap_i64 (i64.load (local.get $b))) (i32.const 0xff8))))
        br $next
      end ;; $store
      (i64.store offset=8192 (i32.and (i32.wrap_i64 (i64.load (local.get $b))) (i32.const 0xff8))
        (i64.load (local.get $a)))
      br $next
    end
    unreachable))
