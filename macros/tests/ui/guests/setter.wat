(module
  (global (export "lives") (mut i32) (i32.const 3))
  (func (export "set_lives") (param i32)))
