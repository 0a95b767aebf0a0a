//! [`CallTime`]: how long a call has run, and when it has timed out.

use crate::error::Timeout;
use crate::step::interrupt::{NEVER, nanoseconds};
use crate::wait::alarm;
use crate::wait::clock::{Clock, RealtimeClock, Sleep};
use parking_lot::Mutex;
use std::task::Context;
use std::time::Duration;

/// The time of the call in progress, or of the last one. All times are those of [`alarm::now`].
///
/// The thread that has the guest writes it; any thread may read the [time used](Self::used). Hence the lock, which is taken only
/// if there is a limit in time or the time is measured.
pub(crate) struct CallTime {
    running_timeout: Option<Duration>,
    elapsed_timeout: Option<Duration>,
    is_measured: bool,
    time: Mutex<Time>,
}

#[derive(Default)]
struct Time {
    /// The time in the steps that have ended.
    used: Duration,
    /// When the step in progress began.
    step_began: Option<Duration>,
    /// When the last step ended.
    step_ended: Duration,
    /// When the call times out by its `elapsed_timeout`.
    deadline: Option<Duration>,
    /// Wakes the call at its deadline, once it waits.
    alarm: Option<Sleep>,
    timed_out: Option<Timeout>,
}

/// Whether a call may go on.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    InTime,
    TimedOut,
}

impl CallTime {
    /// A timeout has the time measured, whatever `is_measured` says.
    pub(crate) fn new(
        running_timeout: Option<Duration>,
        elapsed_timeout: Option<Duration>,
        is_measured: bool,
    ) -> Self {
        let is_measured = is_measured || running_timeout.is_some() || elapsed_timeout.is_some();
        Self { running_timeout, elapsed_timeout, is_measured, time: Mutex::default() }
    }

    #[inline]
    pub(crate) fn is_measured(&self) -> bool {
        self.is_measured
    }

    #[inline]
    pub(crate) fn has_timeout(&self) -> bool {
        self.running_timeout.is_some() || self.elapsed_timeout.is_some()
    }

    /// The time in those steps of the call in progress that have ended, or in all steps of the last call.
    pub(crate) fn used(&self) -> Duration {
        self.time.lock().used
    }

    /// A call was made: its time begins.
    pub(crate) fn begin_call(&self) {
        if self.is_measured {
            let deadline = self.elapsed_timeout.map(|timeout| alarm::now().saturating_add(timeout));
            *self.time.lock() = Time { deadline, ..Time::default() };
        }
    }

    /// A call has ended, or is dropped: nothing wakes it any more.
    #[inline]
    pub(crate) fn leave_call(&self) {
        if self.elapsed_timeout.is_some() {
            // Dropped outside the lock, because the alarm drops a waker, which may be the last reference to anything.
            let alarm = self.time.lock().alarm.take();
            drop(alarm);
        }
    }

    /// The timeout that has passed before the first step of a call, if any.
    #[inline]
    pub(crate) fn is_too_late(&self) -> Option<Timeout> {
        self.elapsed_timeout?;
        let deadline = self.time.lock().deadline?;
        (alarm::now() >= deadline).then_some(Timeout::Elapsed)
    }

    /// A step begins. Returns when the call times out, in nanoseconds of [`alarm::now`].
    pub(crate) fn begin_step(&self, now: Duration) -> u64 {
        if !self.is_measured {
            return NEVER;
        }
        let mut time = self.time.lock();
        time.step_began = Some(now);
        let left = |timeout: Duration| now.saturating_add(timeout.saturating_sub(time.used));
        let running = self.running_timeout.map(left);
        running.into_iter().chain(time.deadline).map(nanoseconds).min().unwrap_or(NEVER)
    }

    /// A step ends, perhaps by a panic.
    pub(crate) fn end_step(&self) {
        if self.is_measured {
            let mut time = self.time.lock();
            let now = alarm::now();
            time.step_ended = now;
            if let Some(began) = time.step_began.take() {
                time.used += now.saturating_sub(began);
            }
        }
    }

