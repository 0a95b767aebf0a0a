//! The times of a guest: what its two clocks read, and the deadlines that it waits for. Both come from the [`Clock`] of its
//! context, and each is a `Duration`, which WASI gives to the guest in nanoseconds.

use crate::wait::clock::Clock;
use std::time::{Duration, SystemTime};
use wasmtime_wasi::p1::types::{Clockid, Errno, Subclockflags, SubscriptionClock};

/// What a guest's monotonic clock reads when [`Clock::now`](crate::Clock::now) is zero: one second.
///
/// Programs take a monotonic time of zero for "not set"; Go's runtime does not start with it. At one second, the time is not zero in
/// milliseconds and seconds either.
///
/// A host that tells a guest the time at which to wake adds this to the time of its own clock:
///
/// ```
/// use std::time::Duration;
/// use wasm_jobs::wasi::MONOTONIC_START;
/// use wasm_jobs::{Clock, ManualClock};
///
/// let clock = ManualClock::new();
/// clock.tick(Duration::from_millis(20));
/// assert_eq!(clock.now() + MONOTONIC_START, Duration::from_millis(1020)); // what the guest reads
/// ```
pub const MONOTONIC_START: Duration = Duration::from_secs(1);

/// A clock that a guest can read. WASI's clocks of CPU time are not offered.
#[derive(Clone, Copy)]
pub(crate) enum GuestClock {
    Monotonic,
    TimeOfDay,
}

impl GuestClock {
    pub(crate) fn new(id: Clockid) -> Result<Self, Errno> {
        match id {
            Clockid::Monotonic => Ok(Self::Monotonic),
            Clockid::Realtime => Ok(Self::TimeOfDay),
            Clockid::ProcessCputimeId | Clockid::ThreadCputimeId => Err(Errno::Inval),
        }
    }

    /// What the guest reads from it.
    pub(crate) fn read(self, clock: &impl Clock) -> Duration {
        match self {
            Self::Monotonic => clock.now().saturating_add(MONOTONIC_START),
            Self::TimeOfDay => since_1970(clock),
        }
    }
}

/// WASI has no time before 1970: the guest reads zero then.
pub(crate) fn since_1970(clock: &impl Clock) -> Duration {
    clock.wall_time().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The time that a subscription to a clock waits for.
#[derive(Clone, Copy)]
pub(crate) enum Deadline {
    /// A time of [`Clock::now`].
    Monotonic(Duration),
    /// A time of [`Clock::wall_time`], since 1970.
    OfDay(Duration),
}

impl Deadline {
    /// The deadline of a subscription that was made at the time `now` of [`Clock::now`], by a guest that has `waited` for it before that.
    pub(crate) fn new(
        wait: &SubscriptionClock,
        now: Duration,
        waited: Duration,
    ) -> Result<Self, Errno> {
        let timeout = Duration::from_nanos(wait.timeout);
        let is_absolute = wait.flags.contains(Subclockflags::SUBSCRIPTION_CLOCK_ABSTIME);
        Ok(match GuestClock::new(wait.id)? {
            GuestClock::TimeOfDay if is_absolute => Self::OfDay(timeout),
            // A deadline before the clock's start has passed at the start.
            GuestClock::Monotonic if is_absolute => {
                Self::Monotonic(timeout.saturating_sub(MONOTONIC_START))
            }
            // A time span is the same by both clocks, even if the time of day is set meanwhile.
            GuestClock::Monotonic | GuestClock::TimeOfDay => {
                Self::Monotonic(now.saturating_add(timeout.saturating_sub(waited)))
            }
        })
    }

    /// The [`Clock::now`] at which to look again, because the time of day may be set before that.
    pub(crate) fn look_again_at(self, clock: &impl Clock) -> Duration {
        match self {
            Self::Monotonic(deadline) => deadline,
            Self::OfDay(deadline) => {
                // `now` is read first. If the clock moves between the two reads, the result is too early, and not too late.
                let now = clock.now();
                now.saturating_add(deadline.saturating_sub(since_1970(clock)))
            }
        }
    }
}

/// One reading of both times of a clock, with which several deadlines are compared.
pub(crate) struct Times {
    now: Duration,
    of_day: Duration,
}

impl Times {
    pub(crate) fn read(clock: &impl Clock) -> Self {
        Self { now: clock.now(), of_day: since_1970(clock) }
    }

    pub(crate) fn have_reached(&self, deadline: Deadline) -> bool {
        match deadline {
            Deadline::Monotonic(deadline) => self.now >= deadline,
            Deadline::OfDay(deadline) => self.of_day >= deadline,
        }
    }
}
