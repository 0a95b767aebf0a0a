//! Calls that are parked as soon as they wait: data, in some orders, before others wake them.

use crate::support::{Counter, run_all};
use std::time::Duration;
use wasm_jobs::explore::{self, World};
use wasm_jobs::wasmtime::{Caller, Linker};
use wasm_jobs::{
    EngineOptions, Error, Event, InstanceOptions, PrepareOptions, engine, func_wrap_resumable,
    prepare_with,
};

/// Waits between its two calls of the host, which lose an update if another guest comes in between.
const GUEST: &str = r#"(module
    (import "shop" "read" (func $read (result i32)))
    (import "shop" "wait" (func $wait))
    (import "shop" "write" (func $write (param i32)))
    (import "shop" "ring" (func $ring))
    (func (export "add") (local $value i32)
        (local.set $value (call $read))
        (call $wait)
        (call $write (i32.add (local.get $value) (i32.const 1))))
    (func (export "ring") (call $ring)))"#;

#[derive(Clone)]
struct Shop {
    stock: Counter,
    bell: Event,
}

#[test]
fn parked_calls_race_as_others_do() {
    let engine = engine(&EngineOptions::default()).unwrap();
    let wasm = wat::parse_str(GUEST).unwrap();
    let module = prepare_with(&engine, wasm, &PrepareOptions::default().freezable(true)).unwrap();
    let mut linker = Linker::<Shop>::new(&engine);
    linker.func_wrap("shop", "read", |caller: Caller<'_, Shop>| caller.data().stock.get()).unwrap();
    let write = |caller: Caller<'_, Shop>, value: i32| caller.data().stock.set(value);
    linker.func_wrap("shop", "write", write).unwrap();
    linker.func_wrap("shop", "ring", |caller: Caller<'_, Shop>| caller.data().bell.set()).unwrap();
    func_wrap_resumable(&mut linker, "shop", "wait", |caller, ()| caller.data().bell.wait())
        .unwrap();
    let pre = module.instantiate_pre(&linker).unwrap();
    let test = |parks: bool| {
        let pre = &pre;
        move |world: &World| -> Result<(), Error> {
            let shop = Shop { stock: Counter::default(), bell: Event::new() };
            let mut options = InstanceOptions::default();
            if parks {
                options = options.park_after(Duration::ZERO);
            }
            let mut guests = Vec::new();
            for _ in 0..3 {
                let shop = shop.clone();
                guests.push(world.instance_with(pre, options.clone(), move || shop.clone())?);
            }
            let mut calls = Vec::new();
            for (guest, name) in guests.iter().zip(["add", "add", "ring"]) {
                calls.push(guest.call::<(), ()>(name, ())?);
            }
            run_all(world, &mut calls)?;
            for call in &mut calls {
                assert_eq!(call.try_get_result()?, Some(()));
            }
            assert!((1..=2).contains(&shop.stock.get()));
            assert_eq!(shop.stock.get(), 2, "an update is lost");
            Ok(())
        }
    };
    for parks in [false, true] {
        let failure = explore::random(1_000).check(test(parks)).unwrap_err();
        assert!(failure.message().contains("an update is lost"), "{failure}");
        let again = explore::replay(failure.schedule()).check(test(parks)).unwrap_err();
        assert_eq!((again.message(), again.steps()), (failure.message(), failure.steps()));
    }
}
