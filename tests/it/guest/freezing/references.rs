//! References in frozen calls: to functions, and to objects of the host's, which a codec makes data of.

use super::{DEEP, Log, linker};
use crate::guest::checkpoints::references::Texts;
use std::any::Any;
use wasm_jobs::wasmtime::{self, Caller, ExternRef, Func, Rooted, StoreContextMut};
use wasm_jobs::{
    CannotFreeze, Error, Frozen, Instance, InstanceOptions, ManualClock, PrepareOptions,
    PreparedPre, RefCodec, Step, prepare_with,
};

fn linked(text: &str) -> Result<PreparedPre<Log>, Error> {
    let mut linker = linker(&DEEP, &ManualClock::new())?;
    linker.func_wrap("host", "make", |mut caller: Caller<'_, Log>, number: i32| {
        ExternRef::new(&mut caller, number.to_string()).map(Some)
    })?;
    linker.func_wrap(
        "host",
        "look",
        |caller: Caller<'_, Log>, object: Option<Rooted<ExternRef>>| {
            let Some(object) = object else { return Ok(-1) };
            let text = object.data(&caller)?.expect("it is the host's").downcast_ref::<String>();
            Ok(text.expect("a text").parse::<i32>()?)
        },
    )?;
    let options = PrepareOptions::default().freezable(true).waits_in(|module, _| module == "env");
    let wasm = wat::parse_str(text).expect("the text of a module");
    prepare_with(&DEEP, wasm, &options)?.instantiate_pre(&linker)
}

/// Keeps objects of the host's in a local, an operand, a global and a table.
const OBJECTS: &str = r#"(module
    (import "env" "yield" (func $yield))
    (import "host" "make" (func $make (param i32) (result externref)))
    (import "host" "look" (func $look (param externref) (result i32)))
    (global $g (mut externref) (ref.null extern))
    (table $t 2 externref)
    (func (export "local") (result i32) (local $object externref) (local $null externref)
        (local.set $object (call $make (i32.const 9)))
        (call $make (i32.const 700))
        (call $yield)
        (i32.add (call $look))
        (i32.add (call $look (local.get $object)) (call $look (local.get $null))))
    (func (export "global") (result i32)
        (global.set $g (call $make (i32.const 5)))
        (call $yield)
        (call $look (global.get $g)))
    (func (export "table") (result i32)
        (table.set $t (i32.const 1) (call $make (i32.const 6)))
        (call $yield)
        (call $look (table.get $t (i32.const 1)))))"#;

/// `OBJECTS`, with the operands of the addition in the order in which they are there.
fn objects() -> String {
    OBJECTS.replace(
        "(i32.add (call $look))\n        (i32.add (call $look (local.get $object)) (call $look (local.get $null))))",
        "(call $look)\n        (i32.add (i32.add (call $look (local.get $object)) (call $look (local.get $null)))))",
    )
}

#[test]
fn objects_become_data_by_a_codec() -> Result<(), Error> {
    let pre = linked(&objects())?;
    for (name, result) in [("local", 708), ("global", 5), ("table", 6)] {
        let instance = Instance::new(&pre, Log::default())?;
        instance.set_ref_codec(Texts)?;
        assert_eq!(instance.call::<(), i32>(name, ())?.wait()?, result);
        let mut call = instance.call::<(), i32>(name, ())?;
        assert_eq!(call.resume()?, Step::Yielded);
        let frozen = call.freeze()?;
        let bytes = frozen.to_bytes();
        let read = Frozen::<i32>::from_bytes(&pre, &bytes)?;
        assert!(read.to_bytes() == bytes, "{name}");
        // A new instance has no codec, and says so.
        let refused = read.thaw(&pre, InstanceOptions::default(), Log::default());
        let refused = refused.expect_err("there is no codec");
        assert!(matches!(refused, Error::CannotRestore { .. }), "{name}: {refused:?}");
        assert!(refused.to_string().contains("thaw_with_ref_codec"), "{refused}");
        for frozen in [&frozen, &read] {
            let options = InstanceOptions::default();
            let (there, mut call) =
                frozen.thaw_with_ref_codec(&pre, options, Log::default(), Texts)?;
            assert_eq!(call.resume()?, Step::Yielded);
            // The instance has the codec from then on, also for a call that is frozen once more.
            let again = call.freeze()?;
            assert!(again.to_bytes() == bytes, "{name}");
            assert_eq!(there.thaw(&again)?.wait()?, result, "{name}");
            there.reset_with(Log::default())?;
            assert_eq!(there.thaw(&read)?.wait()?, result, "{name}");
        }
    }
    Ok(())
}

