//! Calls that cannot be frozen. Each says why, and goes on to its result as if nothing had been asked.

use super::super::ENGINE;
use super::{DEEP, Log, begin, freezable, linked, linker};
use crate::support::Event;
use std::fmt::Debug;
use wasm_jobs::wasmtime::{
    AsContextMut, Caller, Engine, ExternRef, Func, FuncType, Linker, Module, Rooted, Val, ValType,
};
use wasm_jobs::{
    CannotFreeze, EngineOptions, Error, Future, Instance, InstanceOptions, ManualClock,
    PrepareOptions, PreparedPre, Slice, Step, prepare, prepare_with, yield_now,
};

/// Why a call cannot be frozen.
#[track_caller]
fn refused<T: Send + 'static, O>(future: &mut Future<T, O>) -> CannotFreeze {
    match future.freeze() {
        Err(Error::CannotFreeze(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// Takes the steps that a call still takes, and checks its result.
#[track_caller]
fn goes_on<T: Send + PartialEq + Debug + 'static, O>(future: &mut Future<T, O>, expected: T) {
    assert_eq!(future.wait().unwrap(), expected);
}

/// `run` yields between two changes of a global, and gives it.
const YIELDS: &str = r#"(module
    (import "env" "yield" (func $yield))
    (global $g (mut i32) (i32.const 40))
    (func $inner (export "inner") (result i32)
        (global.set $g (i32.add (global.get $g) (i32.const 1)))
        (call $yield)
        (global.set $g (i32.add (global.get $g) (i32.const 1)))
        (global.get $g))
    (func (export "run") (result i32) (call $inner)))"#;

/// Links a module whose host functions `add` defines as well.
fn linked_with(
    engine: &Engine,
    options: &PrepareOptions,
    text: &str,
    add: impl Fn(&mut Linker<Log>) -> wasm_jobs::wasmtime::Result<()>,
) -> Result<PreparedPre<Log>, Error> {
    let mut linker = linker(engine, &ManualClock::new())?;
    add(&mut linker)?;
    let wasm = wat::parse_str(text).expect("the text of a module");
    prepare_with(engine, wasm, options)?.instantiate_pre(&linker)
}

#[test]
fn a_module_that_was_not_prepared_for_it() -> Result<(), Error> {
    let wasm = wat::parse_str(YIELDS).unwrap();
    let linker = linker(&ENGINE, &ManualClock::new())?;
    let plain = linker.instantiate_pre(&Module::new(&ENGINE, &wasm)?)?;
    let prepared = prepare(&ENGINE, &wasm)?;
    assert!(!prepared.is_freezable());
    let prepared = prepared.instantiate_pre(&linker)?;
    for instance in
        [Instance::new(&plain, Log::default())?, Instance::new(&prepared, Log::default())?]
    {
        let mut call = instance.call::<(), i32>("run", ())?;
        assert_eq!(refused(&mut call), CannotFreeze::NotPrepared, "not begun");
        assert_eq!(refused(&mut call), CannotFreeze::NotPrepared, "it has yielded");
        goes_on(&mut call, 42);
    }
    Ok(())
}

#[test]
fn work_that_is_no_call_of_a_guest() -> Result<(), Error> {
    let event = Event::default();
    let mut work = Future::new({
        let event = event.clone();
        async move {
            yield_now().await;
            yield_now().await;
            event.happens().await;
            Ok(7)
        }
    });
    assert_eq!(refused(&mut work), CannotFreeze::NotPrepared);
    assert_eq!(work.resume()?, Step::Yielded, "one step was taken, and no more");
    assert_eq!(refused(&mut work), CannotFreeze::NotPrepared, "it waits");
    event.set();
    goes_on(&mut work, 7);
    Ok(())
}

#[test]
fn work_with_the_store_of_a_guest() -> Result<(), Error> {
    let instance = Instance::new(&linked(&ENGINE, YIELDS)?, Log::default())?;
    let mut work = instance.start(|mut store, exports| {
        Box::pin(async move {
            let run = exports.get_typed_func::<(), i32>(&mut store, "run")?;
            run.call_async(&mut store, ()).await
        })
    })?;
    assert_eq!(refused(&mut work), CannotFreeze::NotPrepared);
    goes_on(&mut work, 42);
    // A call of the work's, which waits for it, is not taken for the work either.
    let call = instance.call::<(), i32>("run", ())?.into_send();
    let mut work = Future::new(call);
    assert_eq!(refused(&mut work), CannotFreeze::NotPrepared);
    goes_on(&mut work, 44);
    Ok(())
}

#[test]
fn a_host_function_that_is_not_resumable() -> Result<(), Error> {
    let text = r#"(module
        (import "env" "yield" (func $yield))
        (import "game" "event" (func $event (result i32)))
        (import "game" "other" (func $other))
        (import "host" "log" (func $log (param i32)))
        (func (export "run") (result i32)
            (i32.add (call $event) (i32.const 1))
            (call $yield)))"#;
    let event = Event::default();
    let pre = linked_with(&ENGINE, &freezable(), text, |linker| {
        let event = event.clone();
        linker.func_wrap_async("game", "event", move |_, ()| {
            let event = event.clone();
            Box::new(async move {
                event.happens().await;
                8
            })
        })?;
        linker.func_wrap_async("game", "other", |_, ()| Box::new(async {}))?;
        Ok(())
    })?;
    let (_instance, mut call) = begin::<_, i32>(&pre, "run", ())?;
    let imports = ["game.event".into(), "game.other".into(), "host.log".into()];
    let expected = CannotFreeze::HostFunction { imports: imports.into() };
    assert_eq!(
        expected.to_string(),
        "it waits in a host function that is not resumable: one of game.event, game.other, host.log"
    );
    for _ in 0..3 {
        assert_eq!(refused(&mut call), expected);
    }
    assert_eq!(call.resume()?, Step::Waiting);
    event.set();
    // It goes on to the yield, and there it can be frozen.
    let frozen = call.freeze()?;
    assert_eq!(frozen.thaw(&pre, InstanceOptions::default(), Log::default())?.wait()?, 9);
    Ok(())
}

