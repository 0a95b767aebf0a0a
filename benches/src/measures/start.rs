//! One call of a component's export by `Instance::start`, from its making to its result, beside the same function of wasmtime's `bindgen!`
//! by hand, on one store. The export adds up a short list, and does not suspend.

use super::poll_to_end;
use crate::rounds::{Finding, Other, compare};
use interface::{Creature, Greeter, GreeterImports, GreeterPre};
use wasm_jobs::wasmtime::component::{Component, HasSelf, Linker};
use wasm_jobs::wasmtime::{Engine, Store};
use wasm_jobs::{EngineOptions, Instance, InstanceOptions, Step};

/// What wasmtime makes of the interface, for both sides.
mod interface {
    wasm_jobs::wasmtime::component::bindgen!({
        path: "../guests/greeter.wit",
        wasmtime_crate: wasm_jobs::wasmtime,
        imports: { default: async },
        exports: { default: async },
    });
}

const GUEST: &[u8] = include_bytes!("../../../guests/greeter.wasm");
/// The core instances of the component.
const CORE_INSTANCES: u32 = 3;
const CALLS: u32 = 10_000;
const NUMBERS: [u32; 4] = [1, 2, 3, 4];
const TOTAL: u64 = 10;

struct Gate;

impl GreeterImports for Gate {
    async fn pause(&mut self) {}

    async fn ask_guard(&mut self, _: Creature) -> Result<(), String> {
        Ok(())
    }
}

pub(crate) fn measure() -> Finding {
    let engine = wasm_jobs::engine(&options()).expect("the options go together");
    let guest = guest(&engine);
    let ours = ours(&guest);

    let mut store = Store::new(&engine, Gate);
    store.epoch_deadline_async_yield_and_update(1);
    store.set_epoch_deadline(1);
    let greeter = poll_to_end(guest.instantiate_async(&mut store)).expect("the pool has room");
    let theirs = || {
        for _ in 0..CALLS {
            store.set_epoch_deadline(1);
            let total = poll_to_end(greeter.call_total(&mut store, &NUMBERS));
            assert_eq!(total.expect("the guest returns"), TOTAL);
        }
    };

    compare(Other::Peer("bindgen"), 31, CALLS.into(), ours, theirs)
}

/// The same calls on an engine that allows async functions, beside one that does not.
pub(crate) fn on_an_async_engine() -> Finding {
    let engines = [true, false].map(|is_async| {
        wasm_jobs::engine(&options().component_async(is_async)).expect("the options go together")
    });
    let [with, without] = engines.map(|engine| ours(&guest(&engine)));
    compare(Other::Baseline("sync_engine"), 31, CALLS.into(), with, without)
}

fn options() -> EngineOptions {
    EngineOptions::default().pooling(2).core_instances_per_component(CORE_INSTANCES)
}

fn guest(engine: &Engine) -> GreeterPre<Gate> {
    let mut linker = Linker::new(engine);
    Greeter::add_to_linker::<_, HasSelf<_>>(&mut linker, |gate: &mut Gate| gate)
        .expect("the linker is new");
    let component = Component::new(engine, GUEST).expect("the guest is valid");
    let pre = linker.instantiate_pre(&component).expect("the guest imports what is linked");
    GreeterPre::new(pre).expect("the guest has this interface")
}

/// Makes the calls by `Instance::start`.
fn ours(guest: &GreeterPre<Gate>) -> impl FnMut() + use<> {
    let guest = guest.clone();
    let engine = guest.engine().clone();
    let instance = Instance::with_exports(
        &engine,
        InstanceOptions::default(),
        || Gate,
        move |store| {
            let guest = guest.clone();
            Box::pin(async move { guest.instantiate_async(store).await })
        },
    );
    let instance = instance.expect("the pool has room");
    move || {
        for _ in 0..CALLS {
            let call = instance.start(|store, greeter| {
                Box::pin(async move { greeter.call_total(store, &NUMBERS).await })
            });
            let mut call = call.expect("the instance is free");
            assert_eq!(call.resume().expect("the call is ours"), Step::Done);
            assert_eq!(call.try_get_result().expect("the guest returns"), Some(TOTAL));
        }
    }
}
