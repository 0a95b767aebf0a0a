(module
  (tag (export "thrown") (param i32))
  (func (export "step"))
  (func (export "stop"))
  (func (export "any") (param anyref)))
