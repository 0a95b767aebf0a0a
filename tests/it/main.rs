//! What a user sees of this library, with a module for each thing that a user does. Each test is named after its
//! situation. None sleeps, and none depends on how long something takes: they wait for events.

mod clocks;
mod coroutines;
mod ending;
mod events;
mod executors;
mod graphs;
mod handles;
mod lending;
mod pools;
mod results;
mod runners;
mod stepping;
mod stress;
mod support;
mod types;
mod waiting;

#[cfg(feature = "wasm")]
mod guest;
#[cfg(feature = "rayon")]
mod rayon_pools;
#[cfg(feature = "rayon")]
mod rayon_waits;
#[cfg(feature = "tracing")]
mod tracing;
#[cfg(feature = "wasi")]
mod wasi;
