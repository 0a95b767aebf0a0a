//! Two sides, round by round.

use std::time::{Duration, Instant};

/// What a measure found: the medians of both sides, and of their ratio.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) unit: &'static str,
    pub(crate) peer: &'static str,
    pub(crate) ours: f64,
    pub(crate) theirs: f64,
    pub(crate) ratio: f64,
}

impl Comparison {
    pub(crate) fn line(&self, measure: &str) -> String {
        let Self { unit, peer, ours, theirs, ratio } = self;
        format!(
            "measure={measure} ours_{unit}={ours:.1} peer={peer} peer_{unit}={theirs:.1} ratio={ratio:.3}"
        )
    }
}

/// Times both sides in turn, each round in the other order, and gives nanoseconds for one of the `each` things that a
/// side does in a round. The first round of both does not count.
pub(crate) fn compare(
    peer: &'static str,
    rounds: usize,
    each: u64,
    mut ours: impl FnMut(),
    mut theirs: impl FnMut(),
) -> Comparison {
    let per_thing = |time: Duration| time.as_nanos() as f64 / each as f64;
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

/// The comparison of what was measured in pairs.
pub(crate) fn of_pairs(unit: &'static str, peer: &'static str, pairs: &[(f64, f64)]) -> Comparison {
    Comparison {
        unit,
        peer,
        ours: median(pairs.iter().map(|pair| pair.0)),
        theirs: median(pairs.iter().map(|pair| pair.1)),
        ratio: median(pairs.iter().map(|pair| pair.0 / pair.1)),
    }
}

fn time(side: &mut impl FnMut()) -> Duration {
    let start = Instant::now();
    side();
    start.elapsed()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