#[test]
fn a_call_that_a_host_function_has_made() -> Result<(), Error> {
    let text = YIELDS.replace(
        "(func (export \"run\") (result i32) (call $inner))",
        "(func (export \"run\") (result i32) (i32.add (call $back) (call $inner)))",
    );
    let text =
        text.replacen("(global", r#"(import "host" "back" (func $back (result i32))) (global"#, 1);
    let pre = linked_with(&DEEP, &freezable(), &text, |linker| {
        linker.func_wrap_async("host", "back", |caller: Caller<'_, Log>, ()| {
            Box::new(calls_inner(caller))
        })?;
        Ok(())
    })?;
    let (_instance, mut call) = begin::<_, i32>(&pre, "run", ())?;
    // The first one comes to the yield, and the second one leaves it: each takes a step.
    for _ in 0..2 {
        assert_eq!(refused(&mut call), CannotFreeze::Nested);
    }
    // The host's call has returned, and the guest has yielded once more.
    let mut thawed = call.freeze()?.thaw(&pre, InstanceOptions::default(), Log::default())?;
    assert_eq!(thawed.wait()?, 42 + 44);
    Ok(())
}

/// A function of the host's, which calls the guest back.
async fn calls_inner(mut caller: Caller<'_, Log>) -> wasm_jobs::wasmtime::Result<i32> {
    let inner = caller.get_export("inner").and_then(|it| it.into_func()).unwrap();
    let inner = inner.typed::<(), i32>(&caller)?;
    inner.call_async(caller.as_context_mut(), ()).await
}

