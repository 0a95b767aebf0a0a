;; Writes its input to its output: a WASI program.
(module $echo
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  ;; At 0: where the text is, and how much room there is, for reading. At 8: where it is, and how long it is, for writing.
  (data (i32.const 0) "\00\00\01\00\00\00\01\00")
  (data (i32.const 8) "\00\00\01\00")

  (func (export "_start")
    (loop $next
      (if (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 12)) (then return))
      (if (i32.eqz (i32.load (i32.const 12))) (then return))
      (call $write)
      (br $next)))

  (func $write
    (if (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)) (then unreachable))))
