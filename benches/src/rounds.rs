//! Times two sides, round by round; or one, if it has no peer.

use std::fmt;
use std::time::{Duration, Instant};

/// What a measure found.
#[derive(Debug)]
pub(crate) enum Finding {
    /// The medians of both sides, and of their ratio.
    Beside { unit: &'static str, peer: &'static str, ours: f64, theirs: f64, ratio: f64 },
    /// The median of our side, which has no peer.
    Alone { unit: &'static str, ours: f64 },
    /// It could not be measured here.
    Skipped { why: String },
}

/// The line of the measure, after the name.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beside { unit, peer, ours, theirs, ratio } => write!(
                f,
                "ours_{unit}={ours:.1} peer={peer} peer_{unit}={theirs:.1} ratio={ratio:.3}"
            ),
            // Shares of a whole are small.
            Self::Alone { unit, ours } if *ours < 0.1 => write!(f, "ours_{unit}={ours:.6}"),
            Self::Alone { unit, ours } => write!(f, "ours_{unit}={ours:.1}"),
            Self::Skipped { why } => write!(f, "skipped={why:?}"),
        }
    }
}

/// Times both sides in turn, in the other order each round, and gives the nanoseconds for one of the `things` that a side
/// does in a round. The first round of both does not count.
pub(crate) fn compare(
    peer: &'static str,
    rounds: usize,
    things: u64,
    mut ours: impl FnMut(),
    mut theirs: impl FnMut(),
) -> Finding {
    let per_thing = |time: Duration| time.as_nanos() as f64 / things as f64;
    let mut pairs = Vec::with_capacity(rounds);
    for round in 0..=rounds {
        let pair = if round % 2 == 0 {
            let first = time(&mut ours);
            (first, time(&mut theirs))
        } else {
            let first = time(&mut theirs);
            (time(&mut ours), first)
        };
        if round > 0 {
            pairs.push((per_thing(pair.0), per_thing(pair.1)));
        }
    }
    of_pairs("ns", peer, &pairs)
}

/// The finding of pairs of ours and theirs.
pub(crate) fn of_pairs(unit: &'static str, peer: &'static str, pairs: &[(f64, f64)]) -> Finding {
    Finding::Beside {
        unit,
        peer,
        ours: median(pairs.iter().map(|pair| pair.0)),
        theirs: median(pairs.iter().map(|pair| pair.1)),
        ratio: median(pairs.iter().map(|pair| pair.0 / pair.1)),
    }
}

/// Times one side, and gives the nanoseconds for one of the `things` that it does in a round. The first round does not
/// count.
pub(crate) fn alone(rounds: usize, things: u64, mut ours: impl FnMut()) -> Finding {
    let times = (0..=rounds).map(|_| time(&mut ours).as_nanos() as f64 / things as f64);
    Finding::Alone { unit: "ns", ours: median(times.skip(1)) }
}

fn time(side: &mut impl FnMut()) -> Duration {
    let start = Instant::now();
    side();
    start.elapsed()
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The time that something takes beyond its budget.
pub(crate) fn beyond(budget: Duration, mut something: impl FnMut()) -> Duration {
    time(&mut something).saturating_sub(budget)
}

/// Spins on the clock until the budget is over: the peer that can be late only because the machine is.
pub(crate) fn look_at_the_clock(budget: Duration) {
    let start = Instant::now();
    while start.elapsed() < budget {
        std::hint::spin_loop();
    }
}

/// The 99th percentiles of times beyond a budget, beside those of spinning on the clock.
pub(crate) fn beside_the_clock(ours: Vec<Duration>, theirs: Vec<Duration>) -> Finding {
    let (ours, theirs) = (p99_micros(ours), p99_micros(theirs));
    Finding::Beside { unit: "us", peer: "clock", ours, theirs, ratio: ours / theirs }
}

/// The 99th percentile of these times, in microseconds.
pub(crate) fn p99_micros(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() * 99 / 100].as_secs_f64() * 1e6
}
