//! Every measure beside its peer, which is what a user would write by hand with wasmtime, rayon or tokio; or beside its
//! baseline, which is this library without the feature that is measured.
//!
//! `cargo run --release -p wasm-jobs-benches [MEASURE..]` prints [`HEAD`], and a line for each measure.

mod guests;
mod layout;
mod measures;
mod rounds;

use std::process::ExitCode;

/// What is printed first.
const HEAD: &str = "\
# wasm-jobs, release build. One line for each measure, with these fields; UNIT is ns, us, ms, bytes or cpu_share.
#
# measure=NAME                 what is measured: see the first lines of its file in benches/src/measures
# ours_UNIT=                   this library: the median of the rounds
# ours_q1_UNIT= ours_q3_UNIT=  the first and the third quartile of the rounds
# peer=NAME                    what a user would write or pick instead; or
# baseline=NAME                this library without the feature that is measured
# peer_UNIT= ..                the same three numbers of the other side (baseline_UNIT= ..)
# ratio= ratio_q1= ratio_q3=   the median and the quartiles of the rounds' ratios, ours to the other side. Less is better for us.
#                              The median of the ratios need not be the quotient of the two medians.
# guest=NAME                   which of several guests it is of
# skipped=WHY                  it could not be measured here
#
# Both sides take turns in one process, round by round, so that other load on the machine hits both. Where memory is measured,
# each has a process of its own. In slice_overshoot, frame_overshoot and cancel_latency, the value of a round is a 99th percentile;
# in wake and latency, it is a median.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [what, "--child"] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        measures::child(what);
        return ExitCode::SUCCESS;
    }
    println!("{HEAD}");
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
