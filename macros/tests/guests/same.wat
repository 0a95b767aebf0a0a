;; Two pairs of exports that would have the same method.
(module
  (func (export "a-b"))
  (func (export "a_b"))
  (func (export "c.d"))
  (func (export "c-d")))
