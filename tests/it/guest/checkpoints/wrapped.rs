//! Wrappers whose guests are prepared.

use super::super::ENGINE;
use wasm_jobs::wasmtime::{Linker, Module};
use wasm_jobs::{Embedded, Error, prepare, wrapper};

wrapper! {
    struct Counter in "macros/tests/guests/counter.wat" { checkpoints: true }
}

wrapper! {
    struct CounterOfFile in "macros/tests/guests/counter.wat" { checkpoints: true, embed: false }
}

#[test]
fn a_wrapper_is_saved_and_goes_on() -> Result<(), Error> {
    let linker = Linker::new(&ENGINE);
    for counter in [
        Counter::new(&*ENGINE, &linker, ())?,
        Counter::new(&Counter::module(&ENGINE)?, &linker, ())?,
    ] {
        assert_eq!(counter.increment(2)?.wait()?, 2);
        let here = counter.checkpoint()?;
        assert_eq!(counter.increment(3)?.wait()?, 5);
        counter.rollback(&here)?;
        assert_eq!(counter.increment(1)?.wait()?, 3);

        let pre = Counter::module(&ENGINE)?.instantiate_pre(&linker)?;
        let twin = Counter::from_instance(here.instantiate(&pre, ())?)?;
        assert_eq!(twin.increment(1)?.wait()?, 3);
    }
    Ok(())
}

#[test]
fn a_module_that_was_not_prepared_is_refused() -> Result<(), Error> {
    let linker = Linker::new(&ENGINE);
    let plain = Module::new(&ENGINE, Counter::WASM)?;
    for refused in [
        Counter::new(&plain, &linker, ()).map(drop),
        CounterOfFile::new(&plain, &linker, ()).map(drop),
    ] {
        assert!(matches!(refused, Err(Error::NotPrepared { .. })), "{refused:?}");
    }
    let prepared = prepare(&ENGINE, Counter::WASM)?;
    CounterOfFile::new(&prepared, &linker, ())?.checkpoint()?;
    Ok(())
}
