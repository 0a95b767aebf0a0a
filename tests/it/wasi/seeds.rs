//! The random numbers of components: secure ones, insecure ones, and what a program makes its own generators from.

use super::{ENGINE, component_text};
use std::sync::LazyLock;
use wasm_jobs::wasi::{WasiCtx, WasiCtxBuilder};
use wasm_jobs::wasmtime::component::InstancePre;
use wasm_jobs::{Error, Instance, InstanceOptions};

/// Each export returns a random number. `seed` and `seed-too` are the two halves of the insecure seed.
const GUEST: &str = r#"(component
    (import "wasi:random/random@0.2.0" (instance $random
        (export "get-random-u64" (func (result u64)))))
    (import "wasi:random/insecure@0.2.0" (instance $insecure
        (export "get-insecure-random-u64" (func (result u64)))))
    (import "wasi:random/insecure-seed@0.2.0" (instance $insecure_seed
        (export "insecure-seed" (func (result (tuple u64 u64))))))
    (core module $memory (memory (export "memory") 1))
    (core instance $memory (instantiate $memory))
    (alias core export $memory "memory" (core memory $memory))
    (core func $random (canon lower (func $random "get-random-u64")))
    (core func $insecure (canon lower (func $insecure "get-insecure-random-u64")))
    (core func $seed (canon lower (func $insecure_seed "insecure-seed") (memory $memory)))
    (core module $guest
        (import "host" "memory" (memory 1))
        (import "host" "random" (func $random (result i64)))
        (import "host" "insecure" (func $insecure (result i64)))
        (import "host" "seed" (func $seed (param i32)))
        (func (export "random") (result i64) (call $random))
        (func (export "insecure") (result i64) (call $insecure))
        (func (export "seed") (result i64)
            (call $seed (i32.const 16))
            (i64.load (i32.const 16)))
        (func (export "seed_too") (result i64)
            (call $seed (i32.const 16))
            (i64.load (i32.const 24))))
    (core instance $guest (instantiate $guest (with "host" (instance
        (export "memory" (memory $memory))
        (export "random" (func $random))
        (export "insecure" (func $insecure))
        (export "seed" (func $seed))))))
    (func (export "random") (result u64) (canon lift (core func $guest "random")))
    (func (export "insecure") (result u64) (canon lift (core func $guest "insecure")))
    (func (export "seed") (result u64) (canon lift (core func $guest "seed")))
    (func (export "seed-too") (result u64) (canon lift (core func $guest "seed_too"))))"#;

/// Six random numbers of a new guest: two secure ones, two insecure ones, and the seed.
fn numbers(ctx: impl Fn() -> WasiCtxBuilder + Send + Sync + 'static) -> Result<Vec<u64>, Error> {
    static PRE: LazyLock<InstancePre<WasiCtx>> =
        LazyLock::new(|| component_text(GUEST).expect("WASI defines all imports"));
    let ctx = move || ctx().build().expect("it has no directories");
    let guest = Instance::with_exports(&ENGINE, InstanceOptions::default(), ctx, |store| {
        Box::pin(PRE.instantiate_async(store))
    })?;
    let mut future = guest.start(|mut store, exports| {
        Box::pin(async move {
            let mut numbers = Vec::new();
            for export in ["random", "random", "insecure", "insecure", "seed", "seed-too"] {
                let export = exports.get_typed_func::<(), (u64,)>(&mut store, export)?;
                numbers.push(export.call_async(&mut store, ()).await?.0);
            }
            Ok(numbers)
        })
    })?;
    future.wait()
}

#[test]
fn all_random_numbers_of_a_component_follow_from_the_seed() -> Result<(), Error> {
    let seeded = |seed| numbers(move || WasiCtxBuilder::new().seed(seed));
    let first = seeded(1)?;
    assert_eq!(seeded(1)?, first);
    let all: std::collections::HashSet<u64> = [first, seeded(2)?].concat().into_iter().collect();
    assert_eq!(all.len(), 12, "they differ from each other, and from those of another seed");
    Ok(())
}

#[test]
fn without_a_seed_no_two_components_have_the_same_random_numbers() -> Result<(), Error> {
    let all = [numbers(WasiCtxBuilder::new)?, numbers(WasiCtxBuilder::new)?].concat();
    let all: std::collections::HashSet<u64> = all.into_iter().collect();
    assert_eq!(all.len(), 12);
    Ok(())
}