/// Makes no objects.
struct Broken;

impl<S: 'static> RefCodec<S> for Broken {
    fn encode(&self, _: &(dyn Any + Send + Sync)) -> Option<Vec<u8>> {
        None
    }

    fn decode(&self, _: &[u8], _: StoreContextMut<'_, S>) -> wasmtime::Result<Rooted<ExternRef>> {
        Err(wasmtime::Error::msg("it is broken"))
    }
}

#[test]
fn a_codec_that_fails_is_an_error_and_the_frozen_call_stays() -> Result<(), Error> {
    let pre = linked(&objects())?;
    for (name, result) in [("local", 708), ("global", 5), ("table", 6)] {
        let instance = Instance::new(&pre, Log::default())?;
        instance.set_ref_codec(Texts)?;
        let mut call = instance.call::<(), i32>(name, ())?;
        assert_eq!(call.resume()?, Step::Yielded);
        let frozen = call.freeze()?;
        let (options, state) = (InstanceOptions::default(), Log::default());
        let refused = frozen.thaw_with_ref_codec(&pre, options.clone(), state.clone(), Broken);
        let refused = refused.expect_err("the codec is broken").to_string();
        assert!(refused.contains("it is broken"), "{name}: {refused}");
        let (_instance, mut call) = frozen.thaw_with_ref_codec(&pre, options, state, Texts)?;
        assert_eq!(call.wait()?, result, "{name}");
    }
    Ok(())
}

/// Checks that a call is refused because of a reference at a place, and then gives its result.
fn refused(
    instance: &Instance<Log>,
    name: &'static str,
    place: &str,
    result: i32,
) -> Result<(), Error> {
    let mut call = instance.call::<(), i32>(name, ())?;
    for _ in 0..2 {
        match call.freeze() {
            Err(Error::CannotFreeze(CannotFreeze::Reference { place: found, .. })) => {
                assert_eq!(&*found, place);
            }
            // The step of the first refusal may have left the yield.
            Err(Error::CannotFreeze(CannotFreeze::Ended)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(call.wait()?, result);
    assert!(!instance.is_poisoned());
    Ok(())
}

#[test]
fn without_a_codec_the_call_goes_on() -> Result<(), Error> {
    let pre = linked(&objects())?;
    for (name, place, result) in [
        ("local", "a value of function 3", 708),
        ("global", "global 0", 5),
        ("table", "element 1 of table 0", 6),
    ] {
        refused(&Instance::new(&pre, Log::default())?, name, place, result)?;
    }
    Ok(())
}

#[test]
fn a_function_of_another_instance_and_an_exception_are_refused_by_their_places() -> Result<(), Error>
{
    let text = r#"(module
        (import "env" "yield" (func $yield))
        (tag $t (param i32))
        (table (export "table") 2 funcref)
        (global $kept (mut exnref) (ref.null exn))
        (func (export "run") (result i32) (call $yield) (i32.const 4))
        (func (export "catch") (result i32)
            (global.set $kept
                (block $caught (result exnref)
                    (try_table (catch_all_ref $caught) (throw $t (i32.const 1)))
                    (unreachable)))
            (call $yield)
            (i32.const 5)))"#;
    let pre = linked(text)?;
    let instance = Instance::new(&pre, Log::default())?;
    let mut store = instance.store()?;
    let stranger = Func::wrap(&mut store, || ());
    store.table("table")?.set(&mut store, 1, Some(stranger).into())?;
    drop(store);
    refused(&instance, "run", "element 1 of table 0", 4)?;
    refused(&Instance::new(&pre, Log::default())?, "catch", "global 0", 5)
}
