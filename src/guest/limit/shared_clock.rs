//! [`SharedClock`]: the time at which a step begins, for steps that follow each other so fast that reading the machine's clock in each of them
//! is a large part of what they cost. The thread of the [`schedule`](crate::guest::limit::schedule) reads the clock for them, a few times in
//! a slice, and sleeps in between.
//!
//! What it publishes is a time that has not come yet: the time of its next reading. A step that takes it for its beginning lasts longer than its
//! slice, by the period between two readings at most. So a step takes it only if the period is at most an [eighth](SHARE) of its slice. If the
//! thread reads the clock late, steps are shorter by as much. Only when a step ends depends on this clock, and never whether it ends.
//!
//! It is off until a thread has [begun many steps](Beginnings) in a short time, and it goes off when no step has used it for a period.
//!
//! All accesses are `Relaxed`: each word stands alone, and one that is out of date for a moment gives a time that is off by a period.

use crate::step::interrupt::NEVER;
use std::cell::Cell;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// A slice lasts for as many periods, at least.
const SHARE: u64 = 8;
/// The shortest period, in nanoseconds. On a busy machine, to wake the thread takes tens of microseconds from others. With shorter periods, that is
/// more than the steps gain: so steps of shorter slices read the machine's clock.
const SHORTEST: u64 = Duration::from_millis(1).as_nanos() as u64;
/// A thread that begins as many steps within one period does well to use this clock.
const MANY: u32 = 32;
/// What is published while the clock is off.
const OFF: u64 = 0;

pub(super) struct SharedClock {
    /// A [`Reading`], or [`OFF`].
    published: AtomicU64,
    /// The shortest period that a step wanted since the last reading; [`NEVER`] if none has begun.
    wanted: AtomicU64,
}

/// The time of the next reading, with the period in its lowest bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reading(u64);

impl Reading {
    const PERIOD_BITS: u64 = 0xff;

    /// The next reading comes a period after `now`, or a little earlier.
    fn after(now: u64, period: u64) -> Self {
        let code = code(period);
        let next = now.saturating_add(length(code));
        Self(next & !Self::PERIOD_BITS | code)
    }

    fn next(self) -> u64 {
        self.0 & !Self::PERIOD_BITS
    }

    fn period(self) -> u64 {
        length(self.0 & Self::PERIOD_BITS)
    }
}

/// The greatest length that is at most this one, and fits into eight bits: three for the digits after the first one, and five for the shift.
fn code(length: u64) -> u64 {
    let shift = u64::from(length.max(8).ilog2() - 3);
    match shift {
        0..32 => shift << 3 | (length.max(8) >> shift & 7),
        _ => Reading::PERIOD_BITS,
    }
}

fn length(code: u64) -> u64 {
    (8 + (code & 7)) << (code >> 3)
}

impl SharedClock {
    pub(super) const fn new() -> Self {
        Self { published: AtomicU64::new(OFF), wanted: AtomicU64::new(NEVER) }
    }

    /// The time at which a step of this slice begins, or up to an eighth of the slice later. `None` if the machine's clock has to be read.
    #[inline]
    pub(super) fn time_of_step(&self, slice: u64) -> Option<u64> {
        let reading = Reading(self.published.load(Relaxed));
        let period = slice / SHARE;
        if reading.0 == OFF || reading.period() > period {
            return None;
        }
        if self.wanted.load(Relaxed) > period {
            self.wanted.store(period, Relaxed);
        }
        Some(reading.next())
    }

    /// Asks for readings that suit steps of this slice. Returns whether the thread of the schedule has to be woken for that.
    pub(super) fn ask(&self, slice: u64) -> bool {
        let period = slice / SHARE;
        period >= SHORTEST
            && (self.wanted.fetch_min(period, Relaxed) > period
                // A step has used it while it went off.
                || self.published.load(Relaxed) == OFF)
    }

    /// The thread of the schedule has read the machine's clock. Returns when it has to do so again; [`NEVER`] if it need not.
    pub(super) fn read(&self, now: u64) -> u64 {
        let last = Reading(self.published.load(Relaxed));
        let wanted = self.wanted.load(Relaxed);
        if last.0 != OFF && now < last.next() && wanted >= last.period() {
            return last.next();
        }
        if self.wanted.swap(NEVER, Relaxed) == NEVER {
            self.published.store(OFF, Relaxed);
            return NEVER;
        }
        let reading = Reading::after(now, wanted.max(SHORTEST));
        self.published.store(reading.0, Relaxed);
        reading.next()
    }
}

