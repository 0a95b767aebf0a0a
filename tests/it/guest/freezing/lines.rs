//! Source lines of a guest's functions, by its debug information.

use super::{Log, deep, linked};
use wasm_jobs::{
    EngineOptions, Error, Frozen, Instance, InstanceOptions, ManualClock, PrepareOptions, Step,
    guest_kit, prepare_with, wasmtime,
};

const DREAM: &[u8] = include_bytes!("../../../../guests/debug/dream.wasm");

/// Where each function is, the innermost first.
fn locations(frozen: &Frozen<i32>) -> Vec<(String, u32)> {
    let frames = frozen.frames();
    let location = |frame: &wasm_jobs::FrozenFrame<'_>| {
        let location = frame.location().expect("the guest has debug information");
        assert_eq!(location.file(), Some("./debug/dream.c"), "{location}");
        let line = location.line().expect("a call has a line");
        let column = location.column().expect("a call has a column");
        assert_eq!(location.to_string(), format!("./debug/dream.c:{line}:{column}"));
        let shown = frame.to_string();
        assert!(shown.contains(&format!(" ({location})")), "{shown}");
        (frame.name().unwrap_or_default().to_owned(), line)
    };
    frames.iter().map(location).collect()
}

#[test]
fn each_function_is_at_the_line_of_its_call() -> Result<(), Error> {
    let options = EngineOptions::default();
    // Checks are calls that the source does not have.
    let flags = options.clone().stop_flags(true).epoch_interruption(false);
    for engine in [deep(&options), deep(&flags)] {
        let clock = ManualClock::new();
        let mut linker = wasmtime::Linker::<()>::new(&engine);
        guest_kit::add_to_linker(&mut linker, clock.clone())?;
        let freezable = PrepareOptions::default().freezable(true);
        let pre = prepare_with(&engine, DREAM, &freezable)?.instantiate_pre(&linker)?;
        let mut call = Instance::new(&pre, ())?.call::<i32, i32>("night", 2)?;
        assert_eq!(call.resume()?, Step::Waiting);
        let dream = |line| ("dream".to_owned(), line);
        let expected = [dream(7), dream(10), dream(10), ("night".to_owned(), 15)];
        let frozen = call.freeze()?;
        assert_eq!(locations(&frozen), expected);
        assert_eq!(frozen.frames()[1].to_string(), "dream (./debug/dream.c:10:17): local 0 = 1");
        // It is in twins then.
        let mut call = frozen.thaw(&pre, InstanceOptions::default(), ())?;
        let frozen = call.freeze()?;
        assert_eq!(locations(&frozen), expected);
        let mut call = frozen.thaw(&pre, InstanceOptions::default(), ())?;
        assert_eq!(call.resume()?, Step::Waiting);
        clock.tick(std::time::Duration::from_micros(1));
        assert_eq!(call.wait()?, (3 * 2 + 2) + 1);
    }
    Ok(())
}

#[test]
fn without_debug_information_there_are_no_lines() -> Result<(), Error> {
    let text = r#"(module (import "env" "yield" (func $yield))
        (func $run (export "run") (result i32) (call $yield) (i32.const 1)))"#;
    let pre = linked(&deep(&EngineOptions::default()), text)?;
    let mut call = Instance::new(&pre, Log::default())?.call::<(), i32>("run", ())?;
    assert_eq!(call.resume()?, Step::Yielded);
    let frozen = call.freeze()?;
    assert_eq!(frozen.frames()[0].location(), None);
    assert_eq!(frozen.frames()[0].to_string(), "run");
    Ok(())
}
