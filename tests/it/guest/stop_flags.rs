//! Guests that are stopped by a flag of their own, on engines without epochs.

use std::time::Duration;
use wasm_jobs::wasmtime::{Engine, Linker};
use wasm_jobs::{
    EngineOptions, Error, Instance, InstanceOptions, PreparedPre, Slice, Step, Stops, Timeout,
    engine, prepare,
};

const MS: Duration = Duration::from_millis(1);

const FOREVER: &str = r#"(module $endless
    (func (export "forever") (loop $again (br $again)))
    (func (export "nothing")))"#;

fn with_flags() -> Engine {
    let options = EngineOptions::default().pooling(4).stop_flags(true).epoch_interruption(false);
    engine(&options).expect("the options of an engine with flags")
}

fn prepared(engine: &Engine, text: &str) -> PreparedPre<()> {
    let wasm = wat::parse_str(text).expect("the text of a module");
    let prepared = prepare(engine, wasm).expect("it can be prepared");
    assert_eq!(prepared.stops(), Stops::AtFlags);
    prepared.instantiate_pre(&Linker::new(engine)).expect("it imports nothing")
}

#[test]
fn an_endless_loop_yields_at_the_end_of_each_slice() -> Result<(), Error> {
    let pre = prepared(&with_flags(), FOREVER);
    let options = InstanceOptions::default().slice(Slice::Time(MS));
    let instance = Instance::with_options(&pre, options, || ())?;
    assert_eq!(instance.stops(), Stops::AtFlags);
    let mut future = instance.call::<(), ()>("forever", ())?;
    for _ in 0..3 {
        let step = future.resume()?;
        if step == Step::Done {
            panic!("{:?}", future.try_get_result());
        }
        assert_eq!(step, Step::Yielded);
    }
    Ok(())
}

#[test]
fn an_endless_loop_ends_at_its_timeout() -> Result<(), Error> {
    let pre = prepared(&with_flags(), FOREVER);
    let options = InstanceOptions::default().running_timeout(MS);
    let instance = Instance::with_options(&pre, options, || ())?;
    match instance.call::<(), ()>("forever", ())?.wait() {
        Err(Error::TimedOut(why)) => assert_eq!(why.limit, Timeout::Running),
        other => panic!("{other:?}"),
    }
    instance.reset()?;
    instance.call::<(), ()>("nothing", ())?.wait()
}
