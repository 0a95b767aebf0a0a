//! Hostile components. They do what hostile modules do, and what only components can: they wait for pollables that never come, do harm while
//! strings are copied, and lie about strings and handles.

use super::*;
use wasm_jobs::wasi::{self, WasiCtx, WasiView};
use wasm_jobs::wasmtime::StoreContextMut;
use wasm_jobs::wasmtime::component::{self, Component, InstancePre};

/// Exports that do harm half-way through a call, and `double`, which does none. It is one core instance, so it takes one place of a pool.
const HOSTILE_COMPONENT: &str = r#"(component $hostile
    (import "host" (instance $host
        (export "yield" (func))
        (export "begun" (func))
        (export "fail" (func))
        (export "fail-later" (func))
        (export "panic" (func))
        (export "panic-later" (func))
        (export "unwind" (func))
        (export "never" (func))
        (export "call-back" (func))
        (export "call-loop" (func))))
    (import "wasi:io/poll@0.2.0" (instance $io
        (export "pollable" (type $pollable (sub resource)))
        (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
    (alias export $io "pollable" (type $pollable))
    (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
        (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
    (import "wasi:cli/exit@0.2.0" (instance $cli
        (export "exit" (func (param "status" (result))))))

    (core func $yield (canon lower (func $host "yield")))
    (core func $begun (canon lower (func $host "begun")))
    (core func $fail (canon lower (func $host "fail")))
    (core func $fail_later (canon lower (func $host "fail-later")))
    (core func $panic (canon lower (func $host "panic")))
    (core func $panic_later (canon lower (func $host "panic-later")))
    (core func $unwind (canon lower (func $host "unwind")))
    (core func $never (canon lower (func $host "never")))
    (core func $call_back (canon lower (func $host "call-back")))
    (core func $call_loop (canon lower (func $host "call-loop")))
    (core func $block (canon lower (func $io "[method]pollable.block")))
    (core func $drop (canon resource.drop $pollable))
    (core func $subscribe (canon lower (func $clock "subscribe-duration")))
    (core func $exit (canon lower (func $cli "exit")))

    (core module $guest
        (import "host" "yield" (func $yield))
        (import "host" "begun" (func $begun))
        (import "host" "fail" (func $fail))
        (import "host" "fail_later" (func $fail_later))
        (import "host" "panic" (func $panic))
        (import "host" "panic_later" (func $panic_later))
        (import "host" "unwind" (func $unwind))
        (import "host" "never" (func $never))
        (import "host" "call_back" (func $call_back))
        (import "host" "call_loop" (func $call_loop))
        (import "host" "block" (func $block (param i32)))
        (import "host" "drop" (func $drop (param i32)))
        (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
        (import "host" "exit" (func $exit (param i32)))
        (type $nothing (func))
        (memory (export "memory") 1)
        (table 3 funcref)
        (elem (i32.const 0) $double)
        (func $begin (call $yield) (call $begun))
        (func $double (export "double") (param i32) (result i32)
            (call $yield)
            (i32.add (local.get 0) (local.get 0)))

        (func (export "loop") (call $begin) (loop $again (br $again)))
        (func (export "yield_for_ever") (call $begin) (loop $again (call $yield) (br $again)))
        (func (export "wait_for_ever") (call $never))
        (func (export "poll_for_ever")
            (call $begin)
            (call $block (call $subscribe (i64.const -1))))

        (func (export "be_unreachable") (call $begin) (unreachable))
        (func (export "divide_by_zero")
            (call $begin)
            (drop (i32.div_s (i32.const 1) (i32.const 0))))
        (func (export "read_outside") (call $begin) (drop (i32.load offset=4 (i32.const -4))))
        (func (export "write_outside") (call $begin)
            (i64.store (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4))
                (i64.const -1)))
        (func (export "call_nothing")
            (call $begin)
            (call_indirect (type $nothing) (i32.const 1)))
        (func (export "call_another_type")
            (call $begin)
            (call_indirect (type $nothing) (i32.const 0)))
        (func (export "call_outside")
            (call $begin)
            (call_indirect (type $nothing) (i32.const 3)))

        (func $deeper (result i32) (i32.add (call $deeper) (i32.const 1)))
        (func (export "recurse") (call $begin) (drop (call $deeper)))
        (func (export "recurse_through_the_host") (call $begin) (call $call_back))
        (func (export "loop_inside_the_host") (call $yield) (call $call_loop))

        ;; Grows the memory by $by pages until it cannot grow, and writes to its last word each time.
        (func $grow (param $by i32)
            (loop $again
                (i32.store
                    (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4))
                    (i32.const 1))
                (br_if $again (i32.ne (memory.grow (local.get $by)) (i32.const -1)))))
        (func (export "grow_to_the_limit_and_beyond") (call $begin)
            (call $grow (i32.const 1))
            (if (i32.ne (memory.size) (i32.const 16)) (then (unreachable)))
            (if (i32.ne (memory.grow (i32.const 0x10000)) (i32.const -1)) (then (unreachable)))
            (i32.store (i32.mul (memory.size) (i32.const 65536)) (i32.const 1)))
        (func (export "grow_without_a_limit") (call $begin)
            (call $grow (i32.const 256))
            (drop (i32.load offset=4 (i32.const -4))))

        (func (export "have_the_host_fail") (call $begin) (call $fail))
        (func (export "have_the_host_fail_later") (call $begin) (call $fail_later))
        (func (export "have_the_host_panic") (call $begin) (call $panic))
        (func (export "have_the_host_panic_later") (call $begin) (call $panic_later))
        (func (export "have_the_host_unwind") (call $begin) (call $unwind))
        (func (export "exit") (call $begin) (call $exit (i32.const 1)) (call $yield))

        ;; Where a string is that the guest returns, and its length.
        (func $string (param i32 i32) (result i32)
            (i32.store (i32.const 8) (local.get 0))
            (i32.store (i32.const 12) (local.get 1))
            (i32.const 8))
        (func (export "return_a_string_outside") (result i32)
            (call $begin)
            (call $string (i32.const 65530) (i32.const 7)))
        (func (export "return_an_endless_string") (result i32)
            (call $begin)
            (call $string (i32.const 1) (i32.const -1)))
        (func (export "return_what_is_no_text") (result i32)
            (call $begin)
            (i32.store (i32.const 16) (i32.const 0xff))
            (call $string (i32.const 16) (i32.const 1)))
        (func (export "return_from_nowhere") (result i32) (call $begin) (i32.const 65532))
        (func (export "return_and_loop") (result i32)
            (call $begin)
            (call $string (i32.const 16) (i32.const 0)))
        (func (export "loop_after") (param i32) (loop $again (br $again)))

        (func (export "take") (param i32 i32))
        (func (export "realloc_and_loop") (param i32 i32 i32 i32) (result i32)
            (loop $again (br $again))
            (unreachable))
        (func (export "realloc_and_leave") (param i32 i32 i32 i32) (result i32)
            (call $yield)
            (i32.const 16))
        (func (export "realloc_outside") (param i32 i32 i32 i32) (result i32) (i32.const -8))

        (func (export "drop_an_unknown_handle") (call $begin) (call $drop (i32.const 77)))
        (func (export "drop_a_handle_twice") (local $handle i32)
            (call $begin)
            (local.set $handle (call $subscribe (i64.const 0)))
            (call $drop (local.get $handle))
            (call $drop (local.get $handle)))
        (func (export "wait_for_an_unknown_handle") (call $begin) (call $block (i32.const 77))))
    (core instance $guest (instantiate $guest (with "host" (instance
        (export "yield" (func $yield))
        (export "begun" (func $begun))
        (export "fail" (func $fail))
        (export "fail_later" (func $fail_later))
        (export "panic" (func $panic))
        (export "panic_later" (func $panic_later))
        (export "unwind" (func $unwind))
        (export "never" (func $never))
        (export "call_back" (func $call_back))
        (export "call_loop" (func $call_loop))
        (export "block" (func $block))
        (export "drop" (func $drop))
        (export "subscribe" (func $subscribe))
        (export "exit" (func $exit))))))

    (alias core export $guest "memory" (core memory $memory))
    (alias core export $guest "loop_after" (core func $loop_after))
    (alias core export $guest "realloc_and_loop" (core func $realloc_and_loop))
    (alias core export $guest "realloc_and_leave" (core func $realloc_and_leave))
    (alias core export $guest "realloc_outside" (core func $realloc_outside))

    (func (export "double") (param "number" s32) (result s32)
        (canon lift (core func $guest "double")))
    (func (export "loop") (canon lift (core func $guest "loop")))
    (func (export "yield-for-ever") (canon lift (core func $guest "yield_for_ever")))
    (func (export "wait-for-ever") (canon lift (core func $guest "wait_for_ever")))
    (func (export "poll-for-ever") (canon lift (core func $guest "poll_for_ever")))
    (func (export "be-unreachable") (canon lift (core func $guest "be_unreachable")))
    (func (export "divide-by-zero") (canon lift (core func $guest "divide_by_zero")))
    (func (export "read-outside") (canon lift (core func $guest "read_outside")))
    (func (export "write-outside") (canon lift (core func $guest "write_outside")))
    (func (export "call-nothing") (canon lift (core func $guest "call_nothing")))
    (func (export "call-another-type") (canon lift (core func $guest "call_another_type")))
    (func (export "call-outside") (canon lift (core func $guest "call_outside")))
    (func (export "recurse") (canon lift (core func $guest "recurse")))
    (func (export "recurse-through-the-host")
        (canon lift (core func $guest "recurse_through_the_host")))
    (func (export "loop-inside-the-host")
        (canon lift (core func $guest "loop_inside_the_host")))
    (func (export "grow-to-the-limit-and-beyond")
        (canon lift (core func $guest "grow_to_the_limit_and_beyond")))
    (func (export "grow-without-a-limit") (canon lift (core func $guest "grow_without_a_limit")))
    (func (export "have-the-host-fail") (canon lift (core func $guest "have_the_host_fail")))
    (func (export "have-the-host-fail-later")
        (canon lift (core func $guest "have_the_host_fail_later")))
    (func (export "have-the-host-panic") (canon lift (core func $guest "have_the_host_panic")))
    (func (export "have-the-host-panic-later")
        (canon lift (core func $guest "have_the_host_panic_later")))
    (func (export "have-the-host-unwind") (canon lift (core func $guest "have_the_host_unwind")))
    (func (export "exit") (canon lift (core func $guest "exit")))
    (func (export "drop-an-unknown-handle")
        (canon lift (core func $guest "drop_an_unknown_handle")))
    (func (export "drop-a-handle-twice") (canon lift (core func $guest "drop_a_handle_twice")))
    (func (export "wait-for-an-unknown-handle")
        (canon lift (core func $guest "wait_for_an_unknown_handle")))
    (func (export "return-a-string-outside") (result string)
        (canon lift (core func $guest "return_a_string_outside") (memory $memory)))
    (func (export "return-an-endless-string") (result string)
        (canon lift (core func $guest "return_an_endless_string") (memory $memory)))
    (func (export "return-what-is-no-text") (result string)
        (canon lift (core func $guest "return_what_is_no_text") (memory $memory)))
    (func (export "return-from-nowhere") (result string)
        (canon lift (core func $guest "return_from_nowhere") (memory $memory)))
    (func (export "return-and-loop") (result string)
        (canon lift (core func $guest "return_and_loop") (memory $memory)
            (post-return $loop_after)))
    (func (export "take-and-loop") (param "text" string)
        (canon lift (core func $guest "take") (memory $memory) (realloc $realloc_and_loop)))
    (func (export "take-and-leave") (param "text" string)
        (canon lift (core func $guest "take") (memory $memory) (realloc $realloc_and_leave)))
    (func (export "take-outside") (param "text" string)
        (canon lift (core func $guest "take") (memory $memory) (realloc $realloc_outside))))"#;

impl WasiView for State {
    fn wasi(&mut self) -> &mut WasiCtx {
        &mut self.wasi
    }
}

fn linker(engine: &Engine) -> wasmtime::Result<component::Linker<State>> {
    let mut linker = component::Linker::<State>::new(engine);
    wasi::add_to_component_linker(&mut linker)?;
    let mut host = linker.instance("host")?;
    host.func_wrap_async("yield", |_, ()| {
        Box::new(async {
            yield_now().await;
            Ok(())
        })
    })?;
    host.func_wrap("begun", |store: StoreContextMut<'_, State>, ()| {
        store.data().begun.send(()).expect("the test lives as long as its guests");
        Ok(())
    })?;
    host.func_wrap_async("never", |store: StoreContextMut<'_, State>, ()| {
        let begun = store.data().begun.clone();
        let tell = move || begun.send(()).expect("the test lives as long as its guests");
        let never = notifying(tell, std::future::pending::<wasmtime::Result<()>>());
        Box::new(holding(store.data().held.one(), never))
    })?;
    host.func_wrap("fail", |_, ()| -> wasmtime::Result<()> { Err(Refusal.into()) })?;
    host.func_wrap_async("fail-later", |store: StoreContextMut<'_, State>, ()| {
        Box::new(refuse_later(store.data().held.one()))
    })?;
    host.func_wrap("panic", |_, ()| {
        burn();
        Ok(())
    })?;
    host.func_wrap_async("panic-later", |store: StoreContextMut<'_, State>, ()| {
        let burning = burn_later(store.data().held.one());
        Box::new(async {
            burning.await;
            Ok(())
        })
    })?;
    // This panic prints nothing.
    host.func_wrap("unwind", |_, ()| -> wasmtime::Result<()> {
        std::panic::resume_unwind(Box::new("the host is on fire"))
    })?;
    for (name, export) in [("call-back", "recurse-through-the-host"), ("call-loop", "loop")] {
        host.func_wrap_async(name, move |mut store: StoreContextMut<'_, State>, ()| {
            let held = store.data().held.one();
            let guest = store.data().component.expect("it is set before the first call");
            Box::new(holding(held, async move {
                let export = guest.get_typed_func::<(), ()>(&mut store, export)?;
                export.call_async(&mut store, ()).await
            }))
        })?;
    }
    Ok(linker)
}

