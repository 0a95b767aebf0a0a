//! Calls that go on elsewhere: on an engine of other options, where the stack is too small, and in another process.

use super::{DEEP, Log, begin, deep, linked, linker};
use std::process::{Command, Stdio};
use std::time::Duration;
use wasm_jobs::wasmtime::{Engine, Trap};
use wasm_jobs::{
    EngineOptions, Error, Frozen, Instance, InstanceOptions, ManualClock, PreparedPre, Slice, Step,
    engine, prepare, prepare_with,
};

/// `run(n)` calls itself n times, waits at the bottom, and counts on its way back. It loops there, so that there is something to stop.
const DEPTH: &str = r#"(module
    (import "env" "yield" (func $yield))
    (global $turns (mut i32) (i32.const 0))
    (func $down (export "run") (param $n i32) (result i32) (local $turn i32)
        (if (i32.eqz (local.get $n)) (then (call $yield) (call $yield) (return (i32.const 0))))
        (call $down (i32.sub (local.get $n) (i32.const 1)))
        (loop $next
            (global.set $turns (i32.add (global.get $turns) (i32.const 1)))
            (br_if $next (i32.lt_u
                (local.tee $turn (i32.add (local.get $turn) (i32.const 1))) (i32.const 50))))
        (i32.add (i32.const 1))))"#;

/// Engines that have nothing in common but what the call needs.
fn engines() -> Result<Vec<(&'static str, Engine)>, Error> {
    let options = EngineOptions::default();
    let flags = options.clone().stop_flags(true).epoch_interruption(false);
    Ok(vec![
        ("the default", deep(&options)),
        ("a pool", engine(&options.clone().pooling(3))?),
        ("no epochs", deep(&options.clone().epoch_interruption(false))),
        ("fuel", deep(&options.clone().fuel(true))),
        ("flags", deep(&flags)),
        ("flags and fuel", deep(&flags.clone().fuel(true))),
        ("flags in a pool", engine(&flags.pooling(3))?),
        ("no backtraces", engine(&options.clone().pooling(3).backtraces(false))?),
    ])
}

#[test]
fn on_an_engine_of_other_options() -> Result<(), Error> {
    let pres = engines()?.into_iter().map(|(name, engine)| Ok((name, linked(&engine, DEPTH)?)));
    let pres = pres.collect::<Result<Vec<_>, Error>>()?;
    let mut first: Option<Vec<u8>> = None;
    for (here, from) in &pres {
        let (_instance, mut call) = begin::<_, i32>(from, "run", 15)?;
        let frozen = call.freeze()?;
        for (there, to) in &pres {
            // As it is, and through bytes; on the way it is frozen once more, and goes back.
            let again = Frozen::<i32>::from_bytes(to, &frozen.to_bytes())?;
            for frozen in [frozen.clone(), again] {
                let mut call = frozen.thaw(to, InstanceOptions::default(), Log::default())?;
                assert_eq!(call.resume()?, Step::Yielded);
                assert_eq!(call.resume()?, Step::Yielded, "{here} to {there}");
                let back = call.freeze()?;
                let mut call = back.thaw(from, InstanceOptions::default(), Log::default())?;
                assert_eq!(call.wait()?, 15, "{here} to {there} and back");
            }
        }
        // The fuel that was left is all that differs.
        let has_fuel = here.contains("fuel");
        let bytes = frozen.to_bytes();
        match &first {
            _ if has_fuel => {}
            Some(first) => assert!(*first == bytes, "{here}"),
            None => first = Some(bytes),
        }
    }
    Ok(())
}

#[test]
fn the_fuel_that_was_left_is_what_the_thawed_call_has() -> Result<(), Error> {
    let pre = linked(&deep(&EngineOptions::default().fuel(true)), DEPTH)?;
    let options = InstanceOptions::default().fuel(100_000);
    let instance = wasm_jobs::Instance::with_options(&pre, options, Log::default)?;
    let mut call = instance.call::<i32, i32>("run", 15)?;
    assert_eq!(call.resume()?, Step::Yielded);
    let frozen = call.checkpoint()?;
    let left = instance.fuel_remaining()?;
    assert_eq!(call.wait()?, 15);
    let undisturbed = left - instance.fuel_remaining()?;
    assert!((90_000..100_000).contains(&left), "{left}");
    // It has no more than a call may use there. The way back into the functions uses none of it.
    for (fuel, begins_with) in [(1_000_000, left), (50_000, 50_000)] {
        let options = InstanceOptions::default().fuel(fuel);
        let (there, mut call) = frozen.thaw_with_instance(&pre, options, Log::default())?;
        assert_eq!(call.wait()?, 15);
        let used = begins_with - there.fuel_remaining()?;
        assert_eq!(used, undisturbed);
    }
    Ok(())
}

