;; A program of WASI 0.3. Its `run` is the code that a test puts in, which leaves 0 for success or 1 for failure.
(component
    (import "wasi:clocks/monotonic-clock@0.3.0" (instance $clock
        (export "now" (func (result u64)))
        (export "wait-until" (func async (param "when" u64)))
        (export "wait-for" (func async (param "how-long" u64)))))
    (import "wasi:cli/exit@0.3.0" (instance $exit
        (export "exit" (func (param "status" (result))))))

    (core module $memory (memory (export "memory") 1))
    (core instance $memory (instantiate $memory))

    (core func $now (canon lower (func $clock "now")))
    (core func $wait-until (canon lower (func $clock "wait-until")))
    (core func $wait-for (canon lower (func $clock "wait-for")))
    ;; This one begins the wait as a task of its own.
    (core func $begin-wait-for (canon lower (func $clock "wait-for") async (memory $memory "memory")))
    (core func $exit (canon lower (func $exit "exit")))
    (core func $yield (canon thread.yield))
    (core func $new-set (canon waitable-set.new))
    (core func $join (canon waitable.join))
    (core func $wait (canon waitable-set.wait (memory $memory "memory")))
    (core func $poll (canon waitable-set.poll (memory $memory "memory")))
    (core func $drop-task (canon subtask.drop))

    (core module $program
        (import "memory" "memory" (memory 1))
        (import "host" "now" (func $now (result i64)))
        (import "host" "wait-until" (func $wait-until (param i64)))
        (import "host" "wait-for" (func $wait-for (param i64)))
        (import "host" "begin-wait-for" (func $begin-wait-for (param i64) (result i32)))
        (import "host" "exit" (func $exit (param i32)))
        (import "host" "yield" (func $yield (result i32)))
        (import "host" "new-set" (func $new-set (result i32)))
        (import "host" "join" (func $join (param i32 i32)))
        (import "host" "wait" (func $wait (param i32 i32) (result i32)))
        (import "host" "poll" (func $poll (param i32 i32) (result i32)))
        (import "host" "drop-task" (func $drop-task (param i32)))
        (func $recurse (call $recurse))
        (func (export "run") (result i32)
            (local $set i32) (local $task i32) (local $n i32)
            ;; CODE
        ))
    (core instance $program (instantiate $program
        (with "memory" (instance $memory))
        (with "host" (instance
            (export "now" (func $now))
            (export "wait-until" (func $wait-until))
            (export "wait-for" (func $wait-for))
            (export "begin-wait-for" (func $begin-wait-for))
            (export "exit" (func $exit))
            (export "yield" (func $yield))
            (export "new-set" (func $new-set))
            (export "join" (func $join))
            (export "wait" (func $wait))
            (export "poll" (func $poll))
            (export "drop-task" (func $drop-task))))))

    (func $run async (result (result)) (canon lift (core func $program "run")))
    (instance $cli (export "run" (func $run)))
    (export "wasi:cli/run@0.3.0" (instance $cli)))