fn compile(engine: &Engine, text: &str) -> Result<Component, Error> {
    Ok(Component::new(engine, wat::parse_str(text).expect("the text of a component"))?)
}

type Hostile = Instance<State, component::Instance>;

fn instantiate(
    arena: &Arena,
    pre: InstancePre<State>,
    options: InstanceOptions,
) -> Result<Hostile, Error> {
    let state = arena.state(&Event::default());
    Instance::with_exports(arena.engine(), options, state, move |mut store| {
        let pre = pre.clone();
        Box::pin(async move {
            let guest = pre.instantiate_async(&mut store).await?;
            store.data_mut().component = Some(guest);
            Ok(guest)
        })
    })
}

fn hostile_component(arena: &Arena, options: InstanceOptions) -> Result<Box<dyn Guest>, Error> {
    let pre = arena.hostile_component.get_or_init(|| {
        let component = compile(arena.engine(), HOSTILE_COMPONENT).expect("it is valid");
        let linker = linker(arena.engine()).expect("the linker is new");
        linker.instantiate_pre(&component).expect("the linker defines all imports")
    });
    Ok(Box::new(instantiate(arena, pre.clone(), options)?))
}

impl Guest for Hostile {
    fn harm(&self, export: &'static str) -> Result<Future<()>, Error> {
        let name = export.replace(' ', "-");
        self.start(move |mut store, guest| {
            Box::pin(async move {
                let store = &mut store;
                if name.starts_with("return") {
                    let export = guest.get_typed_func::<(), (String,)>(&mut *store, &name)?;
                    export.call_async(store, ()).await.map(drop)
                } else if name.starts_with("take") {
                    let export = guest.get_typed_func::<(&str,), ()>(&mut *store, &name)?;
                    export.call_async(store, ("a string",)).await
                } else {
                    let export = guest.get_typed_func::<(), ()>(&mut *store, &name)?;
                    export.call_async(store, ()).await
                }
            })
        })
    }