/// The guest calls the host by its table, and the host calls a function of the type that the guest has called.
#[test]
fn a_call_that_a_host_function_has_made_which_the_guest_has_called_indirectly() -> Result<(), Error>
{
    let imported = YIELDS.replace(
        "(func (export \"run\") (result i32) (call $inner))",
        "(type $gives (func (result i32)))
         (table $t 2 funcref) (elem (i32.const 0) func $inner $back)
         (func (export \"run\") (result i32)
            (i32.add (call_indirect $t (type $gives) (i32.const 1)) (call $inner)))",
    );
    let imported = imported.replacen(
        "(global",
        r#"(import "host" "back" (func $back (result i32))) (global"#,
        1,
    );
    let given = imported
        .replace("func $inner $back)", "func $inner)")
        .replace("(table $t 2", "(table $t (export \"t\") 2");
    for (text, is_given) in [(imported, false), (given, true)] {
        let pre = linked_with(&DEEP, &freezable(), &text, |linker| {
            linker.func_wrap_async("host", "back", |caller: Caller<'_, Log>, ()| {
                Box::new(calls_inner(caller))
            })?;
            Ok(())
        })?;
        let instance = Instance::new(&pre, Log::default())?;
        if is_given {
            let mut store = instance.store()?;
            let ty = FuncType::new(&DEEP, [], [ValType::I32]);
            let back = Func::new_async(&mut store, ty, |caller: Caller<'_, Log>, _, results| {
                Box::new(async move {
                    results[0] = Val::I32(calls_inner(caller).await?);
                    Ok(())
                })
            });
            store.table("t")?.set(&mut store, 1, back.into())?;
        }
        let mut call = instance.call::<(), i32>("run", ())?;
        for _ in 0..2 {
            assert_eq!(refused(&mut call), CannotFreeze::Nested, "given: {is_given}");
        }
        goes_on(&mut call, 42 + 44);
    }
    Ok(())
}

#[test]
fn a_function_that_was_left_out() -> Result<(), Error> {
    let options = PrepareOptions::default().freezable(true).waits_in(|_, name| name != "yield");
    let pre = linked_with(&ENGINE, &options, YIELDS, |_| Ok(()))?;
    let (_instance, mut call) = begin::<_, i32>(&pre, "run", ())?;
    assert_eq!(refused(&mut call), CannotFreeze::Function { name: "inner".into() });
    goes_on(&mut call, 42);
    // Without names it is the index.
    let text = YIELDS.replace("$inner", "");
    let text = text.replace("(call )", "(call 1)");
    let pre = linked_with(&ENGINE, &options, &text, |_| Ok(()))?;
    let (_instance, mut call) = begin::<_, i32>(&pre, "run", ())?;
    assert_eq!(refused(&mut call), CannotFreeze::Function { name: "1".into() });
    goes_on(&mut call, 42);
    Ok(())
}

#[test]
fn more_functions_than_the_engine_shows() -> Result<(), Error> {
    let text = r#"(module
        (import "env" "yield" (func $yield))
        (func $down (export "run") (param $n i32) (result i32)
            (if (local.get $n)
                (then (return (i32.add (i32.const 1) (call $down (i32.sub (local.get $n) (i32.const 1)))))))
            (call $yield)
            (i32.const 0)))"#;
    // An engine without backtraces for errors shows as many here.
    let without = wasm_jobs::engine(&EngineOptions::default().backtraces(false).pooling(4))?;
    for engine in [&*ENGINE, &without] {
        let pre = linked(engine, text)?;
        let (_instance, mut call) = begin::<_, i32>(&pre, "run", 19)?;
        assert_eq!(refused(&mut call), CannotFreeze::TooDeep { frames: 20 });
        goes_on(&mut call, 19);
        let (_instance, mut call) = begin::<_, i32>(&pre, "run", 18)?;
        let mut thawed = call.freeze()?.thaw(&pre, InstanceOptions::default(), Log::default())?;
        assert_eq!(thawed.wait()?, 18);
    }
    Ok(())
}

#[test]
fn an_exception_or_an_object_of_the_hosts_in_a_function() -> Result<(), Error> {
    let text = r#"(module
        (import "env" "yield" (func $yield))
        (import "host" "make" (func $make (param i32) (result externref)))
        (import "host" "look" (func $look (param externref) (result i32)))
        (tag $t (param i32))
        (func $catches (export "exception") (result i32) (local $e exnref)
            (block $caught (result exnref)
                (try_table (catch_all_ref $caught) (throw $t (i32.const 6)))
                (unreachable))
            (local.set $e)
            (call $yield)
            (block $again (result i32)
                (try_table (catch $t $again) (throw_ref (local.get $e)))
                (unreachable)))
        (func $keeps (export "object") (result i32) (local $object externref)
            (local.set $object (call $make (i32.const 9)))
            (call $yield)
            (call $look (local.get $object)))
        (func (export "null") (result i32) (local $object externref)
            (call $yield)
            (ref.is_null (local.get $object))))"#;
    let options = PrepareOptions::default().freezable(true).waits_in(|module, _| module == "env");
    let pre = linked_with(&DEEP, &options, text, |linker| {
        linker.func_wrap("host", "make", |mut caller: Caller<'_, Log>, number: i32| {
            ExternRef::new(&mut caller, number).map(Some)
        })?;
        linker.func_wrap(
            "host",
            "look",
            |caller: Caller<'_, Log>, object: Option<Rooted<ExternRef>>| {
                let data = object.expect("it is not null").data(&caller)?;
                Ok(*data.expect("it is the host's").downcast_ref::<i32>().expect("a number"))
            },
        )?;
        Ok(())
    })?;
    for (name, function, result) in [("exception", "catches", 6), ("object", "keeps", 9)] {
        let instance = Instance::new(&pre, Log::default())?;
        let mut call = instance.call::<(), i32>(name, ())?;
        match refused(&mut call) {
            CannotFreeze::Reference { place, .. } => {
                assert_eq!(&*place, format!("a value of function {function}"));
            }
            other => panic!("{other:?}"),
        }
        goes_on(&mut call, result);
    }
    Ok(())
}

