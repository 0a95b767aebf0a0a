//! A module whose items have the names of the guest's parameters. As patterns, these names would be the items.

#![deny(warnings, clippy::all, clippy::pedantic)]

use crate::library::{self, Error, wasmtime};
use std::marker::PhantomData;

#[allow(unused_imports, clippy::wildcard_imports, reason = "no wrapper may use these")]
use items::*;

#[allow(
    dead_code,
    non_camel_case_types,
    non_upper_case_globals,
    unused_imports,
    clippy::pedantic,
    reason = "no wrapper may use these"
)]
mod items {
    pub use self::Direction::*;

    pub const MAX: i32 = 1;
    pub const limit: i32 = 1;
    pub static COUNT: i32 = 1;
    pub static environ: i32 = 1;
    pub struct Unit;
    pub struct Tuple(i32);
    pub enum Direction {
        North,
        Turned(i32),
    }
    pub fn run() {}
}

/// An item of the module itself, which the type of the state refers to.
const STATES: usize = 2;

wasm_jobs_macros::wrapper! {
    library => pub struct Parameters<[u8; STATES]> in "tests/guests/parameters.wat";
}

#[test]
fn a_parameter_may_have_the_name_of_an_item() -> Result<(), Error> {
    let parameters = Parameters::new(&wasmtime::Engine, &wasmtime::Linker(PhantomData), [0; 2])?;
    let calls = [
        parameters.constant(7)?,
        parameters.small_constant(7)?,
        parameters.static_(7)?,
        parameters.small_static(7)?,
        parameters.unit_struct(7)?,
        parameters.tuple_struct(7)?,
        parameters.unit_variant(7)?,
        parameters.tuple_variant(7)?,
        parameters.function(7)?,
    ];
    for call in calls {
        assert_eq!(call.params.downcast_ref(), Some(&(7,)), "{}", call.export);
    }
    assert_eq!(parameters.prelude(1, 2, 3)?.params.downcast_ref(), Some(&(1, 2, 3)));
    Ok(())
}

#[test]
fn a_parameter_may_have_the_name_of_an_item_of_a_function() -> Result<(), Error> {
    const MAX: i32 = 1;
    wasm_jobs_macros::wrapper! {
        library => struct Local in "tests/guests/parameters.wat";
    }
    let local = Local::new(&wasmtime::Engine, &wasmtime::Linker(PhantomData), ())?;
    assert_eq!(local.constant(MAX)?.params.downcast_ref(), Some(&(1,)));
    Ok(())
}