    fn double(&self, number: i32) -> Result<Future<i32>, Error> {
        self.start(move |mut store, guest| {
            Box::pin(async move {
                let double = guest.get_typed_func::<(i32,), (i32,)>(&mut store, "double")?;
                Ok(double.call_async(&mut store, (number,)).await?.0)
            })
        })
    }

    fn is_poisoned(&self) -> bool {
        self.is_poisoned()
    }

    fn reset(&self) -> Result<(), Error> {
        self.reset()
    }
}

/// The same cases, with the hostile component.
fn component<const N: usize>(cases: [Case; N]) -> [Case; N] {
    cases.map(|case| Case { make: hostile_component, ..case })
}

/// A call that a limit ends. It cannot tell that it has begun, because it may not call the host then.
fn never_ends_inside(export: &'static str) -> Vec<Case> {
    let ends = [End::RunningTimeout, End::ElapsedTimeout, End::FuelLimit];
    ends.into_iter().flat_map(|end| component(never_ends(export, end))).collect()
}

/// An error for which wasmtime has no type, which contains this text.
fn says(error: &Error, text: &str) -> bool {
    matches!(error, Error::Host(error) if format!("{error:#}").contains(text))
}

const EXIT: Case = fails("exit", |error| matches!(error, Error::Exit(1)));
const OUTSIDE: Case =
    fails("return a string outside", |error| says(error, "string pointer/length out of bounds"));
