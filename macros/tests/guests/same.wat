;; Two pairs of exports that come to the same name.
(module
  (func (export "a-b"))
  (func (export "a_b"))
  (func (export "c.d"))
  (func (export "c-d")))
