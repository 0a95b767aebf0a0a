;; Two players paint a field of 320 by 180 cells. 24 balls roll over it and wipe the paint away. Who touches a ball throws the dice for what it
;; does next.
;;
;; The state of the game is in three places:
;; - the memory has the players, the balls and the field;
;; - the table $behaviours has a function for each ball: what the ball does now;
;; - the global $random is the state of the dice. It is no export.
(module
  (type $behaviour (func (param $ball i32)))

  ;; At 0 the two players, at 64 the balls: the place and the velocity of each, four f32. At 4096 the field, a byte for each cell.
  (memory (export "memory") 1)

  (global $random (mut i64) (i64.const 0))

  ;; A function for each ball, and from 24 on the sides of the dice.
  (table $behaviours 28 funcref)
  (elem (table $behaviours) (i32.const 0) func
    $wander $spin $wander $spin $wander $spin $wander $spin $wander $spin $wander $spin
    $wander $spin $wander $spin $wander $spin $wander $spin $wander $spin $wander $spin
    $wander $spin $chase_one $chase_two)

  ;; A number from 0 up to 1.
  (func $throw (result f32)
    (global.set $random (i64.add
      (i64.mul (global.get $random) (i64.const 6364136223846793005))
      (i64.const 1442695040888963407)))
    (f32.mul
      (f32.convert_i64_u (i64.shr_u (global.get $random) (i64.const 40)))
      (f32.const 0x1p-24)))

  ;; A number from -limit up to limit.
  (func $throw_within (param $limit f32) (result f32)
    (f32.mul (local.get $limit) (f32.sub (f32.mul (call $throw) (f32.const 2)) (f32.const 1))))

  ;; Begins a match.
  (func (export "begin") (param $seed i64)
    (local $ball i32)
    (global.set $random (local.get $seed))
    (f32.store (i32.const 0) (f32.const 80))
    (f32.store (i32.const 4) (f32.const 90))
    (f32.store (i32.const 16) (f32.const 240))
    (f32.store (i32.const 20) (f32.const 90))
    (local.set $ball (i32.const 64))
    (loop $balls
      (f32.store offset=0 (local.get $ball) (f32.add (f32.const 160) (call $throw_within (f32.const 150))))
      (f32.store offset=4 (local.get $ball) (f32.add (f32.const 90) (call $throw_within (f32.const 80))))
      (f32.store offset=8 (local.get $ball) (call $throw_within (f32.const 1.2)))
      (f32.store offset=12 (local.get $ball) (call $throw_within (f32.const 1.2)))
      (local.set $ball (i32.add (local.get $ball) (i32.const 16)))
      (br_if $balls (i32.lt_u (local.get $ball) (i32.const 448)))))

  ;; Advances the match by a frame. The inputs have a bit each for left, right, up and down.
  (func (export "frame") (param $one i32) (param $two i32)
    (local $index i32) (local $ball i32)
    (call $steer (i32.const 0) (local.get $one))
    (call $steer (i32.const 16) (local.get $two))
    (call $paint (i32.const 0) (i32.const 4) (i32.const 1))
    (call $paint (i32.const 16) (i32.const 4) (i32.const 2))
    (loop $balls
      (local.set $ball (i32.add (i32.const 64) (i32.shl (local.get $index) (i32.const 4))))
      (call_indirect $behaviours (type $behaviour) (local.get $ball) (local.get $index))
      (call $roll (local.get $ball))
      (call $paint (local.get $ball) (i32.const 1) (i32.const 0))
      (call $touch (local.get $index) (local.get $ball) (i32.const 0))
      (call $touch (local.get $index) (local.get $ball) (i32.const 16))
      (local.set $index (i32.add (local.get $index) (i32.const 1)))
      (br_if $balls (i32.lt_u (local.get $index) (i32.const 24)))))

  ;; Moves a player.
  (func $steer (param $player i32) (param $input i32)
    (f32.store offset=8 (local.get $player)
      (call $speed (f32.load offset=8 (local.get $player)) (local.get $input)))
    (f32.store offset=12 (local.get $player)
      (call $speed (f32.load offset=12 (local.get $player)) (i32.shr_u (local.get $input) (i32.const 2))))
    (f32.store offset=0 (local.get $player) (f32.max (f32.const 5) (f32.min (f32.const 315)
      (f32.add (f32.load offset=0 (local.get $player)) (f32.load offset=8 (local.get $player))))))
    (f32.store offset=4 (local.get $player) (f32.max (f32.const 5) (f32.min (f32.const 175)
      (f32.add (f32.load offset=4 (local.get $player)) (f32.load offset=12 (local.get $player)))))))

  ;; A velocity after one frame. Bit 0 of the input slows it down, and bit 1 speeds it up.
  (func $speed (param $speed f32) (param $input i32) (result f32)
    (f32.mul (f32.const 0.9) (f32.add (local.get $speed) (f32.mul (f32.const 0.25) (f32.convert_i32_s
      (i32.sub
        (i32.and (i32.shr_u (local.get $input) (i32.const 1)) (i32.const 1))
        (i32.and (local.get $input) (i32.const 1))))))))

  ;; Paints a disc around a player or a ball. The centre is never nearer to the border than the radius.
  (func $paint (param $at i32) (param $radius i32) (param $colour i32)
    (local $x i32) (local $y i32) (local $centre i32)
    (local.set $centre (i32.add (i32.const 4096) (i32.add
      (i32.mul (i32.trunc_sat_f32_s (f32.load offset=4 (local.get $at))) (i32.const 320))
      (i32.trunc_sat_f32_s (f32.load offset=0 (local.get $at))))))
    (local.set $y (i32.sub (i32.const 0) (local.get $radius)))
    (loop $rows
      (local.set $x (i32.sub (i32.const 0) (local.get $radius)))
      (loop $cells
        (if (i32.le_s
              (i32.add (i32.mul (local.get $x) (local.get $x)) (i32.mul (local.get $y) (local.get $y)))
              (i32.mul (local.get $radius) (local.get $radius)))
          (then (i32.store8
            (i32.add (local.get $centre) (i32.add (i32.mul (local.get $y) (i32.const 320)) (local.get $x)))
            (local.get $colour))))
        (local.set $x (i32.add (local.get $x) (i32.const 1)))
        (br_if $cells (i32.le_s (local.get $x) (local.get $radius))))
      (local.set $y (i32.add (local.get $y) (i32.const 1)))
      (br_if $rows (i32.le_s (local.get $y) (local.get $radius)))))

  ;; Moves a ball, which bounces off the border.
  (func $roll (param $ball i32)
    (call $roll_along (local.get $ball) (f32.const 317))
    (call $roll_along (i32.add (local.get $ball) (i32.const 4)) (f32.const 177)))

  (func $roll_along (param $axis i32) (param $end f32)
    (local $to f32)
    (local.set $to (f32.add (f32.load offset=0 (local.get $axis)) (f32.load offset=8 (local.get $axis))))
    (if (i32.or (f32.lt (local.get $to) (f32.const 2)) (f32.gt (local.get $to) (local.get $end)))
      (then (f32.store offset=8 (local.get $axis) (f32.neg (f32.load offset=8 (local.get $axis))))))
    (f32.store offset=0 (local.get $axis) (f32.max (f32.const 2) (f32.min (local.get $end) (local.get $to)))))

  ;; If a player touches a ball, the two are pushed apart, and the dice say what the ball does from now on.
  (func $touch (param $index i32) (param $ball i32) (param $player i32)
    (local $x f32) (local $y f32) (local $distance f32)
    (local.set $x (f32.sub (f32.load offset=0 (local.get $ball)) (f32.load offset=0 (local.get $player))))
    (local.set $y (f32.sub (f32.load offset=4 (local.get $ball)) (f32.load offset=4 (local.get $player))))
    (local.set $distance (call $length (local.get $x) (local.get $y)))
    (if (f32.lt (local.get $distance) (f32.const 6))
      (then
        (local.set $x (f32.div (local.get $x) (local.get $distance)))
        (local.set $y (f32.div (local.get $y) (local.get $distance)))
        (f32.store offset=8 (local.get $ball) (f32.mul (local.get $x) (f32.const 1.8)))
        (f32.store offset=12 (local.get $ball) (f32.mul (local.get $y) (f32.const 1.8)))
        (f32.store offset=8 (local.get $player) (f32.sub (f32.load offset=8 (local.get $player)) (local.get $x)))
        (f32.store offset=12 (local.get $player) (f32.sub (f32.load offset=12 (local.get $player)) (local.get $y)))
        (table.set $behaviours (local.get $index) (table.get $behaviours
          (i32.add (i32.const 24) (i32.trunc_sat_f32_u (f32.mul (call $throw) (f32.const 4)))))))))

  ;; Never zero, so that one can divide by it.
  (func $length (param $x f32) (param $y f32) (result f32)
    (f32.add (f32.const 0.001) (f32.sqrt (f32.add
      (f32.mul (local.get $x) (local.get $x))
      (f32.mul (local.get $y) (local.get $y))))))

  ;; The behaviours.

  (func $wander (type $behaviour) (param $ball i32)
    (if (f32.lt (call $throw) (f32.const 0.03))
      (then
        (f32.store offset=8 (local.get $ball) (call $throw_within (f32.const 1.2)))
        (f32.store offset=12 (local.get $ball) (call $throw_within (f32.const 1.2))))))

  (func $spin (type $behaviour) (param $ball i32)
    (local $x f32) (local $y f32)
    (local.set $x (f32.load offset=8 (local.get $ball)))
    (local.set $y (f32.load offset=12 (local.get $ball)))
    (f32.store offset=8 (local.get $ball)
      (f32.sub (f32.mul (local.get $x) (f32.const 0.9982)) (f32.mul (local.get $y) (f32.const 0.06))))
    (f32.store offset=12 (local.get $ball)
      (f32.add (f32.mul (local.get $y) (f32.const 0.9982)) (f32.mul (local.get $x) (f32.const 0.06)))))

  (func $chase_one (type $behaviour) (param $ball i32) (call $chase (local.get $ball) (i32.const 0)))
  (func $chase_two (type $behaviour) (param $ball i32) (call $chase (local.get $ball) (i32.const 16)))

  (func $chase (param $ball i32) (param $player i32)
    (local $x f32) (local $y f32) (local $distance f32)
    (local.set $x (f32.sub (f32.load offset=0 (local.get $player)) (f32.load offset=0 (local.get $ball))))
    (local.set $y (f32.sub (f32.load offset=4 (local.get $player)) (f32.load offset=4 (local.get $ball))))
    (local.set $distance (call $length (local.get $x) (local.get $y)))
    (f32.store offset=8 (local.get $ball) (f32.mul (f32.const 0.96) (f32.add (f32.load offset=8 (local.get $ball))
      (f32.div (f32.mul (local.get $x) (f32.const 0.06)) (local.get $distance)))))
    (f32.store offset=12 (local.get $ball) (f32.mul (f32.const 0.96) (f32.add (f32.load offset=12 (local.get $ball))
      (f32.div (f32.mul (local.get $y) (f32.const 0.06)) (local.get $distance)))))))
