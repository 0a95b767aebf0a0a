//! [`Alarm`]: a thread that wakes others at given times.

use crate::sync::Mutex;
use crate::wait::waiters::{Key, Waiters, wake_all};
use crossbeam::sync::{Parker, Unparker};
use std::sync::LazyLock;
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

/// The thread starts with the first one who waits, and sleeps until the next time that somebody waits for.
pub(crate) struct Alarm {
    name: &'static str,
    schedule: Mutex<Schedule>,
}

#[derive(Default)]
struct Schedule {
    waiters: Waiters<Duration>,
    thread: Option<Unparker>,
    /// When the thread will look here by itself, if it will.
    looks_at: Option<Duration>,
}

/// Times are counted from here.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The time now, by which every alarm goes.
pub(crate) fn now() -> Duration {
    START.elapsed()
}

impl Alarm {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, schedule: Mutex::default() }
    }

    /// `waker` is to be woken at this time.
    ///
    /// # Panics
    ///
    /// If there is no thread yet, and none can be started.
    pub(crate) fn add(&'static self, at: Duration, waker: Waker) -> Key<Duration> {
        let mut schedule = self.schedule.lock();
        if schedule.thread.is_none() {
            schedule.thread = Some(self.start());
        }
        let ticket = schedule.waiters.add(at, waker);
        if schedule.looks_at.is_none_or(|looks_at| at < looks_at) {
            schedule.looks_at = Some(at);
            let thread = schedule.thread.clone();
            drop(schedule);
            if let Some(thread) = thread {
                thread.unpark();
            }
        }
        ticket
    }

    pub(crate) fn replace(&self, ticket: Key<Duration>, waker: Waker) -> Result<Waker, Waker> {
        self.schedule.lock().waiters.replace(ticket, waker)
    }

    /// The thread is not told: it may look once for nothing.
    pub(crate) fn forget(&self, ticket: Key<Duration>) -> Option<Waker> {
        self.schedule.lock().waiters.remove(ticket)
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

    /// Wakes those whose time has come, and waits for the next time.
    fn ring(&self, parker: &Parker) {
        let mut schedule = self.schedule.lock();
        let released = schedule.waiters.release(now());
        schedule.looks_at = schedule.waiters.first().map(|(at, _)| at);
        let looks_at = schedule.looks_at;
        drop(schedule);
        wake_all(released);
        // Who has come meanwhile, for a time before that, has left a token in the parker.
        match looks_at.and_then(|at| START.checked_add(at)) {
            Some(at) => parker.park_deadline(at),
            None => parker.park(),
        }
    }
}
