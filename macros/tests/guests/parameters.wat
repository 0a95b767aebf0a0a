;; Parameters with the names of items of the host, and of the prelude.
(module
  (func (export "constant") (param $MAX i32) (result i32) (local.get 0))
  (func (export "small_constant") (param $limit i32) (result i32) (local.get 0))
  (func (export "static") (param $COUNT i32) (result i32) (local.get 0))
  (func (export "small_static") (param $environ i32) (result i32) (local.get 0))
  (func (export "unit_struct") (param $Unit i32) (result i32) (local.get 0))
  (func (export "tuple_struct") (param $Tuple i32) (result i32) (local.get 0))
  (func (export "unit_variant") (param $North i32) (result i32) (local.get 0))
  (func (export "tuple_variant") (param $Turned i32) (result i32) (local.get 0))
  (func (export "prelude") (param $None i32) (param $Some i32) (param $Ok i32) (result i32) (local.get 0))
  (func (export "function") (param $run i32) (result i32) (local.get 0))
  (func (export "nothing")))
