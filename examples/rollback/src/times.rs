//! [`Times`]: how long something took, each time that it was done.

use std::time::{Duration, Instant};

/// How long something took.
#[derive(Clone, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Does it, and takes the time.
    pub fn take<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        self.0.push(start.elapsed());
        done
    }

    /// How often it was done.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The mean time and the longest, in microseconds.
    #[must_use]
    pub fn mean_and_worst(&self) -> [f64; 2] {
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        let mean = us(self.0.iter().sum()) / self.0.len().max(1) as f64;
        [mean, us(self.0.iter().max().copied().unwrap_or_default())]
    }

    /// These and those.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        Self([&*self.0, &others.0].concat())
    }
}
