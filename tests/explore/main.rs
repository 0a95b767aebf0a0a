//! Tests of `explore`: how schedules are chosen, run, made short and replayed. Everything runs on the thread of the test.

mod dfs;
mod edges;
mod endings;
mod guests;
mod host_functions;
#[cfg(feature = "wasi")]
#[path = "../shared/input.rs"]
mod input;
mod lanes;
mod lines;
mod own;
mod par_map;
#[cfg(feature = "freeze")]
mod parked;
mod pct;
mod planted;
#[path = "../shared/random_graph.rs"]
mod random_graph;
mod reduction;
mod refusals;
mod replays;
mod settings;
mod support;
mod time;
mod waits;
#[cfg(feature = "wasi")]
mod wasi;
