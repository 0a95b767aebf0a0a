;; Buys one apple, for three coins.
(module
  (import "shop" "take" (func $take)) ;; waits until there is an apple
  (import "shop" "pay" (func $pay (param $coins i32)))

  (func (export "buy")
    (call $take)
    (call $pay (i32.const 3))))