const ENDLESS: Case =
    fails("return an endless string", |error| says(error, "string pointer/length out of bounds"));
const NO_TEXT: Case = fails("return what is no text", |error| says(error, "invalid utf-8"));
const NOWHERE: Case =
    fails("return from nowhere", |error| says(error, "pointer out of bounds of memory"));
const LEAVE: Case = fails("take and leave", |error| is_trap(error, Trap::CannotLeaveComponent));
const TAKE_OUTSIDE: Case =
    fails("take outside", |error| says(error, "realloc return: beyond end of memory"));
const UNKNOWN_HANDLE: Case =
    fails("drop an unknown handle", |error| says(error, "unknown handle index 77"));
const HANDLE_TWICE: Case =
    fails("drop a handle twice", |error| says(error, "unknown handle index"));
const WAIT_FOR_NO_HANDLE: Case =
    fails("wait for an unknown handle", |error| says(error, "unknown handle index 77"));

hostile! {
    an_endless_loop_until_its_running_timeout: component(never_ends(LOOP, End::RunningTimeout));
    an_endless_loop_until_its_elapsed_timeout: component(never_ends(LOOP, End::ElapsedTimeout));
    an_endless_loop_until_it_is_out_of_fuel: component(never_ends(LOOP, End::FuelLimit));
    an_endless_loop_until_it_is_cancelled: component(never_ends(LOOP, End::Cancel));
    an_endless_loop_until_its_handle_cancels_it: component(never_ends(LOOP, End::CancelByHandle));
    an_endless_loop_until_it_is_dropped: component(never_ends(LOOP, End::Drop));

    yields_for_ever_until_its_running_timeout: component(never_ends(YIELD, End::RunningTimeout));
    yields_for_ever_until_its_elapsed_timeout: component(never_ends(YIELD, End::ElapsedTimeout));
    yields_for_ever_until_it_is_out_of_fuel: component(never_ends(YIELD, End::FuelLimit));
    yields_for_ever_until_it_is_cancelled: component(never_ends(YIELD, End::Cancel));
    yields_for_ever_until_its_handle_cancels_it: component(never_ends(YIELD, End::CancelByHandle));
    yields_for_ever_until_it_is_dropped: component(never_ends(YIELD, End::Drop));

    a_host_function_never_completes_until_the_elapsed_timeout: component(never_ends(WAIT, End::ElapsedTimeout));
    a_host_function_never_completes_until_the_call_is_cancelled: component(never_ends(WAIT, End::Cancel));
    a_host_function_never_completes_until_its_handle_cancels_it: component(never_ends(WAIT, End::CancelByHandle));
    a_host_function_never_completes_until_the_call_is_dropped: component(never_ends(WAIT, End::Drop));

    a_pollable_never_comes_until_the_elapsed_timeout: component(never_ends(POLL, End::ElapsedTimeout));
    a_pollable_never_comes_until_the_call_is_cancelled: component(never_ends(POLL, End::Cancel));
    a_pollable_never_comes_until_its_handle_cancels_it: component(never_ends(POLL, End::CancelByHandle));
    a_pollable_never_comes_until_the_call_is_dropped: component(never_ends(POLL, End::Drop));

    an_endless_loop_inside_the_host_until_its_running_timeout: component(never_ends(INNER_LOOP, End::RunningTimeout));
    an_endless_loop_inside_the_host_until_its_elapsed_timeout: component(never_ends(INNER_LOOP, End::ElapsedTimeout));
    an_endless_loop_inside_the_host_until_it_is_out_of_fuel: component(never_ends(INNER_LOOP, End::FuelLimit));
    an_endless_loop_inside_the_host_until_it_is_cancelled: component(never_ends(INNER_LOOP, End::Cancel));
    an_endless_loop_inside_the_host_until_its_handle_cancels_it: component(never_ends(INNER_LOOP, End::CancelByHandle));
    an_endless_loop_inside_the_host_until_it_is_dropped: component(never_ends(INNER_LOOP, End::Drop));

    an_endless_loop_while_a_string_is_passed: never_ends_inside("take and loop");
    an_endless_loop_after_a_string_was_returned: never_ends_inside("return and loop");

    endless_recursion: component([RECURSION]);
    memory_grows_to_its_limit_and_beyond: component([GROWTH, UNLIMITED_GROWTH]);
    unreachable_code_is_reached: component([UNREACHABLE]);
    division_by_zero: component([DIVISION]);
    memory_out_of_bounds: component([READ, WRITE]);
    bad_indirect_calls: component([CALL_NOTHING, CALL_ANOTHER, CALL_OUTSIDE]);
    a_host_function_fails: component([FAILURE, LATE_FAILURE]);
    a_host_function_panics: component([PANIC, LATE_PANIC, UNWINDING]);
    recursion_between_guest_and_host: component([NESTING]);
    recursion_between_guest_and_host_without_a_limit: component([UNLIMITED_NESTING]);
    an_exit_half_way: component([EXIT]);
    lies_about_strings: component([OUTSIDE, ENDLESS, NO_TEXT, NOWHERE, LEAVE, TAKE_OUTSIDE]);
    handles_that_the_guest_does_not_have: component([UNKNOWN_HANDLE, HANDLE_TWICE, WAIT_FOR_NO_HANDLE]);
}

