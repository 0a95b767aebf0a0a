//! [`CallTime`]: how long a call has run, and when it has timed out.

use crate::guest::limit::options::InstanceOptions;
use crate::step::interrupt::{NEVER, nanoseconds};
use crate::timed_out::Timeout;
use crate::wait::alarm;
use crate::wait::clock::{Clock, RealtimeClock, Sleep};
use parking_lot::Mutex;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};
use std::task::Context;
use std::time::Duration;

/// The time of the call in progress, or of the last one. All times are in nanoseconds, and moments are those of [`alarm::now`].
///
/// Only the thread that has the guest writes it, and the lease of the guest orders the accesses: so all are `Relaxed`. Any thread may
/// read the [time used](Self::used), which is one word.
pub(crate) struct CallTime {
    /// [`NEVER`] if there is none.
    running_timeout: u64,
    elapsed_timeout: Option<Duration>,
    /// [`NEVER`] if there is none.
    begun_timeout: u64,
    /// Whether the first step of the call has begun.
    has_begun: AtomicBool,
    /// The time in the steps that have ended.
    used: AtomicU64,
    /// When the step in progress began; [`NEVER`] if there is none.
    step_began: AtomicU64,
    /// When the last step ended.
    step_ended: AtomicU64,
    /// When the call times out by its `elapsed_timeout` or its `begun_timeout`, whichever comes first; [`NEVER`] if it has neither.
    deadline: AtomicU64,
    /// Which of the two the deadline comes from: `ELAPSED` or `BEGUN`.
    deadline_of: AtomicU8,
    /// Which timeout has ended the call: `IN_TIME`, `RUNNING`, `ELAPSED` or `BEGUN`.
    timed_out: AtomicU8,
    /// Wakes the call at its deadline, once it waits.
    alarm: Mutex<Option<Sleep>>,
}

const IN_TIME: u8 = 0;
const RUNNING: u8 = 1;
const ELAPSED: u8 = 2;
const BEGUN: u8 = 3;

/// Whether a call may go on.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    InTime,
    TimedOut,
}

impl CallTime {
    /// `None` if the options neither limit nor measure the time.
    pub(crate) fn new(options: &InstanceOptions) -> Option<Box<Self>> {
        options.measures_time().then(|| {
            Box::new(Self {
                running_timeout: options.running_timeout.map_or(NEVER, nanoseconds),
                elapsed_timeout: options.elapsed_timeout,
                begun_timeout: options.begun_timeout.map_or(NEVER, nanoseconds),
                has_begun: false.into(),
                used: 0.into(),
                step_began: NEVER.into(),
                step_ended: 0.into(),
                deadline: NEVER.into(),
                deadline_of: ELAPSED.into(),
                timed_out: IN_TIME.into(),
                alarm: Mutex::default(),
            })
        })
    }

    /// The timeout of this kind.
    pub(crate) fn timeout(&self, kind: Timeout) -> Duration {
        match kind {
            Timeout::Running => Duration::from_nanos(self.running_timeout),
            Timeout::Elapsed => self.elapsed_timeout.unwrap_or(Duration::MAX),
            Timeout::Begun => Duration::from_nanos(self.begun_timeout),
        }
    }

    #[inline]
    pub(crate) fn has_timeout(&self) -> bool {
        self.running_timeout != NEVER || self.has_deadline()
    }

    #[inline]
    fn has_deadline(&self) -> bool {
        self.elapsed_timeout.is_some() || self.begun_timeout != NEVER
    }

    /// The time in those steps of the call in progress that have ended, or in all steps of the last call.
    pub(crate) fn used(&self) -> Duration {
        Duration::from_nanos(self.used.load(Relaxed))
    }

    /// A call was made: its time begins.
    pub(crate) fn begin_call(&self) {
        let deadline = self.elapsed_timeout.map(|timeout| alarm::now().saturating_add(timeout));
        self.deadline.store(deadline.map_or(NEVER, nanoseconds), Relaxed);
        self.deadline_of.store(ELAPSED, Relaxed);
        self.has_begun.store(false, Relaxed);
        self.used.store(0, Relaxed);
        self.step_began.store(NEVER, Relaxed);
        self.timed_out.store(IN_TIME, Relaxed);
    }

