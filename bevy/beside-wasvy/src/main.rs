//! What a script costs in a frame, here and in wasvy: 20 scripts, each of which reads and writes one component in each frame.
//!
//! A script here is a call that goes on; it moves its own entity. A script of wasvy is a mod with one system, which wasvy instantiates in each
//! frame; it gets the component of one entity as JSON, and sets it.
//!
//! ```sh
//! cargo run --release
//! ```

mod ours;
mod wasvys;

use std::time::{Duration, Instant};

const SCRIPTS: usize = 20;
const FRAMES: usize = 300;

fn main() {
    let ours = cost(ours::frames);
    let wasvys = cost(wasvys::frames);
    println!("a script in a frame, in microseconds, the median of {FRAMES} frames");
    println!("bevy_wasm_jobs  {:8.3}", micros(ours));
    println!("wasvy 0.0.9     {:8.3}", micros(wasvys));
    println!("ratio           {:8.3}", micros(ours) / micros(wasvys));
}

/// The time that a script adds to a frame. `frames` makes a game with so many scripts, and gives a function that runs a frame of it.
fn cost<F: FnMut()>(frames: impl Fn(usize) -> F) -> Duration {
    let [without, with] = [0, SCRIPTS].map(|scripts| {
        let mut frame = frames(scripts);
        let mut times: Vec<Duration> = (0..FRAMES)
            .map(|_| {
                let begins = Instant::now();
                frame();
                begins.elapsed()
            })
            .collect();
        times.sort();
        times[FRAMES / 2]
    });
    with.saturating_sub(without) / SCRIPTS as u32
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
