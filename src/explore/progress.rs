//! [`Progress`]: tells on the standard error how far a long exploration is.

use std::time::{Duration, Instant};

/// How long it takes until a line is printed, and then the next one.
const EVERY: Duration = Duration::from_secs(10);

pub(crate) struct Progress {
    began: Instant,
    next: Duration,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), next: EVERY }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Prints what `how_far` says, if it is time to.
    pub(crate) fn tell(&mut self, how_far: impl FnOnce() -> String) {
        let elapsed = self.elapsed();
        if elapsed >= self.next {
            self.next = elapsed + EVERY;
            eprintln!("{} after {} s", how_far(), elapsed.as_secs());
        }
    }
}
