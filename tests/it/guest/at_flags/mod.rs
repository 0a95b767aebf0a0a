//! The tests of guests that are stopped, where each is prepared and looks at its own flag, and the engines have no epochs.

/// Components are not prepared, so they look at no flag.
macro_rules! if_components {
    ($($item:item)*) => {};
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

use wasm_jobs::{Prepared, PreparedPre, prepare, request_yields};

super::helpers!();

/// Whether a guest that looks uses fuel for that.
const LOOKING_TAKES_FUEL: bool = true;

type Pre<S> = PreparedPre<S>;

fn options_of_engines() -> EngineOptions {
    EngineOptions::default().stop_flags(true).epoch_interruption(false)
}

fn compile(engine: &Engine, text: &str) -> Result<Prepared, Error> {
    prepare(engine, wat::parse_str(text).expect("the text of a module"))
}

fn link<S: Send + 'static>(linker: &Linker<S>, module: &Prepared) -> Result<Pre<S>, Error> {
    module.instantiate_pre(linker)
}

/// Asks all running guests of the engine to yield.
fn ask_to_yield(engine: &Engine) {
    request_yields(engine);
}