fn instantiation(
    arena: &Arena,
    text: &'static str,
    options: InstanceOptions,
) -> Result<Future<()>, Error> {
    let (linker, component) = (linker(arena.engine())?, compile(arena.engine(), text)?);
    let (engine, state) = (arena.engine().clone(), arena.state(&Event::default()));
    Ok(Future::new(async move {
        let pre = linker.instantiate_pre(&component)?;
        let made = Instance::with_exports(&engine, options, state, move |store| {
            let pre = pre.clone();
            Box::pin(async move { pre.instantiate_async(store).await })
        });
        made.map(drop)
    }))
}

const fn starts(text: &'static str, end: End) -> Start {
    Start { text, end, instantiate: instantiation }
}

const ENDLESS_START: &str = "(component
    (core module $guest (func $start (loop $again (br $again))) (start $start))
    (core instance (instantiate $guest)))";
const WAITING_START: &str = r#"(component
    (import "host" (instance $host (export "never" (func))))
    (core func $never (canon lower (func $host "never")))
    (core module $guest (import "host" "never" (func $never)) (memory 1) (start $never))
    (core instance (instantiate $guest
        (with "host" (instance (export "never" (func $never)))))))"#;

const STARTS: [Start; 4] = [
    starts(ENDLESS_START, End::RunningTimeout),
    starts(ENDLESS_START, End::ElapsedTimeout),
    starts(ENDLESS_START, End::FuelLimit),
    starts(WAITING_START, End::ElapsedTimeout),
];