#[test]
fn a_slice_ends_on_the_way_back_into_the_functions() -> Result<(), Error> {
    let pre = linked(&deep(&EngineOptions::default().fuel(true)), DEPTH)?;
    let (_instance, mut call) = begin::<_, i32>(&pre, "run", 300)?;
    let frozen = call.freeze()?;
    for fuel in [1, 7, 100] {
        let options = InstanceOptions::default().slice(Slice::Fuel(fuel));
        let mut call = frozen.thaw(&pre, options.clone(), Log::default())?;
        for _ in 0..10 {
            assert_eq!(call.resume()?, Step::Yielded);
        }
        // It is half-way in, and goes on to where it waits.
        let mut call = call.freeze()?.thaw(&pre, options, Log::default())?;
        let mut steps = 0;
        while call.resume()? != Step::Done {
            steps += 1;
        }
        assert!(steps > 100, "{steps}");
        assert_eq!(call.try_get_result()?, Some(300));
    }
    Ok(())
}

#[test]
fn where_the_stack_is_too_small() -> Result<(), Error> {
    let pre = linked(&DEEP, DEPTH)?;
    let (_instance, mut call) = begin::<_, i32>(&pre, "run", 4_000)?;
    let frozen = call.freeze()?;
    let small = engine(&EngineOptions::default().pooling(3).wasm_stack(32 << 10))?;
    let there = linked(&small, DEPTH)?;
    let of_bytes = Frozen::<i32>::from_bytes(&there, &frozen.to_bytes())?;
    for frozen in [&frozen, &of_bytes] {
        for _ in 0..5 {
            let (instance, mut call) =
                frozen.thaw_with_instance(&there, InstanceOptions::default(), Log::default())?;
            match call.wait() {
                Err(Error::Trap(trap)) => assert_eq!(trap.code(), Trap::StackOverflow),
                other => panic!("{other:?}"),
            }
            assert!(instance.is_poisoned());
        }
        let mut call = frozen.thaw(&pre, InstanceOptions::default(), Log::default())?;
        assert_eq!(call.wait()?, 4_000, "it goes on elsewhere");
    }
    Ok(())
}

#[test]
fn where_the_module_is_not_freezable_or_the_function_not_resumable() -> Result<(), Error> {
    let pre = linked(&DEEP, DEPTH)?;
    let (_instance, mut call) = begin::<_, i32>(&pre, "run", 2)?;
    let frozen = call.freeze()?;
    let wasm = wat::parse_str(DEPTH).unwrap();
    let not = prepare(&DEEP, &wasm)?.instantiate_pre(&linker(&DEEP, &ManualClock::new())?)?;
    let read = Frozen::<i32>::from_bytes(&not, &frozen.to_bytes());
    assert!(matches!(read, Err(Error::NotFreezable { .. })), "{read:?}");
    let refused = frozen.thaw(&not, InstanceOptions::default(), Log::default());
    assert!(matches!(refused, Err(Error::NotFreezable { .. })), "{refused:?}");

    let mut linker = wasm_jobs::wasmtime::Linker::<Log>::new(&DEEP);
    linker.func_wrap_async("env", "yield", |_, ()| Box::new(wasm_jobs::yield_now()))?;
    let not: PreparedPre<Log> =
        prepare_with(&DEEP, &wasm, &super::freezable())?.instantiate_pre(&linker)?;
    let refused = frozen.thaw(&not, InstanceOptions::default(), Log::default());
    let refused = refused.expect_err("its yield is another function");
    assert!(refused.to_string().contains("env.yield"), "{refused}");
    let mut call = frozen.thaw(&pre, InstanceOptions::default(), Log::default())?;
    assert_eq!(call.wait()?, 2);
    Ok(())
}

/// `nap(n)` sleeps for n nanoseconds, and gives twice that.
const NAP: &str = r#"(module
    (import "env" "sleep" (func $sleep (param i64)))
    (func (export "run") (param $n i64) (result i64)
        (call $sleep (local.get $n))
        (i64.mul (local.get $n) (i64.const 2))))"#;

