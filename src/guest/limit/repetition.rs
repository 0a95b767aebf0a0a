//! [`Repetition`]: when to repeat a tick that a guest may have missed.

use std::time::Duration;

/// The first pause between two ticks. A guest may miss a tick: wasmtime takes a store's new deadline from the epoch as it is
/// when the guest goes on, and so skips a tick that came after the guest last looked at the clock.
const FIRST_PAUSE: u64 = Duration::from_micros(100).as_nanos() as u64;

/// The pauses double up to this one. A guest that has missed several ticks is inside a slow host function.
const LONGEST_PAUSE: u64 = Duration::from_millis(10).as_nanos() as u64;

/// Ticks that are repeated, with growing pauses, until their reason is gone. Times are in nanoseconds of
/// [`alarm::now`](crate::wait::alarm::now).
#[derive(Debug)]
pub(crate) struct Repetition {
    next: u64,
    pause: u64,
}

impl Repetition {
    /// The repetition of a tick that was made now.
    pub(crate) fn after_tick(now: u64) -> Self {
        Self { next: now.saturating_add(FIRST_PAUSE), pause: FIRST_PAUSE * 2 }
    }

    /// Whether it is time for the next tick, which the caller makes.
    pub(crate) fn is_due(&mut self, now: u64) -> bool {
        let is_due = now >= self.next;
        if is_due {
            self.next = now.saturating_add(self.pause);
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        is_due
    }

    /// When the next tick is due.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::Repetition;

    #[test]
    fn pauses_double_up_to_ten_milliseconds() {
        let mut repetition = Repetition::after_tick(1_000);
        assert!(!repetition.is_due(100_999));
        let (mut now, mut pauses) = (1_000, Vec::new());
        for _ in 0..9 {
            pauses.push((repetition.next() - now) / 1_000);
            now = repetition.next();
            assert!(repetition.is_due(now));
            assert!(!repetition.is_due(now));
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
    }
}
