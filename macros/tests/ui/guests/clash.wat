(module
  (func (export "foo-bar"))
  (func (export "foo_bar")))
