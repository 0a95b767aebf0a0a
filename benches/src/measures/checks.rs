//! What it costs that guests can be stopped.
//!
//! In compiled code: the checks of the epoch, the counting of fuel, and both, each beside an engine that has neither. There
//! are two guests: a picture, which computes much between two checks, and a bare loop, which does little else than check.
//!
//! In each step: `Future::resume` of a guest that yields, with a slice that it does not use up, a timeout or another limit,
//! beside the same guest without it.

use crate::guests::{BARE_LOOP, GUEST};
use crate::rounds::{Finding, compare};
use std::fs;
use std::path::Path;
use std::time::Duration;
use wasm_jobs::wasmtime::{Engine, Linker, Module};
use wasm_jobs::{EngineOptions, Instance, InstanceOptions, Slice, Step, add_yield};

pub(crate) fn epochs_in_a_picture() -> Finding {
    compare("unchecked", 9, 1, picture(true, false), picture(false, false))
}

pub(crate) fn fuel_in_a_picture() -> Finding {
    compare("unchecked", 9, 1, picture(false, true), picture(false, false))
}

pub(crate) fn both_in_a_picture() -> Finding {
    compare("unchecked", 9, 1, picture(true, true), picture(false, false))
}

pub(crate) fn epochs_in_a_loop() -> Finding {
    compare("unchecked", 9, 1, bare_loop(true, false), bare_loop(false, false))
}

pub(crate) fn fuel_in_a_loop() -> Finding {
    compare("unchecked", 9, 1, bare_loop(false, true), bare_loop(false, false))
}

pub(crate) fn both_in_a_loop() -> Finding {
    compare("unchecked", 9, 1, bare_loop(true, true), bare_loop(false, false))
}

pub(crate) fn time_slice_in_a_step() -> Finding {
    let slice = Slice::Time(Duration::from_secs(1));
    in_a_step(false, InstanceOptions::default().slice(slice))
}

pub(crate) fn fuel_slice_in_a_step() -> Finding {
    in_a_step(true, InstanceOptions::default().slice(Slice::Fuel(u64::MAX / 4)))
}

pub(crate) fn timeout_in_a_step() -> Finding {
    in_a_step(false, InstanceOptions::default().running_timeout(Duration::from_secs(3600)))
}

pub(crate) fn nesting_in_a_step() -> Finding {
    in_a_step(false, InstanceOptions::default().nesting(10))
}

fn guest(engine: &Engine, wasm: &[u8], options: InstanceOptions) -> Instance<()> {
    let mut linker = Linker::new(engine);
    add_yield(&mut linker, "env", "yield").expect("the linker is new");
    linker.func_wrap("env", "row_done", || {}).expect("there is none of that name");
    let module = Module::new(engine, wasm).expect("the guest is valid");
    let pre = linker.instantiate_pre(&module).expect("the guest imports what is linked");
    Instance::with_options(&pre, options, || ()).expect("the pool has room")
}

fn engine(epochs: bool, fuel: bool) -> Engine {
    let options = EngineOptions::default().pooling(1).epoch_interruption(epochs).fuel(fuel);
    wasm_jobs::engine(&options).expect("the options go together")
}

fn picture(epochs: bool, fuel: bool) -> impl FnMut() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests/mandelbrot.wasm");
    let wasm = fs::read(path).expect("the guest is there");
    let guest = guest(&engine(epochs, fuel), &wasm, InstanceOptions::default());
    move || {
        let tile = guest.call::<(f64, f64, f64), i32>("render", (-0.745, 0.132, 1e-6));
        tile.and_then(|mut tile| tile.wait()).expect("the guest draws");
    }
}

fn bare_loop(epochs: bool, fuel: bool) -> impl FnMut() {
    const COUNT: i64 = 50_000_000;
    let wasm = wat::parse_str(BARE_LOOP).expect("the guest is well-formed");
    let guest = guest(&engine(epochs, fuel), &wasm, InstanceOptions::default());
    move || {
        let count = guest.call::<i64, i64>("counts", COUNT);
        let count = count.and_then(|mut count| count.wait()).expect("the guest returns");
        assert_eq!(count, COUNT);
    }
}

fn in_a_step(fuel: bool, options: InstanceOptions) -> Finding {
    const YIELDS: i32 = 20_000;
    let yields = |options| {
        let wasm = wat::parse_str(GUEST).expect("the guest is well-formed");
        let guest = guest(&engine(true, fuel), &wasm, options);
        move || {
            let call = guest.call::<i32, ()>("yields", YIELDS);
            let mut call = call.expect("the guest exports it");
            while call.resume().expect("the call is ours") != Step::Done {}
            call.try_get_result().expect("the guest returns").expect("it is done");
        }
    };
    compare("unlimited", 31, YIELDS as u64, yields(options), yields(InstanceOptions::default()))
}
