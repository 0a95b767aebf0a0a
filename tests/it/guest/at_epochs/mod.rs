//! The tests of guests that are stopped, where they look at the epoch of their engine.

/// Components look at the epoch.
macro_rules! if_components {
    ($($item:item)*) => { $($item)* };
}

#[path = "../begun_timeouts.rs"]
mod begun_timeouts;
#[path = "../cancelling.rs"]
mod cancelling;
#[path = "../coroutines.rs"]
mod coroutines;
#[path = "../epochs.rs"]
mod epochs;
#[path = "../frames.rs"]
mod frames;
#[path = "../host_calls.rs"]
mod host_calls;
#[path = "../hostile.rs"]
mod hostile;
#[path = "../limits.rs"]
mod limits;
#[path = "../par_map.rs"]
mod par_map;
#[path = "../races.rs"]
mod races;
#[path = "../slices.rs"]
mod slices;
#[path = "../stress.rs"]
mod stress;

use wasm_jobs::wasmtime::InstancePre;

super::helpers!();

/// Whether a guest that looks uses fuel for that.
const LOOKING_TAKES_FUEL: bool = false;

type Pre<S> = InstancePre<S>;

fn options_of_engines() -> EngineOptions {
    EngineOptions::default()
}

use super::compile;

fn link<S: 'static>(
    linker: &Linker<S>,
    module: &wasm_jobs::wasmtime::Module,
) -> Result<Pre<S>, Error> {
    Ok(linker.instantiate_pre(module)?)
}

/// Asks all running guests of the engine to yield.
fn ask_to_yield(engine: &Engine) {
    engine.increment_epoch();
}
