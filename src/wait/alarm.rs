//! [`Alarm`]: a thread that wakes wakers at given times, in real time. `clock` has one, for the sleeps of the real-time clock.

use crate::sync::Mutex;
use crate::wait::waiters::{Key, Waiters, wake_all};
use crossbeam::sync::{Parker, Unparker};
use std::sync::LazyLock;
use std::task::Waker;
use std::thread;
use std::time::Duration;

/// A schedule of wakers, and a thread that serves it. The thread starts with the first waker, and sleeps until the earliest time
/// that a waker waits for.
pub(crate) struct Alarm {
    name: &'static str,
    schedule: Mutex<Schedule>,
}

#[derive(Default)]
struct Schedule {
    waiters: Waiters<Duration>,
    thread: Option<Unparker>,
    /// The time at which the thread looks at the schedule without being unparked. `None` if it waits to be unparked.
    looks_at: Option<Duration>,
}

/// The moment from which [`now`] counts.
static START: LazyLock<u64> = LazyLock::new(machine_nanoseconds);

/// The time of every alarm, and of every deadline of a step: since the first use of this.
pub(crate) fn now() -> Duration {
    Duration::from_nanos(now_nanoseconds())
}

/// The time of [`now`], in nanoseconds. It reads the machine's clock once, which is most of what it costs.
#[inline]
pub(crate) fn now_nanoseconds() -> u64 {
    // The first reader reads the clock here before it sets `START`.
    machine_nanoseconds().saturating_sub(*START)
}

/// The clock that [`Instant`](std::time::Instant) has on Linux. To subtract two of these takes a third as long as to read one.
#[cfg(target_os = "linux")]
#[inline]
fn machine_nanoseconds() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    // Neither is negative, and the sum lasts for five hundred years.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(not(target_os = "linux"))]
fn machine_nanoseconds() -> u64 {
    static FIRST: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);
    u64::try_from(FIRST.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

impl Alarm {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, schedule: Mutex::default() }
    }

    /// Wakes `waker` once [`now`] has reached `at`.
    ///
    /// # Panics
    ///
    /// If the thread has not been started yet and cannot be.
    pub(crate) fn add(&'static self, at: Duration, waker: Waker) -> Key<Duration> {
        let mut schedule = self.schedule.lock();
        if schedule.thread.is_none() {
            schedule.thread = Some(self.start());
        }
        let key = schedule.waiters.add(at, waker);
        if schedule.looks_at.is_none_or(|looks_at| at < looks_at) {
            schedule.looks_at = Some(at);
            let thread = schedule.thread.clone();
            drop(schedule);
            if let Some(thread) = thread {
                thread.unpark();
            }
        }
        key
    }

    pub(crate) fn replace(&self, key: Key<Duration>, waker: Waker) -> Result<Waker, Waker> {
        self.schedule.lock().waiters.replace(key, waker)
    }

    /// Removes a waker. The thread is not unparked for that: it may look at the schedule once without need.
    pub(crate) fn forget(&self, key: Key<Duration>) -> Option<Waker> {
        self.schedule.lock().waiters.remove(key)
    }

    fn start(&'static self) -> Unparker {
        let parker = Parker::new();
        let unparker = parker.unparker().clone();
        let ring = move || loop {
            self.ring(&parker);
        };
        match thread::Builder::new().name(self.name.into()).spawn(ring) {
            Ok(_) => unparker,
            Err(error) => panic!("no thread can be started for {}: {error}", self.name),
        }
    }

    /// Wakes the wakers whose time has come, and sleeps until the next time.
    fn ring(&self, parker: &Parker) {
        let mut schedule = self.schedule.lock();
        let released = schedule.waiters.release(now());
        schedule.looks_at = schedule.waiters.first();
        let looks_at = schedule.looks_at;
        drop(schedule);
        wake_all(released);
        // A waker that was added meanwhile, for an earlier time, has left a token in the parker: then parking returns at once.
        match looks_at {
            Some(at) => parker.park_timeout(at.saturating_sub(now())),
            None => parker.park(),
        }
    }
}