    /// Looks whether the call may go on, and notes which timeout has passed.
    pub(crate) fn look(&self, now: Duration) -> Verdict {
        if self.has_timeout() { self.judge(&mut self.time.lock(), now) } else { Verdict::InTime }
    }

    /// Looks whether the call was in time when its last step ended.
    pub(crate) fn look_after_step(&self) -> Verdict {
        if !self.has_timeout() {
            return Verdict::InTime;
        }
        let mut time = self.time.lock();
        let ended = time.step_ended;
        self.judge(&mut time, ended)
    }

    fn judge(&self, time: &mut Time, now: Duration) -> Verdict {
        let step = time.step_began.map_or(Duration::ZERO, |began| now.saturating_sub(began));
        let running = time.used + step;
        if self.running_timeout.is_some_and(|timeout| running >= timeout) {
            time.timed_out = Some(Timeout::Running);
        } else if time.deadline.is_some_and(|deadline| now >= deadline) {
            time.timed_out = Some(Timeout::Elapsed);
        }
        if time.timed_out.is_some() { Verdict::TimedOut } else { Verdict::InTime }
    }

    /// The call waits. Looks whether it is in time, and arranges for a wake at its deadline.
    pub(crate) fn look_and_wake_at_deadline(&self, context: &mut Context<'_>) -> Verdict {
        let mut time = self.time.lock();
        let Some(deadline) = time.deadline else { return Verdict::InTime };
        let alarm = time.alarm.get_or_insert_with(|| RealtimeClock.sleep_until(deadline));
        if alarm.as_mut().poll(context).is_pending() {
            return Verdict::InTime;
        }
        time.timed_out = Some(Timeout::Elapsed);
        Verdict::TimedOut
    }

    /// Takes the timeout that has ended the last call, if any.
    #[inline]
    pub(crate) fn take_timed_out(&self) -> Option<Timeout> {
        if self.has_timeout() { self.time.lock().timed_out.take() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::{CallTime, Verdict};
    use crate::error::Timeout;
    use crate::step::interrupt::{NEVER, nanoseconds};
    use crate::wait::alarm;
    use std::time::Duration;

    const MS: Duration = Duration::from_millis(1);
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn time_runs_in_steps_only() {
        let time = CallTime::new(Some(10 * MS), None, false);
        time.begin_call();
        let now = alarm::now() + HOUR;
        assert_eq!(time.begin_step(now), nanoseconds(now + 10 * MS));
        assert_eq!(time.look(now + 9 * MS), Verdict::InTime);
        assert_eq!(time.look(now + 10 * MS), Verdict::TimedOut);
        assert_eq!(time.take_timed_out(), Some(Timeout::Running));
        assert_eq!(time.take_timed_out(), None);
        time.end_step();
        assert_eq!(time.look(now + HOUR), Verdict::InTime, "there is no step");
    }

    #[test]
    fn time_elapses_from_the_beginning_of_the_call() {
        let time = CallTime::new(None, Some(HOUR), false);
        time.begin_call();
        let now = alarm::now();
        let end = time.begin_step(now);
        assert!(end <= nanoseconds(now + HOUR));
        time.end_step();
        assert_eq!(time.is_too_late(), None);
        assert_eq!(time.look(now), Verdict::InTime);
        assert_eq!(time.look(now + HOUR), Verdict::TimedOut);
        assert_eq!(time.take_timed_out(), Some(Timeout::Elapsed));
    }

    #[test]
    fn a_step_that_took_too_long_is_late_when_it_has_ended() {
        let time = CallTime::new(Some(MS), None, false);
        time.begin_call();
        let now = alarm::now();
        let _ = time.begin_step(now);
        while alarm::now() < now + MS {}
        time.end_step();
        assert!(time.used() >= MS);
        assert_eq!(time.look_after_step(), Verdict::TimedOut);
    }

    #[test]
    fn measuring_is_no_limit() {
        let time = CallTime::new(None, None, true);
        time.begin_call();
        assert_eq!(time.begin_step(alarm::now()), NEVER);
        time.end_step();
        assert_eq!(time.look(HOUR), Verdict::InTime);
        assert_eq!(time.take_timed_out(), None);
    }
}