fn names(error: &Error, import: &str) -> bool {
    matches!(error, Error::Wasmtime(error) if format!("{error:#}").contains(import))
}

const IMPORTS: [Start; 2] = [
    starts(
        r#"(component (import "format-disk" (func)))"#,
        End::Failure(|error| names(error, "format-disk")),
    ),
    starts(
        r#"(component (import "host" (instance (export "yield" (func (param "times" u64))))))"#,
        End::Failure(|error| names(error, "yield")),
    ),
];

#[test]
fn an_endless_start_function_alone() -> Result<(), Error> {
    instantiate_alone(&STARTS)
}

#[test]
fn an_endless_start_function_beside_fifty() -> Result<(), Error> {
    instantiate_beside_fifty(&workers(2), &STARTS)
}

#[test]
fn imports_that_a_component_may_not_have_alone() -> Result<(), Error> {
    instantiate_alone(&IMPORTS)
}

#[test]
fn imports_that_a_component_may_not_have_beside_fifty() -> Result<(), Error> {
    instantiate_beside_fifty(&workers(2), &IMPORTS)
}

#[test]
fn two_endless_loops_leave_fifty_calls_their_share() -> Result<(), Error> {
    each_worker_has_an_endless_loop(&workers(2), &component(never_ends(LOOP, End::Cancel)))
}
