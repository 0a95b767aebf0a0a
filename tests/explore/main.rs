//! Tests of `explore`: how schedules are chosen, run, made short and replayed. Everything runs on the thread of the test.

mod dfs;
mod endings;
mod guests;
mod host_functions;
mod lanes;
mod par_map;
mod pct;
mod reduction;
mod refusals;
mod replays;
mod support;
mod time;
mod waits;
#[cfg(feature = "wasi")]
mod wasi;
