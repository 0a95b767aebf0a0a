(module
  (import "env" "yield" (func $yield))
  (memory (export "memory") 1)
  (func (export "nothing"))
  (func (export "fails") unreachable)
  (func (export "counts") (param $to i64) (result i64) (local $n i64)
    loop $again
      (br_if $again (i64.lt_u (local.tee $n (i64.add (local.get $n) (i64.const 1))) (local.get $to)))
    end
    local.get $n)
  (func (export "counts_and_yields") (param $to i64) (result i64) (local $n i64)
    loop $again
      (if (i64.eqz (i64.and (local.get $n) (i64.const 0xfff))) (then call $yield))
      (br_if $again (i64.lt_u (local.tee $n (i64.add (local.get $n) (i64.const 1))) (local.get $to)))
    end
    local.get $n)
  (func (export "yields") (param $times i32)
    loop $again
      call $yield
      (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1))))
    end))
