;; Takes memory until it gets no more, and then does what most languages do: it traps.
(module $hog
  (memory (export "memory") 1)
  (func (export "alloc") (param i32) (result i32) (i32.const 0))
  (func $allocate (export "handle") (param i32 i32) (result i64)
    (loop $more
      (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
    (call $out_of_memory)
    (i64.const 0))
  (func $out_of_memory unreachable))
