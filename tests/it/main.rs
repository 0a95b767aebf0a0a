//! What a user sees of this library, with a module for each thing that a user does. Each test is named after its situation.
//!
//! No test sleeps in the hope that something has happened by then: it waits for the event, or looks again and again. Where a test waits
//! with a bound, the bound makes a failure of a hang. Only the tests of what is itself a time (clocks, slices, time limits, budgets
//! of frames) let time pass; they assert that at least so much has passed, or try again where a slow machine may be late.

mod blocking;
mod clocks;
mod coroutines;
mod ending;
mod events;
mod executors;
mod graphs;
mod handles;
mod layers;
mod lending;
mod outcomes;
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