/// How many steps a thread has begun by the machine's clock.
#[derive(Default)]
pub(super) struct Beginnings {
    /// When this began to count.
    since: Cell<u64>,
    count: Cell<u32>,
}

impl Beginnings {
    /// A step begins now. Returns whether it is one of many within the period that it would want.
    pub(super) fn are_many(&self, now: u64, slice: u64) -> bool {
        if now.saturating_sub(self.since.get()) > slice / SHARE {
            self.since.set(now);
            self.count.set(0);
        }
        self.count.set(self.count.get() + 1);
        if self.count.get() < MANY {
            return false;
        }
        self.count.set(0);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{Beginnings, MANY, NEVER, Reading, SHARE, SHORTEST, SharedClock, code, length};

    const SLICE: u64 = 10_000_000;
    const PERIOD: u64 = SLICE / SHARE;

    #[test]
    fn a_length_comes_back_as_nearly_as_long() {
        for exact in [8, 9, 50_000, 125_000, 1_000_000, 125_000_000, (1 << 35) - 1] {
            let coded = length(code(exact));
            assert!(coded <= exact && coded > exact - exact / 8 - 1, "{exact} {coded}");
        }
        assert_eq!(length(code(u64::MAX / SHARE)), 15 << 31);
    }

    #[test]
    fn a_reading_is_at_most_its_period_ahead() {
        for now in [0, 1, 255, 256, 123_456_789_012, 1 << 62] {
            for period in [SHORTEST, PERIOD, 125_000_000, u64::MAX / SHARE] {
                let reading = Reading::after(now, period);
                assert!(reading.period() <= period);
                let ahead = reading.next() - now;
                assert!(ahead <= period && ahead >= reading.period() - 256, "{now} {period}");
            }
        }
    }

    #[test]
    fn it_is_off_until_it_is_asked_and_after_a_period_without_steps() {
        let clock = SharedClock::new();
        assert_eq!(clock.read(1_000), NEVER);
        assert_eq!(clock.time_of_step(SLICE), None);
        assert!(clock.ask(SLICE));
        let next = clock.read(1_000);
        assert!(clock.ask(SLICE));
        assert!(!clock.ask(SLICE), "it was asked already");
        assert_eq!(clock.time_of_step(SLICE), Some(next));
        assert!(next > 1_000 && next - 1_000 <= PERIOD);
        assert_eq!(clock.read(next - 1), next, "it was woken for something else");
        let after = clock.read(next);
        assert!(after > next, "a step has used it");
        assert_eq!(clock.read(after), NEVER, "no step has used it");
        assert_eq!(clock.time_of_step(SLICE), None);
    }

    #[test]
    fn no_step_lasts_longer_than_its_slice_and_an_eighth() {
        let clock = SharedClock::new();
        assert!(clock.ask(8 * SLICE));
        let next = clock.read(0);
        assert_eq!(clock.time_of_step(8 * SLICE), Some(next));
        assert_eq!(clock.time_of_step(SLICE), None, "the period is too long for it");
        assert!(clock.ask(SLICE));
        let next = clock.read(10);
        assert!(next <= 10 + PERIOD, "it does not wait for the end of the long period");
        assert_eq!(clock.time_of_step(SLICE), Some(next));
        assert_eq!(clock.time_of_step(8 * SLICE), Some(next));
        // Only long slices are left, so the period is long again after the one that was in progress.
        let next = clock.read(next);
        assert_eq!(clock.time_of_step(8 * SLICE), Some(next));
        let long = clock.read(next);
        assert!(long - next > PERIOD, "{long} {next}");
    }

    #[test]
    fn steps_of_short_slices_read_the_machines_clock() {
        let clock = SharedClock::new();
        let short = SHORTEST * SHARE - 1;
        assert!(!clock.ask(short));
        assert!(clock.ask(short + 1));
        let next = clock.read(0);
        assert_eq!(clock.time_of_step(short + 1), Some(next));
        assert_eq!(clock.time_of_step(short / 2), None);
    }

    #[test]
    fn a_thread_asks_when_it_begins_many_steps_in_a_short_time() {
        let beginnings = Beginnings::default();
        let mut asked = (0..10 * MANY).filter(|_| beginnings.are_many(5, SLICE)).count();
        assert_eq!(asked, 10);
        let slow = (1..=10 * u64::from(MANY)).map(|step| step * (PERIOD + 1));
        asked = slow.filter(|now| beginnings.are_many(*now, SLICE)).count();
        assert_eq!(asked, 0);
    }
}
