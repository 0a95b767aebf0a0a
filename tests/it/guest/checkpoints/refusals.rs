//! What is refused, and leaves the guest as it was.

use super::super::{ENGINE, compile};
use super::{COUNTER, call, counter, linked, next};
use wasm_jobs::wasmtime::{Linker, Module};
use wasm_jobs::{Error, Instance, Step, add_yield, prepare};

#[test]
fn a_module_that_was_not_prepared() -> Result<(), Error> {
    let pre = Linker::<()>::new(&ENGINE).instantiate_pre(&compile(&ENGINE, COUNTER)?)?;
    let instance = Instance::new(&pre, ())?;
    let here = counter()?.checkpoint()?;
    let refused = [
        instance.checkpoint().map(drop),
        instance.rollback(&here),
        here.instantiate(&pre, ()).map(drop),
        wasm_jobs::Checkpoint::from_bytes(&pre, &here.to_bytes()).map(drop),
    ];
    for refused in refused {
        let refused = refused.expect_err("it is an ordinary module");
        assert!(matches!(refused, Error::NotPrepared { .. }), "{refused:?}");
        assert!(refused.to_string().contains("counter"), "{refused}");
    }
    assert_eq!(next(&instance)?, 1);
    Ok(())
}

#[test]
fn a_checkpoint_of_another_module() -> Result<(), Error> {
    let here = counter()?.checkpoint()?;
    let other = linked::<()>(&ENGINE, "(module $other (global (mut i32) (i32.const 3)))")?;
    let instance = Instance::new(&other, ())?;
    let refused = [
        instance.rollback(&here),
        here.instantiate(&other, ()).map(drop),
        wasm_jobs::Checkpoint::from_bytes(&other, &here.to_bytes()).map(drop),
    ];
    for refused in refused {
        let refused = refused.expect_err("it is of the counter");
        assert!(matches!(refused, Error::OtherModule { .. }), "{refused:?}");
        assert!(refused.to_string().contains("other"), "{refused}");
    }
    assert!(!instance.is_poisoned());
    Ok(())
}

#[test]
fn a_guest_that_has_a_call() -> Result<(), Error> {
    let text = r#"(module
        (import "env" "yield" (func $yield))
        (global $n (mut i32) (i32.const 0))
        (func (export "run") (result i32)
            (call $yield)
            (global.set $n (i32.add (global.get $n) (i32.const 1)))
            (global.get $n)))"#;
    let module = prepare(&ENGINE, wat::parse_str(text).expect("the text of a module"))?;
    let mut linker = Linker::<()>::new(&ENGINE);
    add_yield(&mut linker, "env", "yield")?;
    let instance = Instance::new(&module.instantiate_pre(&linker)?, ())?;
    let here = instance.checkpoint()?;
    let mut future = instance.call::<(), i32>("run", ())?;
    assert_eq!(future.resume()?, Step::Yielded);
    assert!(matches!(instance.checkpoint(), Err(Error::CallInProgress)));
    assert!(matches!(instance.checkpoint_with_state(), Err(Error::CallInProgress)));
    assert!(matches!(instance.rollback(&here), Err(Error::CallInProgress)));
    assert_eq!(future.wait()?, 1, "the call goes on undisturbed");
    let guard = instance.store()?;
    assert!(matches!(instance.checkpoint(), Err(Error::CallInProgress)));
    drop(guard);
    instance.rollback(&here)?;
    assert_eq!(call::<_, i32, _>(&instance, "run", ())?, 1);
    Ok(())
}

#[test]
fn a_poisoned_guest_is_not_saved() -> Result<(), Error> {
    let counter = counter()?;
    call::<_, (), _>(&counter, "next_and_trap", ()).expect_err("it traps");
    assert!(matches!(counter.checkpoint(), Err(Error::Poisoned)));
    counter.clear_poison()?;
    counter.checkpoint()?;
    Ok(())
}

#[test]
fn a_module_that_cannot_be_prepared() {
    for (text, why) in [
        (r#"(module (func (export "__wasm_jobs_x")))"#, "__wasm_jobs_x"),
        ("(module (memory 1 1 shared))", "shared"),
        ("(module (type (struct (field i32))))", "gc"),
    ] {
        let wasm = wat::parse_str(text).expect("the text of a module");
        let refused = prepare(&ENGINE, wasm).expect_err(why);
        assert!(matches!(refused, Error::Prepare(_)), "{refused:?}");
        assert!(refused.to_string().contains(why), "{refused}");
    }
    assert!(matches!(prepare(&ENGINE, b"\0asm"), Err(Error::Prepare(_))));
}

#[test]
fn a_module_is_prepared_once() -> Result<(), Error> {
    let wasm = wat::parse_str(COUNTER).expect("the text of a module");
    let prepared = wasm_jobs::transform::transform(&wasm).expect("it can be prepared");
    assert!(matches!(prepare(&ENGINE, &prepared.wasm), Err(Error::Prepare(_))));
    // What `prepare` compiles is an ordinary module, which can be kept on disk.
    let module = Module::new(&ENGINE, &prepared.wasm)?;
    // SAFETY is wasmtime's matter: this test does not deserialize.
    assert!(!module.serialize()?.is_empty());
    let instance = Instance::new(&Linker::<()>::new(&ENGINE).instantiate_pre(&module)?, ())?;
    let here = counter()?.checkpoint()?;
    instance.rollback(&here)?;
    assert_eq!(next(&instance)?, 1, "compiled apart, it is the same module");
    Ok(())
}
