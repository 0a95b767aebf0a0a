//! Wrappers compile under strict lints and beside items of any name, and call the right functions of the library.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::missing_errors_doc,
    reason = "the API of no library"
)]

mod library;
mod parameters;
mod strict;

use library::wasmtime::{Engine, Linker, Module};
use library::{Error, InstanceOptions};
use std::marker::PhantomData;
use strict::{Adder, Counter, Divider, Everything};

const ANOTHER: &[u8] = b"another";

fn counter() -> Result<Counter, Error> {
    Counter::new(&Engine, &Linker(PhantomData), 7)
}

#[test]
fn a_call_has_the_parameters_of_the_method() -> Result<(), Error> {
    let future = counter()?.increment(2)?;
    assert_eq!(future.export, "increment");
    assert_eq!(future.params.downcast_ref(), Some(&(2,)));
    let _: PhantomData<i32> = future.result;

    let adder = Adder::new(&Engine, &Linker(PhantomData), ())?;
    assert_eq!(adder.add(1, 2)?.params.downcast_ref(), Some(&(1, 2)));
    Ok(())
}

#[test]
fn a_trap_is_a_value_if_that_option_is_set() -> Result<(), Error> {
    let module = Module(Vec::new());
    let divider = Divider::new(&module, &Linker(PhantomData), vec![1])?;
    let future = divider.divide(1, 0)?;
    assert_eq!(future.params.downcast_ref(), Some(&(1, 0)));
    let _: PhantomData<Result<i32, library::Trap>> = future.result;
    Ok(())
}

#[test]
fn globals_memories_and_tables_go_by_the_names_of_the_exports() -> Result<(), Error> {
    let everything =
        Everything::with_options(&Engine, &Linker(PhantomData), InstanceOptions, || vec![3])?;
    assert_eq!(everything.mut_f64().unwrap_err().0, "get mut-f64");
    assert_eq!(everything.set_mut_i64(4).unwrap_err().0, "set mut-i64 to 4");
    assert_eq!(everything.memory64()?.0, "memory64");
    assert_eq!(everything.externs()?.0, "externs");
    let _: library::wasmtime::SharedMemory = everything.shared()?;
    assert_eq!(everything.with_dash_and_more(1, 2)?.export, "with-dash.and#more");
    assert_eq!(everything.another_name()?.export, "renamed");
    Ok(())
}

#[test]
fn a_method_that_an_export_hides_is_called_through_the_instance() -> Result<(), Error> {
    let everything = Everything::new(&Engine, &Linker(PhantomData), vec![3])?;
    assert_eq!(everything.store()?.export, "store");
    assert_eq!(*everything.instance().store()?.0, [3]);
    // Through `Deref`.
    assert_eq!(everything.state, [3]);
    assert_eq!(everything.into_instance().state, [3]);
    Ok(())
}

#[test]
fn the_bytes_are_in_the_program() -> Result<(), Error> {
    assert_eq!(Adder::module(&Engine)?.0, include_bytes!("../guests/adder.wasm"));
    assert!(Counter::module(&Engine)?.0.starts_with(b"\0asm"));
    Ok(())
}

#[test]
fn a_module_without_the_exports_is_refused() -> Result<(), Error> {
    let another = Module(ANOTHER.to_vec());
    let all = r#"[("increment", "function (i32) -> (i32)"), ("count", "global mut i32"), ("memory", "memory")]"#;
    let error = Counter::new(&another, &Linker(PhantomData), 7).unwrap_err();
    assert_eq!(error.0, all);

    // Functions are checked as they are looked up, so only the other exports are checked here.
    let mut instance = counter()?.into_instance();
    instance.module = another;
    let error = Counter::from_instance(instance).unwrap_err();
    assert_eq!(error.0, r#"[("count", "global mut i32"), ("memory", "memory")]"#);
    Ok(())
}

#[test]
fn it_shows_its_instance() -> Result<(), Error> {
    assert!(format!("{:?}", counter()?).starts_with("Counter { instance: Instance {"));
    Ok(())
}
