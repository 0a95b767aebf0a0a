//! Mistakes of the user. Each has an error that names it, and leaves the instance as it was.

use super::{ENGINE, Host, TOTAL, compile, instance, instance_of, linker, small_engine};
use wasm_jobs::wasmtime::{Linker, Module, Store};
use wasm_jobs::{EngineOptions, Error, Instance, Mismatch, engine};

/// One export of each kind.
const KINDS: &str = r#"(module $kinds
    (memory (export "a memory") 1)
    (global (export "a global") (mut i64) (i64.const 6))
    (table (export "a table") 1 funcref)
    (tag (export "a tag"))
    (func (export "a function") (param i32 i32) (result f64) (f64.const 0.5)))"#;

fn assert_as_before(instance: &Instance<Host>) -> Result<(), Error> {
    assert!(!instance.is_poisoned());
    let mut future = instance.call::<(i32, i32), f64>("a function", (1, 2))?;
    assert_eq!(future.wait()?, 0.5);
    Ok(())
}

fn mismatch<T: std::fmt::Debug>(asked: Result<T, Error>) -> (Mismatch, String) {
    let error = asked.expect_err("the export is something else");
    let message = error.to_string();
    match error {
        Error::ExportKind(mismatch) | Error::Signature(mismatch) | Error::WrongType(mismatch) => {
            (*mismatch, message)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_export_that_is_not_there() -> Result<(), Error> {
    let instance = instance(KINDS)?;
    let mut errors = vec![
        instance.call::<(), ()>("ruin", ()).expect_err("the export does not exist"),
        instance.func::<(), ()>("ruin").expect_err("the export does not exist"),
    ];
    let mut store = instance.store()?;
    errors.push(store.memory("ruin").expect_err("the export does not exist"));
    errors.push(store.global("ruin").expect_err("the export does not exist"));
    errors.push(store.table("ruin").expect_err("the export does not exist"));
    drop(store);
    for error in errors {
        let message = error.to_string();
        assert!(message.contains(r#""ruin""#), "{message}");
        match error {
            Error::ExportNotFound { export } => assert_eq!(*export, *"ruin"),
            other => panic!("{other:?}"),
        }
        assert_as_before(&instance)?;
    }
    Ok(())
}

#[test]
fn an_export_that_is_no_function() -> Result<(), Error> {
    let instance = instance(KINDS)?;
    for kind in ["memory", "global", "table", "tag"] {
        let export = format!("a {kind}");
        let call = instance.call::<(), ()>(&export, ());
        let func = instance.func::<(), ()>(&export);
        for (mismatch, message) in [mismatch(call), mismatch(func)] {
            assert_eq!(
                (&*mismatch.export, &*mismatch.expected, &*mismatch.found),
                (&*export, "function", kind)
            );
            assert!(message.contains(&format!("{export:?}")), "{message}");
        }
        assert_as_before(&instance)?;
    }
    Ok(())
}

#[test]
fn an_export_that_is_a_function_and_asked_for_as_something_else() -> Result<(), Error> {
    let instance = instance(KINDS)?;
    let mut store = instance.store()?;
    for (mismatch, expected) in [
        (mismatch(store.memory("a function")).0, "memory"),
        (mismatch(store.global("a function")).0, "global"),
        (mismatch(store.table("a function")).0, "table"),
    ] {
        assert_eq!(
            (&*mismatch.export, &*mismatch.expected, &*mismatch.found),
            ("a function", expected, "function")
        );
    }
    let (mismatch, message) = mismatch(store.memory("a global"));
    assert_eq!((&*mismatch.expected, &*mismatch.found), ("memory", "global"));
    assert!(message.contains(r#""a global""#), "{message}");
    drop(store);
    assert_as_before(&instance)
}

#[test]
fn a_function_of_another_signature() -> Result<(), Error> {
    let instance = instance(KINDS)?;
    for (mismatch, message) in [
        mismatch(instance.call::<(), f64>("a function", ())),
        mismatch(instance.call::<i32, f64>("a function", 1)),
        mismatch(instance.call::<(i32, i64), f64>("a function", (1, 2))),
        mismatch(instance.call::<(i32, i32, i32), f64>("a function", (1, 2, 3))),
        mismatch(instance.call::<(i32, i32), ()>("a function", (1, 2))),
        mismatch(instance.call::<(i32, i32), f32>("a function", (1, 2))),
        mismatch(instance.call::<(i32, i32), (f64, f64)>("a function", (1, 2))),
        mismatch(instance.func::<(), ()>("a function")),
    ] {
        assert_eq!(mismatch.export, "a function");
        assert_ne!(mismatch.expected, mismatch.found);
        assert!(mismatch.found.contains("i32") && mismatch.found.contains("f64"));
        assert!(message.contains(r#""a function""#), "{message}");
        assert!(message.contains(&mismatch.expected) && message.contains(&mismatch.found));
        assert_as_before(&instance)?;
    }
    Ok(())
}

#[test]
fn an_import_that_the_linker_does_not_define() -> Result<(), Error> {
    fn make() -> Result<Instance<()>, Error> {
        let module = compile(
            &ENGINE,
            r#"(module (import "game" "spawn_orc" (func (param i32) (result i32))))"#,
        )?;
        Instance::new(&Linker::new(&ENGINE).instantiate_pre(&module)?, ())
    }
    let error = make().expect_err("the linker defines nothing");
    let message = error.to_string();
    assert!(message.contains("game") && message.contains("spawn_orc"), "{message}");
    match error {
        Error::MissingImport { module, name } => {
            assert_eq!((&*module, &*name), ("game", "spawn_orc"));
        }
        other => panic!("{other:?}"),
    }
    Ok(())
}

#[test]
fn an_import_that_the_linker_defines_as_something_else() -> Result<(), Error> {
    fn make() -> Result<Instance<Host>, Error> {
        instance(r#"(module (import "env" "tick" (func (param i64))))"#)
    }
    let error = make().expect_err("the host function has no parameter");
    assert!(matches!(error, Error::Wasmtime(_)));
    let chain = format!("{error} {:?}", std::error::Error::source(&error));
    assert!(chain.contains("env") && chain.contains("tick"), "{chain}");
    Ok(())
}

#[test]
fn more_instances_than_the_pool_holds() -> Result<(), Error> {
    let engine = engine(&EngineOptions::default().pooling(2))?;
    let instances = [
        instance_of(&engine, KINDS, Host::default())?,
        instance_of(&engine, KINDS, Host::default())?,
    ];
    for _ in 0..2 {
        let error = instance_of(&engine, KINDS, Host::default())
            .expect_err("the pool has room for two instances");
        let message = error.to_string();
        assert!(message.contains('2') && message.contains("EngineOptions"), "{message}");
        assert!(message.contains("kinds"), "the message names the module: {message}");
        assert!(matches!(error, Error::TooManyInstances { instances: 2, .. }));
        for instance in &instances {
            assert_as_before(instance)?;
        }
    }
    Ok(())
}

#[test]
fn threads_in_a_pool() -> Result<(), Error> {
    let error =
        engine(&EngineOptions::default().threads(true)).expect_err("a pool has no shared memory");
    match &error {
        Error::Unsupported { what, why } => {
            assert!(what.contains("shared memory"), "{what}");
            assert!(why.contains("on_demand"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    engine(&EngineOptions::default().on_demand().threads(true))?;
    Ok(())
}

#[test]
fn more_instances_than_the_machine_can_hold() {
    let made = engine(&EngineOptions::default().pooling(100_000_000));
    assert!(matches!(made, Err(Error::Unsupported { .. })), "{made:?}");
}

#[test]
fn a_stack_larger_than_there_can_be() {
    for options in [
        EngineOptions::default().wasm_stack(usize::MAX),
        EngineOptions::default().host_stack(usize::MAX),
        EngineOptions::default().wasm_stack(0),
    ] {
        let made = engine(&options);
        assert!(matches!(made, Err(Error::Unsupported { .. })), "{options:?}: {made:?}");
    }
}

#[test]
fn a_module_that_needs_what_the_engine_was_made_without() -> Result<(), Error> {
    const SHARED_MEMORY: &str = r#"(module (memory 1 1 shared))"#;
    const EXCEPTIONS: &str = r#"(module (tag $oops) (func (throw $oops)))"#;
    const SIMD: &str = r#"(module (func (result v128) (v128.const i64x2 0 0)))"#;

    let without = engine(&EngineOptions::default().pooling(1).exceptions(false).simd(false))?;
    for text in [SHARED_MEMORY, EXCEPTIONS, SIMD] {
        let error = compile(&without, text).expect_err("the engine was made without this feature");
        assert!(matches!(error, Error::Wasmtime(_)), "{error:?}");
        assert!(!error.to_string().is_empty());
    }
    for text in [EXCEPTIONS, SIMD] {
        compile(&ENGINE, text)?;
    }
    compile(&engine(&EngineOptions::default().on_demand().threads(true))?, SHARED_MEMORY)?;
    Ok(())
}

#[test]
fn fuel_of_an_engine_without() -> Result<(), Error> {
    let instance = instance(KINDS)?;
    let mut store = instance.store()?;
    for error in
        [store.fuel().expect_err("fuel is off"), store.set_fuel(1).expect_err("fuel is off")]
    {
        assert!(error.to_string().contains("EngineOptions::fuel"), "{error}");
        assert!(matches!(error, Error::Unsupported { what: "fuel", .. }));
    }
    drop(store);
    assert_as_before(&instance)
}

#[test]
fn a_store_of_another_engine() -> Result<(), Error> {
    let other = small_engine();
    for (text, name) in [(TOTAL, r#"module "total""#), ("(module)", "without a name")] {
        let pre = linker(&ENGINE)?.instantiate_pre(&compile(&ENGINE, text)?)?;
        let error = Instance::with_store(&pre, Store::new(&other, Host::default()))
            .expect_err("the store belongs to another engine");
        assert!(error.to_string().contains(name), "{error}");
        match error {
            Error::OtherEngine { module } => assert!(module.contains(name), "{module}"),
            other => panic!("{other:?}"),
        }
        Instance::with_store(&pre, Store::new(&ENGINE, Host::default()))?;
    }
    Ok(())
}

#[test]
fn a_reset_with_a_store_of_another_engine() -> Result<(), Error> {
    let other = small_engine();
    let instance = instance(KINDS)?;
    instance.store()?.data_mut().ticks = 5;
    let reset = instance.reset_with_store(Store::new(&other, Host::default()));
    assert!(matches!(reset, Err(Error::OtherEngine { .. })));
    assert_as_before(&instance)?;
    assert_eq!(instance.store()?.data().ticks, 5);
    Ok(())
}

#[test]
fn a_module_that_is_none() {
    fn load(bytes: &[u8]) -> Result<Module, Error> {
        Ok(Module::new(&ENGINE, bytes)?)
    }
    for bytes in [&b"not wasm at all"[..], b"", b"\0asm\x01\0\0\0\xff"] {
        let error = load(bytes).expect_err("the bytes are no module");
        assert!(matches!(error, Error::Wasmtime(_)), "{error:?}");
        assert!(!error.to_string().is_empty());
        assert!(std::error::Error::source(&error).is_some(), "the error of wasmtime is kept");
    }
}

#[test]
fn an_import_of_another_type_is_named() -> Result<(), Error> {
    fn link(module: &Module) -> Result<wasmtime::InstancePre<Host>, Error> {
        let mut linker = wasmtime::Linker::new(&ENGINE);
        linker.func_wrap("env", "roll", || 4)?;
        Ok(linker.instantiate_pre(module)?)
    }

    let module = compile(&ENGINE, r#"(module (import "env" "roll" (func (param i64))))"#)?;
    let Err(error) = link(&module) else { panic!("the types are not the same") };
    let message = error.to_string();
    assert!(message.contains("env::roll") && message.contains("i64"), "{message}");
    Ok(())
}

#[test]
fn a_module_too_large_for_the_pool() -> Result<(), Error> {
    fn make() -> Result<Instance<Host>, Error> {
        instance("(module (memory 1) (memory 1) (memory 1))")
    }
    let error = make().expect_err("an instance of the pool has one memory");
    assert!(matches!(error, Error::Wasmtime(_)), "{error:?}");
    assert!(error.to_string().contains("memories"), "{error}");

    let engine = engine(&EngineOptions::default().on_demand())?;
    instance_of(&engine, "(module (memory 1) (memory 1) (memory 1))", Host::default())?;
    Ok(())
}

#[test]
fn messages_start_in_lower_case_and_have_no_full_stop() -> Result<(), Error> {
    let instance = instance(KINDS)?;
    let mut future = instance.call::<(i32, i32), f64>("a function", (1, 2))?;
    let in_progress = instance.store().err();
    let _runner = future.to_job()?;
    let in_job = future.resume().err();
    future.cancel();
    let cancelled = future.try_get_result().err();
    let taken = future.try_get_result().err();
    let mut errors: Vec<_> =
        [in_progress, in_job, cancelled, taken].into_iter().map(Option::unwrap).collect();
    errors.push(instance.call::<(), ()>("ruin", ()).expect_err("the export does not exist"));
    errors.push(instance.call::<(), ()>("a memory", ()).expect_err("the export is a memory"));
    errors
        .push(instance.call::<(), ()>("a function", ()).expect_err("the function has parameters"));
    errors.push(
        engine(&EngineOptions::default().threads(true)).expect_err("a pool has no shared memory"),
    );
    for error in errors {
        let message = error.to_string();
        assert!(message.starts_with(|first: char| first.is_lowercase()), "{message}");
        assert!(!message.ends_with('.'), "{message}");
    }
    Ok(())
}
