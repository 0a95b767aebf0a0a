//! Wrappers whose calls are frozen.

use super::{DEEP, freezable};
use wasm_jobs::wasmtime::{Linker, Module};
use wasm_jobs::{
    Embedded, Error, Frozen, InstanceOptions, Step, Trap, add_yield, prepare, prepare_with, wrapper,
};

wrapper! {
    struct Primes in "guests/primes.wasm" { freezable: true }
}

wrapper! {
    struct CarefulPrimes in "guests/primes.wasm" { freezable: true, embed: false, traps: value }
}

fn linker() -> Result<Linker<()>, Error> {
    let mut linker = Linker::new(&DEEP);
    add_yield(&mut linker, "env", "yield")?;
    Ok(linker)
}

#[test]
fn a_wrapper_goes_on_with_a_frozen_call() -> Result<(), Error> {
    let (linker, module) = (linker()?, Primes::module(&DEEP)?);
    assert!(module.is_freezable());
    let pre = module.instantiate_pre(&linker)?;
    for primes in [Primes::new(&*DEEP, &linker, ())?, Primes::new(&module, &linker, ())?] {
        let mut future = primes.count_primes(0, 10_000)?;
        assert_eq!(future.resume()?, Step::Yielded);
        let here: Frozen<i32> = future.checkpoint()?;
        assert_eq!(future.resume()?, Step::Yielded);
        let frozen = Frozen::<i32>::from_bytes(&pre, &future.freeze()?.to_bytes())?;
        for frozen in [frozen, here] {
            assert_eq!(primes.thaw(&frozen)?.wait()?, 1229);
            assert_eq!(primes.count_primes(0, 100)?.wait()?, 25, "its methods stay valid");
            let other = Primes::with_options(&module, &linker, InstanceOptions::default(), || ())?;
            assert_eq!(other.thaw(&frozen)?.wait()?, 1229);

            let (there, mut future) =
                frozen.thaw_with_instance(&pre, InstanceOptions::default(), ())?;
            assert_eq!(future.wait()?, 1229);
            let there = Primes::from_instance(there)?;
            assert_eq!(there.count_primes(0, 100)?.wait()?, 25);
        }
    }
    Ok(())
}

#[test]
fn a_wrapper_with_traps_as_values() -> Result<(), Error> {
    let linker = linker()?;
    let module = prepare_with(&DEEP, Primes::WASM, &freezable())?;
    let primes = CarefulPrimes::new(&module, &linker, ())?;
    let mut future = primes.count_primes(0, 10_000)?;
    assert_eq!(future.resume()?, Step::Yielded);
    let frozen: Frozen<Result<i32, Trap>> = future.freeze()?;
    assert_eq!(primes.thaw(&frozen)?.wait()?.expect("it does not trap"), 1229);
    Ok(())
}

#[test]
fn a_module_whose_calls_cannot_be_frozen_is_refused() -> Result<(), Error> {
    let linker = linker()?;
    let (plain, prepared) = (Module::new(&DEEP, Primes::WASM)?, prepare(&DEEP, Primes::WASM)?);
    for refused in [
        Primes::new(&plain, &linker, ()).map(drop),
        Primes::new(&prepared, &linker, ()).map(drop),
        CarefulPrimes::new(&prepared, &linker, ()).map(drop),
        CarefulPrimes::with_options(&plain, &linker, InstanceOptions::default(), || ()).map(drop),
    ] {
        assert!(matches!(refused, Err(Error::NotFreezable { .. })), "{refused:?}");
    }
    Ok(())
}
