//! Tests of what a user sees of this library. Each thing that a user does has a module. Each test is named after its situation.
//!
//! No test relies on a sleep for the progress of another thread: it waits for the event, or polls for it. A timeout of a wait only turns a hang
//! into a failure. Real time passes in tests of durations (clocks, slices, time limits, frame budgets) and in WASI programs that sleep. These
//! tests allow for a slow machine: they assert a lower bound on the time, try again after a timeout, or leave a wide margin.

#![allow(clippy::duplicate_mod, reason = "tests of guests that are stopped run in both ways")]

mod access;
mod any;
mod blocking;
mod clocks;
mod coroutines;
mod coroutines_run;
mod ending;
mod events;
mod executors;
mod graphs;
mod handles;
mod idle;
#[cfg(feature = "wasi")]
#[path = "../shared/input.rs"]
mod input;
mod layers;
mod lending;
mod outcomes;
mod pools;
#[path = "../shared/random_graph.rs"]
mod random_graph;
mod results;
mod runners;
mod sending;
mod spares;
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
