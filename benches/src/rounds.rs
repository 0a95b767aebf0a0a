//! Times two sides, round by round; or one, if nothing is beside it.

use std::fmt;
use std::time::{Duration, Instant};

/// What a measure found.
#[derive(Debug)]
pub(crate) enum Finding {
    /// Both sides, and their ratio.
    Beside { unit: &'static str, other: Other, ours: Spread, theirs: Spread, ratio: Spread },
    /// Our side, which nothing is beside.
    Alone { unit: &'static str, ours: Spread },
    /// What was found of one of several guests.
    Of { guest: &'static str, finding: Box<Finding> },
    /// It could not be measured here.
    Skipped { why: String },
}

/// What ours is beside.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Other {
    /// What a user would write or pick instead.
    Peer(&'static str),
    /// This library without the feature that is measured.
    Baseline(&'static str),
}

/// The median and the quartiles of the rounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    median: f64,
    quartiles: [f64; 2],
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        // The value at a share of the way from the first to the last, between its two neighbours.
        let at = |share: f64| {
            let place = share * (values.len() - 1) as f64;
            let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Self { median: at(0.5), quartiles: [at(0.25), at(0.75)] }
    }

    /// The three fields of one side.
    fn write(self, f: &mut fmt::Formatter<'_>, side: &str, unit: &str) -> fmt::Result {
        let [q1, q3] = self.quartiles.map(Number);
        let median = Number(self.median);
        write!(f, "{side}_{unit}={median} {side}_q1_{unit}={q1} {side}_q3_{unit}={q3}")
    }
}

/// The number of a side. Shares of a whole are small, and get more digits.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.0 != 0.0 && self.0.abs() < 0.1 { 6 } else { 1 };
        write!(f, "{:.digits$}", self.0)
    }
}

/// The line of the measure, after the name.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beside { unit, other, ours, theirs, ratio } => {
                ours.write(f, "ours", unit)?;
                let (side, name) = match other {
                    Other::Peer(name) => ("peer", name),
                    Other::Baseline(name) => ("baseline", name),
                };
                write!(f, " {side}={name} ")?;
                theirs.write(f, side, unit)?;
                let Spread { median, quartiles: [q1, q3] } = ratio;
                write!(f, " ratio={median:.3} ratio_q1={q1:.3} ratio_q3={q3:.3}")
            }
            Self::Alone { unit, ours } => ours.write(f, "ours", unit),
            Self::Of { guest, finding } => write!(f, "guest={guest} {finding}"),
            Self::Skipped { why } => write!(f, "skipped={why:?}"),
        }
    }
}

/// Times both sides in turn, in the other order each round, and gives the nanoseconds for one of the `things` that a side
/// does in a round. The first round of both does not count.
pub(crate) fn compare(
    other: Other,
    rounds: usize,
    things: u64,
    mut ours: impl FnMut(),
    mut theirs: impl FnMut(),
) -> Finding {
    let per_thing = |time: Duration| time.as_nanos() as f64 / things as f64;
    in_turn("ns", other, rounds, || per_thing(time(&mut ours)), || per_thing(time(&mut theirs)))
}

/// Measures both sides in turn, in the other order each round. The first round of both does not count.
pub(crate) fn in_turn(
    unit: &'static str,
    other: Other,
    rounds: usize,
    mut ours: impl FnMut() -> f64,
    mut theirs: impl FnMut() -> f64,
) -> Finding {
    let mut pairs = Vec::with_capacity(rounds);
    for round in 0..=rounds {
        let pair = if round % 2 == 0 {
            let first = ours();
            (first, theirs())
        } else {
            let first = theirs();
            (ours(), first)
        };
        if round > 0 {
            pairs.push(pair);
        }
    }
    of_pairs(unit, other, &pairs)
}

/// The finding of pairs of ours and theirs, one of each round.
pub(crate) fn of_pairs(unit: &'static str, other: Other, pairs: &[(f64, f64)]) -> Finding {
    Finding::Beside {
        unit,
        other,
        ours: Spread::of(pairs.iter().map(|pair| pair.0)),
        theirs: Spread::of(pairs.iter().map(|pair| pair.1)),
        ratio: Spread::of(pairs.iter().map(|pair| pair.0 / pair.1)),
    }
}

/// Times one side, and gives the nanoseconds for one of the `things` that it does in a round. The first round does not
/// count.
pub(crate) fn alone(rounds: usize, things: u64, mut ours: impl FnMut()) -> Finding {
    let times = (0..=rounds).map(|_| time(&mut ours).as_nanos() as f64 / things as f64);
    of_values("ns", times.skip(1))
}

/// The finding of one side's values, one of each round.
pub(crate) fn of_values(unit: &'static str, values: impl Iterator<Item = f64>) -> Finding {
    Finding::Alone { unit, ours: Spread::of(values) }
}

pub(crate) fn time(side: &mut impl FnMut()) -> Duration {
    let start = Instant::now();
    side();
    start.elapsed()
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    Spread::of(values).median
}

pub(crate) fn geometric_mean(values: impl Iterator<Item = f64>) -> f64 {
    let logarithms: Vec<_> = values.map(f64::ln).collect();
    (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp()
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

/// The 99th percentile of these times, in microseconds.
pub(crate) fn p99_micros(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() * 99 / 100].as_secs_f64() * 1e6
}