    /// A call has ended, or is dropped: nothing wakes it any more.
    #[inline]
    pub(crate) fn leave_call(&self) {
        if self.has_deadline() {
            // Dropped outside the lock, because the alarm drops a waker, which may be the last reference to anything.
            let alarm = self.alarm.lock().take();
            drop(alarm);
        }
    }

    /// The timeout that has passed before the first step of a call, if any.
    #[inline]
    pub(crate) fn is_too_late(&self) -> Option<Timeout> {
        let deadline = self.deadline.load(Relaxed);
        if deadline == NEVER || alarm::now_nanoseconds() < deadline {
            return None;
        }
        Some(Timeout::Elapsed)
    }

    /// A step begins. Returns when the call times out.
    #[inline]
    pub(crate) fn begin_step(&self, now: u64) -> u64 {
        self.step_began.store(now, Relaxed);
        if self.begun_timeout != NEVER && !self.has_begun.load(Relaxed) {
            self.begin_first_step(now);
        }
        let left = self.running_timeout.saturating_sub(self.used.load(Relaxed));
        // Without a timeout, this is late enough: `NEVER` is in five hundred years.
        now.saturating_add(left).min(self.deadline.load(Relaxed))
    }

    /// The first step of a call begins, and with it the time of the `begun_timeout`.
    fn begin_first_step(&self, now: u64) {
        self.has_begun.store(true, Relaxed);
        let deadline = now.saturating_add(self.begun_timeout);
        if deadline < self.deadline.load(Relaxed) {
            self.deadline.store(deadline, Relaxed);
            self.deadline_of.store(BEGUN, Relaxed);
        }
    }

    /// Notes that the deadline has passed, and so the timeout from which it comes.
    fn note_deadline(&self) {
        self.timed_out.store(self.deadline_of.load(Relaxed), Relaxed);
    }

    /// A step ends, perhaps by a panic.
    #[inline]
    pub(crate) fn end_step(&self) {
        let now = alarm::now_nanoseconds();
        self.step_ended.store(now, Relaxed);
        let used = self.used.load(Relaxed) + self.in_step(now);
        self.used.store(used, Relaxed);
        self.step_began.store(NEVER, Relaxed);
    }

    /// How long the step in progress has run.
    fn in_step(&self, now: u64) -> u64 {
        match self.step_began.load(Relaxed) {
            NEVER => 0,
            began => now.saturating_sub(began),
        }
    }

    /// Looks whether the call may go on, and notes which timeout has passed.
    #[inline]
    pub(crate) fn look(&self, now: u64) -> Verdict {
        if !self.has_timeout() {
            return Verdict::InTime;
        }
        if self.used.load(Relaxed) + self.in_step(now) >= self.running_timeout {
            self.timed_out.store(RUNNING, Relaxed);
        } else if now >= self.deadline.load(Relaxed) {
            self.note_deadline();
        }
        match self.timed_out.load(Relaxed) {
            IN_TIME => Verdict::InTime,
            _ => Verdict::TimedOut,
        }
    }

    /// Looks whether the call was in time when its last step ended.
    #[inline]
    pub(crate) fn look_after_step(&self) -> Verdict {
        self.look(self.step_ended.load(Relaxed))
    }

    /// The call waits. Looks whether it is in time, and arranges for a wake at its deadline.
    pub(crate) fn look_and_wake_at_deadline(&self, context: &mut Context<'_>) -> Verdict {
        let deadline = match self.deadline.load(Relaxed) {
            NEVER => return Verdict::InTime,
            deadline => Duration::from_nanos(deadline),
        };
        let mut alarm = self.alarm.lock();
        let alarm = alarm.get_or_insert_with(|| RealtimeClock.sleep_until(deadline));
        if alarm.as_mut().poll(context).is_pending() {
            return Verdict::InTime;
        }
        self.note_deadline();
        Verdict::TimedOut
    }

    /// Takes the timeout that has ended the last call, if any.
    #[inline]
    pub(crate) fn take_timed_out(&self) -> Option<Timeout> {
        let timed_out = match self.timed_out.load(Relaxed) {
            IN_TIME => return None,
            RUNNING => Timeout::Running,
            ELAPSED => Timeout::Elapsed,
            _ => Timeout::Begun,
        };
        self.timed_out.store(IN_TIME, Relaxed);
        Some(timed_out)
    }
}