#[test]
fn a_sleep_goes_on_where_it_was() -> Result<(), Error> {
    let second = Duration::from_secs(1);
    let with = |clock: &ManualClock| -> Result<PreparedPre<Log>, Error> {
        let wasm = wat::parse_str(NAP).unwrap();
        prepare_with(&DEEP, wasm, &super::freezable())?.instantiate_pre(&linker(&DEEP, clock)?)
    };
    let clock = ManualClock::new();
    let pre = with(&clock)?;
    let (_instance, mut call) = begin::<_, i64>(&pre, "run", 10_000_000_000_i64)?;
    assert_eq!(call.resume()?, Step::Waiting);
    clock.tick(3 * second);
    assert_eq!(call.resume()?, Step::Waiting);
    let frozen = call.freeze()?;
    assert_eq!(clock.sleepers(), 0);
    // The time that it is frozen does not count, and the clock there shows another time.
    clock.tick(100 * second);
    let clock = ManualClock::new();
    clock.tick(1_000 * second);
    let pre = with(&clock)?;
    let mut call = Frozen::<i64>::from_bytes(&pre, &frozen.to_bytes())?.thaw(
        &pre,
        InstanceOptions::default(),
        Log::default(),
    )?;
    for _ in 0..3 {
        assert_eq!(call.resume()?, Step::Waiting);
        assert_eq!(clock.next_deadline(), Some(1_007 * second));
        call = call.freeze()?.thaw(&pre, InstanceOptions::default(), Log::default())?;
    }
    assert_eq!(call.resume()?, Step::Waiting);
    clock.tick(7 * second - Duration::from_nanos(1));
    assert_eq!(call.resume()?, Step::Waiting);
    clock.tick(Duration::from_nanos(1));
    assert_eq!(call.resume()?, Step::Done);
    assert_eq!(call.try_get_result()?, Some(20_000_000_000));
    Ok(())
}

/// The file with the bytes, in the process that goes on from them.
const FILE: &str = "WASM_JOBS_TEST_OF_FROZEN_BYTES";

#[test]
fn in_another_process() -> Result<(), Error> {
    let pre = linked(&DEEP, DEPTH)?;
    if let Some(path) = std::env::var_os(FILE) {
        let bytes = std::fs::read(&path).expect("the other process has written it");
        let frozen = Frozen::<i32>::from_bytes(&pre, &bytes)?;
        let mut call = frozen.thaw(&pre, InstanceOptions::default(), Log::default())?;
        assert_eq!(call.resume()?, Step::Yielded);
        assert_eq!(call.resume()?, Step::Yielded);
        // And back.
        std::fs::write(&path, call.freeze()?.to_bytes()).expect("it can be written");
        println!("it has gone on");
        return Ok(());
    }
    let (_instance, mut call) = begin::<_, i32>(&pre, "run", 700)?;
    assert_eq!(call.resume()?, Step::Yielded);
    let path = std::env::temp_dir().join(format!("wasm-jobs-frozen-{}", std::process::id()));
    std::fs::write(&path, call.freeze()?.to_bytes()).expect("it can be written");
    let (_, module) = module_path!().split_once("::").expect("the path begins with the crate");
    let output = Command::new(std::env::current_exe().expect("this process knows its binary"))
        .args(["--exact", &format!("{module}::in_another_process"), "--nocapture"])
        .env(FILE, &path)
        .stdin(Stdio::null())
        .output()
        .expect("this binary can run");
    let out = String::from_utf8_lossy(&output.stdout);
    let bytes = std::fs::read(&path).expect("it is still there");
    std::fs::remove_file(&path).expect("it is ours");
    assert!(output.status.success() && out.contains("it has gone on"), "{out}");
    let frozen = Frozen::<i32>::from_bytes(&pre, &bytes)?;
    let mut call = frozen.thaw(&pre, InstanceOptions::default(), Log::default())?;
    assert_eq!(call.wait()?, 700);
    Ok(())
}

#[test]
fn fuel_that_was_lent_on_the_way_back_is_taken_back() -> Result<(), Error> {
    let options = EngineOptions::default().fuel(true).on_demand();
    let pre = linked(&deep(&options), DEPTH)?;
    let (_instance, mut call) = begin::<_, i32>(&pre, "run", 4_000)?;
    let frozen = call.freeze()?;
    let there = linked(&engine(&options.wasm_stack(32 << 10))?, DEPTH)?;
    let instance = Instance::new(&there, Log::default())?;
    instance.store()?.parts()?.0.set_fuel(1_234)?;
    // It ends where the stack does.
    let mut call = instance.thaw(&Frozen::<i32>::from_bytes(&there, &frozen.to_bytes())?)?;
    match call.wait() {
        Err(Error::Trap(trap)) => assert_eq!(trap.code(), Trap::StackOverflow),
        other => panic!("{other:?}"),
    }
    // The new store takes a little for the module's initial values.
    let left = instance.fuel_remaining()?;
    assert!((1_200..=1_234).contains(&left), "{left}");
    instance.clear_poison()?;
    assert_eq!(instance.store()?.parts()?.0.get_fuel()?, left);
    Ok(())
}
