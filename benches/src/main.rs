//! Every measure beside its peer, which is what a user would write by hand with wasmtime, rayon or tokio.
//!
//! `cargo run --release -p wasm-jobs-benches [MEASURE..]` prints a line for each measure:
//!
//! ```text
//! measure=resume ours_ns=… peer=wasmtime peer_ns=… ratio=…
//! measure=waiting_resume ours_ns=…
//! ```
//!
//! Both sides take turns in one process, round by round, so that other load on the machine hits both. The line has the
//! median of the rounds, and the median of their ratios. The second form is for a measure without a peer.

mod guests;
mod measures;
mod rounds;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [side, "--parked-child"] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        measures::parked::child(side);
        return ExitCode::SUCCESS;
    }
    for (name, measure) in measures::ALL {
        if arguments.is_empty() || arguments.iter().any(|argument| argument == name) {
            println!("measure={name} {}", measure());
        }
    }
    match arguments.iter().find(|argument| measures::ALL.iter().all(|(name, _)| name != argument)) {
        Some(unknown) => {
            eprintln!("no measure {unknown:?}");
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}