#[cfg(test)]
mod tests {
    use super::{CallTime, Verdict};
    use crate::guest::limit::options::InstanceOptions;
    use crate::step::interrupt::NEVER;
    use crate::timed_out::Timeout;
    use crate::wait::alarm;
    use std::time::Duration;

    const MS: u64 = 1_000_000;
    const HOUR: u64 = 3_600_000 * MS;

    fn time_of(options: &InstanceOptions) -> Box<CallTime> {
        CallTime::new(options).expect("the time is measured")
    }

    fn now() -> u64 {
        alarm::now_nanoseconds()
    }

    fn options() -> InstanceOptions {
        InstanceOptions::default()
    }

    fn timeout(nanoseconds: u64) -> Duration {
        Duration::from_nanos(nanoseconds)
    }

    #[test]
    fn time_runs_in_steps_only() {
        let time = time_of(&options().running_timeout(timeout(10 * MS)));
        time.begin_call();
        let now = now() + HOUR;
        assert_eq!(time.begin_step(now), now + 10 * MS);
        assert_eq!(time.look(now + 9 * MS), Verdict::InTime);
        assert_eq!(time.look(now + 10 * MS), Verdict::TimedOut);
        assert_eq!(time.take_timed_out(), Some(Timeout::Running));
        assert_eq!(time.take_timed_out(), None);
        time.end_step();
        assert_eq!(time.look(now + HOUR), Verdict::InTime, "there is no step");
    }

    #[test]
    fn time_elapses_from_the_beginning_of_the_call() {
        let time = time_of(&options().elapsed_timeout(timeout(HOUR)));
        time.begin_call();
        let now = now();
        let end = time.begin_step(now);
        assert!(end <= now + HOUR);
        time.end_step();
        assert_eq!(time.is_too_late(), None);
        assert_eq!(time.look(now), Verdict::InTime);
        assert_eq!(time.look(now + HOUR), Verdict::TimedOut);
        assert_eq!(time.take_timed_out(), Some(Timeout::Elapsed));
    }

    #[test]
    fn time_counts_from_the_first_step_on_and_not_from_a_later_one() {
        let time = time_of(&options().begun_timeout(timeout(10 * MS)));
        for _ in 0..2 {
            time.begin_call();
            assert_eq!(time.is_too_late(), None);
            let now = now() + HOUR;
            assert_eq!(time.begin_step(now), now + 10 * MS);
            time.end_step();
            assert_eq!(time.begin_step(now + MS), now + 10 * MS);
            assert_eq!(time.look(now + 9 * MS), Verdict::InTime);
            assert_eq!(time.look(now + 10 * MS), Verdict::TimedOut);
            assert_eq!(time.take_timed_out(), Some(Timeout::Begun));
        }
    }

    #[test]
    fn of_two_deadlines_the_earlier_one_counts() {
        for (begun, first) in [(MS, Timeout::Begun), (3 * HOUR, Timeout::Elapsed)] {
            let options = options().elapsed_timeout(timeout(2 * HOUR));
            let time = time_of(&options.begun_timeout(timeout(begun)));
            time.begin_call();
            let now = now();
            let _ = time.begin_step(now);
            assert_eq!(time.look(now + 2 * HOUR), Verdict::TimedOut);
            assert_eq!(time.take_timed_out(), Some(first));
        }
    }

    #[test]
    fn a_step_that_took_too_long_is_late_when_it_has_ended() {
        let time = time_of(&options().running_timeout(timeout(MS)));
        time.begin_call();
        let now = now();
        let _ = time.begin_step(now);
        while self::now() < now + MS {}
        time.end_step();
        assert!(time.used() >= Duration::from_nanos(MS));
        assert_eq!(time.look_after_step(), Verdict::TimedOut);
    }

    #[test]
    fn measuring_is_no_limit() {
        let time = time_of(&options().measure_time(true));
        time.begin_call();
        assert_eq!(time.begin_step(now()), NEVER);
        time.end_step();
        assert_eq!(time.look(HOUR), Verdict::InTime);
        assert_eq!(time.take_timed_out(), None);
    }
}
