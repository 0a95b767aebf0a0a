(module
  (func (export "run") (param i32)
    (i32.ad (local.get 0))))
