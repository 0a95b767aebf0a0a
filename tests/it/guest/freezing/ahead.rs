//! Modules that were compiled ahead of time, as by `Engine::precompile_module`, whose calls are frozen and go on. (These tests cannot deserialise, because that is unsafe: they compile
//! what a build script would.)

use super::{DEEP, Log, begin, deep, freezable, linker};
use wasm_jobs::transform::{Options, transform_with};
use wasm_jobs::wasmtime::{Engine, Module};
use wasm_jobs::{
    EngineOptions, Error, Frozen, InstanceOptions, ManualClock, PrepareOptions, Prepared,
    PreparedPre, Step, prepare, prepare_with,
};

/// `sum(n)` adds the numbers up to n, and yields after each.
const GUEST: &str = r#"(module $sums
    (import "env" "yield" (func $yield))
    (import "host" "log" (func $log (param i32)))
    (func $wait (call $yield))
    (func (export "sum") (param $n i32) (result i32) (local $sum i32)
        (loop $next
            (local.set $sum (i32.add (local.get $sum) (local.get $n)))
            (call $wait)
            (call $log (local.get $n))
            (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (local.get $sum)))"#;

fn wasm() -> Vec<u8> {
    wat::parse_str(GUEST).expect("the text of a module")
}

/// What a build script compiles: the module, and that with twins.
fn compiled(engine: &Engine, options: &PrepareOptions) -> [Module; 2] {
    let options: Options = options.transformation(engine);
    [options.clone(), options.twins(true)].map(|options| {
        let transformed = transform_with(&wasm(), &options).expect("it can be transformed");
        Module::new(engine, transformed.wasm).expect("it is valid")
    })
}

fn link(prepared: &Prepared) -> Result<PreparedPre<Log>, Error> {
    prepared.instantiate_pre(&linker(prepared.module().engine(), &ManualClock::new())?)
}

/// Where the code of a module is, which no other module has.
fn place(module: &Module) -> usize {
    module.image_range().start.addr()
}

#[test]
fn calls_go_on_in_modules_that_were_compiled_before() -> Result<(), Error> {
    let options = EngineOptions::default();
    let flags = options.clone().stop_flags(true).epoch_interruption(false);
    for engine in [deep(&options), deep(&flags), deep(&options.clone().fuel(true))] {
        let [first, second] = compiled(&engine, &freezable());
        let places = [&first, &second].map(place);
        let prepared = Prepared::from_module_with(first, wasm(), &freezable())?;
        let clone = prepared.clone();
        prepared.set_twins_module(second)?;
        assert!(prepared.is_freezable());
        assert_eq!([place(prepared.module()), place(&prepared.twins_module()?)], places);
        assert_eq!(place(&clone.twins_module()?), places[1], "a clone has the same");

        // They and those that are compiled here read each other's calls.
        let ahead = link(&prepared)?;
        let here = link(&prepare_with(&engine, wasm(), &freezable())?)?;
        for (from, to) in [(&ahead, &ahead), (&ahead, &here), (&here, &ahead)] {
            let (_instance, mut call) = begin::<_, i32>(from, "sum", 5)?;
            assert_eq!(call.resume()?, Step::Yielded);
            assert_eq!(call.resume()?, Step::Yielded);
            let bytes = call.freeze()?.to_bytes();
            let frozen = Frozen::<i32>::from_bytes(to, &bytes)?;
            assert_eq!(frozen.frames().len(), 2);
            assert_eq!(frozen.frames()[0].name(), Some("wait"));
            let log = Log::default();
            let mut call = frozen.thaw(to, InstanceOptions::default(), log.clone())?;
            assert_eq!(call.resume()?, Step::Yielded);
            let mut call = call.freeze()?.thaw(to, InstanceOptions::default(), log.clone())?;
            assert_eq!(call.wait()?, 15);
            assert_eq!(log.take(), [4, 3, 2, 1]);
        }
    }
    Ok(())
}

#[test]
fn without_the_second_module_that_is_compiled_when_it_is_needed() -> Result<(), Error> {
    let [first, second] = compiled(&DEEP, &freezable());
    let prepared = Prepared::from_module_with(first, wasm(), &freezable())?;
    let pre = link(&prepared)?;
    let (_instance, mut call) = begin::<_, i32>(&pre, "sum", 3)?;
    let frozen = call.freeze()?;
    let mut call = frozen.thaw(&pre, InstanceOptions::default(), Log::default())?;
    assert_eq!(call.wait()?, 6);
    // It is there, and stays.
    let place_of_twins = place(&prepared.twins_module()?);
    prepared.set_twins_module(second)?;
    assert_eq!(place(&prepared.twins_module()?), place_of_twins);
    Ok(())
}

#[test]
fn other_bytes_and_other_options_are_refused() -> Result<(), Error> {
    let module = || compiled(&DEEP, &freezable());
    let other_wasm = wat::parse_str(GUEST.replace("i32.add", "i32.sub")).unwrap();
    let other_waits = PrepareOptions::default().freezable(true);
    let [first, second] = module();
    for (case, module, wasm, options) in [
        ("other bytes", &first, &other_wasm, freezable()),
        ("other bytes, without frozen calls", &first, &other_wasm, PrepareOptions::default()),
        ("other imports to wait in", &first, &wasm(), other_waits.clone()),
        ("not to be frozen", &compiled(&DEEP, &PrepareOptions::default())[0], &wasm(), freezable()),
        ("the second module", &second, &wasm(), freezable()),
    ] {
        let refused = Prepared::from_module_with(module.clone(), wasm, &options);
        assert!(matches!(refused, Err(Error::OtherModule { .. })), "{case}: {refused:?}");
    }
    let refused = Prepared::from_module_with(first.clone(), b"no wasm", &freezable());
    assert!(matches!(refused, Err(Error::Prepare(_))), "{refused:?}");
    let plain = Module::new(&DEEP, wasm()).unwrap();
    let refused = Prepared::from_module_with(plain, wasm(), &freezable());
    assert!(matches!(refused, Err(Error::NotPrepared { .. })), "{refused:?}");

    let prepared = Prepared::from_module_with(first.clone(), wasm(), &freezable())?;
    let stops = compiled(&deep(&EngineOptions::default().stop_flags(true)), &freezable());
    for (case, twins) in [
        ("the first module", first.clone()),
        ("other imports to wait in", compiled(&DEEP, &other_waits)[1].clone()),
    ] {
        let refused = prepared.set_twins_module(twins);
        assert!(matches!(refused, Err(Error::OtherModule { .. })), "{case}: {refused:?}");
    }
    let refused = prepared.set_twins_module(stops[1].clone());
    assert!(matches!(refused, Err(Error::OtherEngine { .. })), "{refused:?}");

    let refused = prepare(&DEEP, wasm())?.set_twins_module(second.clone());
    assert!(matches!(refused, Err(Error::NotFreezable { .. })), "{refused:?}");
    let refused = prepare(&DEEP, wasm())?.twins_module();
    assert!(matches!(refused, Err(Error::NotFreezable { .. })));
    Ok(())
}

#[test]
fn a_module_whose_calls_are_not_to_be_frozen_is_taken_as_it_is() -> Result<(), Error> {
    let options = PrepareOptions::default();
    let [module, _] = compiled(&DEEP, &options);
    let prepared = Prepared::from_module_with(module, wasm(), &options)?;
    assert!(!prepared.is_freezable());
    let (_instance, mut call) = begin::<_, i32>(&link(&prepared)?, "sum", 3)?;
    assert_eq!(call.wait()?, 6);
    Ok(())
}

#[test]
fn a_module_for_an_engine_that_counts_no_fuel_is_another_one() -> Result<(), Error> {
    let fuel = deep(&EngineOptions::default().fuel(true));
    let transformed = |options: &Options| transform_with(&wasm(), options).expect("it is valid");
    let plain = freezable().transformation(&DEEP);
    let first = Module::new(&fuel, transformed(&plain).wasm)?;
    let refused = Prepared::from_module_with(first, wasm(), &freezable()).map(drop);
    assert!(matches!(refused, Err(Error::OtherModule { .. })), "{refused:?}");
    let prepared = prepare_with(&fuel, wasm(), &freezable())?;
    let second = Module::new(&fuel, transformed(&plain.twins(true)).wasm)?;
    let refused = prepared.set_twins_module(second);
    assert!(matches!(refused, Err(Error::OtherModule { .. })), "{refused:?}");
    Ok(())
}
