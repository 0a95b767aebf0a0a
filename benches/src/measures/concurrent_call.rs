//! One call of a component's async export by `Instance::start_concurrent`, from its making to its result, beside wasmtime's `run_concurrent` by
//! hand, on one store. The export adds two numbers, and does not suspend.

use super::poll_to_end;
use crate::rounds::{Finding, Other, compare};
use interface::AdderPre;
use wasm_jobs::wasmtime::Store;
use wasm_jobs::wasmtime::component::{Component, Linker};
use wasm_jobs::{EngineOptions, Instance, InstanceOptions, Step};

/// What wasmtime makes of the interface, for both sides.
mod interface {
    wasm_jobs::wasmtime::component::bindgen!({
        inline: "package bench:adder; world adder { export add: async func(a: u32, b: u32) -> u32; }",
        wasmtime_crate: wasm_jobs::wasmtime,
        exports: { default: async | store },
    });
}

const GUEST: &str = r#"(component
    (core module $m (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))
    (core instance $i (instantiate $m))
    (func (export "add") async (param "a" u32) (param "b" u32) (result u32) (canon lift (core func $i "add"))))"#;
const CALLS: u32 = 10_000;

pub(crate) fn measure() -> Finding {
    let options = EngineOptions::default().pooling(2).component_async(true);
    let engine = wasm_jobs::engine(&options).expect("the options go together");
    let wasm = wat::parse_str(GUEST).expect("the text is correct");
    let component = Component::new(&engine, wasm).expect("the guest is valid");
    let pre = Linker::<()>::new(&engine).instantiate_pre(&component);
    let guest = AdderPre::new(pre.expect("there are no imports")).expect("it has this interface");

    let ours = {
        let guest = guest.clone();
        let instance = Instance::with_exports(
            &engine,
            InstanceOptions::default(),
            || (),
            move |store| {
                let guest = guest.clone();
                Box::pin(async move { guest.instantiate_async(store).await })
            },
        );
        let instance = instance.expect("the pool has room");
        move || {
            for n in 0..CALLS {
                let call = instance.start_concurrent(move |store, adder| {
                    Box::pin(async move { adder.call_add(store, n, 1).await })
                });
                let mut call = call.expect("the instance is free");
                assert_eq!(call.resume().expect("the call is ours"), Step::Done);
                assert_eq!(call.try_get_result().expect("the guest returns"), Some(n + 1));
            }
        }
    };

    let mut store = Store::new(&engine, ());
    store.epoch_deadline_async_yield_and_update(1);
    store.set_epoch_deadline(1);
    let adder = poll_to_end(guest.instantiate_async(&mut store)).expect("the pool has room");
    let theirs = || {
        for n in 0..CALLS {
            store.set_epoch_deadline(1);
            let call = store.run_concurrent(async |store| adder.call_add(store, n, 1).await);
            let sum = poll_to_end(call).expect("the engine allows it");
            assert_eq!(sum.expect("the guest returns"), n + 1);
        }
    };

    compare(Other::Peer("run_concurrent"), 31, CALLS.into(), ours, theirs)
}
