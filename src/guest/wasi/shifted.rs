//! [`Shifted`]: the clock of a restored guest. It runs as the host's clock does, but goes on from the times of the save.

use crate::wait::clock::{Clock, Sleep};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What the two clocks of a guest show at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// As [`Clock::now`].
    pub(crate) now: Duration,
    /// As [`Clock::wall_time`].
    pub(crate) wall_time: SystemTime,
}

impl Moment {
    pub(crate) fn read(clock: &impl Clock) -> Self {
        Self { now: clock.now(), wall_time: clock.wall_time() }
    }
}

/// A clock that differs from the host's by a fixed time.
pub(crate) struct Shifted {
    clock: Arc<dyn Clock>,
    /// The host's [`Clock::now`] at the restore.
    host: Duration,
    /// The guest's at the same moment.
    guest: Duration,
    wall_time: Shift,
}

/// By how much the guest's time of day differs from the host's.
enum Shift {
    Ahead(Duration),
    Behind(Duration),
}

impl Shifted {
    /// A clock that runs as `clock` does, and shows `guest` now. If `is_real`, the time of day stays that of `clock`.
    pub(crate) fn new(clock: Arc<dyn Clock>, guest: Moment, is_real: bool) -> Self {
        let host = Moment::read(&clock);
        let wall_time = match guest.wall_time.duration_since(host.wall_time) {
            _ if is_real => Shift::Ahead(Duration::ZERO),
            Ok(ahead) => Shift::Ahead(ahead),
            Err(behind) => Shift::Behind(behind.duration()),
        };
        Self { clock, host: host.now, guest: guest.now, wall_time }
    }
}

impl Clock for Shifted {
    fn now(&self) -> Duration {
        match self.clock.now() {
            // The end of time is the same for both: no sleep lasts any more.
            Duration::MAX => Duration::MAX,
            now => self.guest.saturating_add(now.saturating_sub(self.host)),
        }
    }

    fn wall_time(&self) -> SystemTime {
        let time = self.clock.wall_time();
        let shifted = match self.wall_time {
            Shift::Ahead(by) => time.checked_add(by),
            Shift::Behind(by) => time.checked_sub(by),
        };
        shifted.unwrap_or(time)
    }

    fn sleep_until(&self, deadline: Duration) -> Sleep {
        let from_the_restore = deadline.saturating_sub(self.guest);
        self.clock.sleep_until(self.host.saturating_add(from_the_restore))
    }

    fn resolution(&self) -> Duration {
        self.clock.resolution()
    }
}