#[test]
fn a_call_that_has_ended_or_ends_before_it_waits() -> Result<(), Error> {
    let text = r#"(module
        (import "env" "yield" (func $yield))
        (func (export "run") (param i32) (result i32)
            (if (local.get 0) (then (call $yield)))
            (i32.const 5)))"#;
    let pre = linked(&ENGINE, text)?;
    let (instance, mut call) = begin::<_, i32>(&pre, "run", 0)?;
    assert_eq!(refused(&mut call), CannotFreeze::Ended, "it has not begun, and does not wait");
    assert!(!instance.is_poisoned());
    for _ in 0..2 {
        assert_eq!(refused(&mut call), CannotFreeze::Ended);
    }
    assert_eq!(call.try_get_result()?, Some(5));
    assert!(matches!(call.freeze(), Err(Error::ResultTaken)));
    let mut call = instance.call::<_, i32>("run", 1)?;
    assert_eq!(call.resume()?, Step::Yielded);
    assert_eq!(call.resume()?, Step::Done);
    assert_eq!(refused(&mut call), CannotFreeze::Ended);
    goes_on(&mut call, 5);
    Ok(())
}

/// Adds the numbers up to `n`, and then yields.
const COUNTS: &str = r#"(module
    (import "env" "yield" (func $yield))
    (func (export "run") (param $n i32) (result i32) (local $sum i32)
        (loop $next
            (local.set $sum (i32.add (local.get $sum) (local.get $n)))
            (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (call $yield)
        (local.get $sum)))"#;

#[test]
fn one_that_runs_on_is_asked_again() -> Result<(), Error> {
    let engine = wasm_jobs::engine(&EngineOptions::default().fuel(true).pooling(4))?;
    let pre = linked(&engine, COUNTS)?;
    let (instance, mut call) = begin::<_, i32>(&pre, "run", 2_000)?;
    instance.set_slice(Slice::Fuel(1_000))?;
    let mut running = 0;
    let frozen = loop {
        match call.try_freeze() {
            Ok(frozen) => break frozen,
            Err(Error::CannotFreeze(CannotFreeze::Running)) => running += 1,
            Err(error) => return Err(error),
        }
    };
    assert!(running > 10, "{running}");
    let mut thawed = frozen.thaw(&pre, InstanceOptions::default(), Log::default())?;
    assert_eq!(thawed.wait()?, 2_000 * 2_001 / 2);

    // `freeze` takes all these steps, and `try_freeze` leaves the call as it was.
    let (instance, mut call) = begin::<_, i32>(&pre, "run", 2_000)?;
    instance.set_slice(Slice::Fuel(1_000))?;
    assert!(matches!(call.try_freeze(), Err(Error::CannotFreeze(CannotFreeze::Running))));
    let mut thawed = call.freeze()?.thaw(&pre, InstanceOptions::default(), Log::default())?;
    assert_eq!(thawed.wait()?, 2_000 * 2_001 / 2);
    let (instance, mut call) = begin::<_, i32>(&pre, "run", 2_000)?;
    instance.set_slice(Slice::Fuel(1_000))?;
    assert!(matches!(call.try_freeze(), Err(Error::CannotFreeze(CannotFreeze::Running))));
    goes_on(&mut call, 2_000 * 2_001 / 2);
    Ok(())
}
