//! [`Clock`]: tells the time, and gives sleeps to await. [`RealtimeClock`] follows the machine's clock, and an `Alarm` (next file: `alarm`)
//! wakes its sleepers. [`ManualClock`] moves by its owner's ticks.

use crate::sync::Mutex;
use crate::wait::alarm::{self, Alarm};
use crate::wait::block::{Sleeper, Wanted, help_or_sleep};
use crate::wait::waiters::{Key, Waiters, wake_all};
#[cfg(feature = "explore")]
use crate::wait::waits_for::{WaitsFor, note};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

/// A clock that calls can wait for.
///
/// ```
/// use std::time::Duration;
/// use wasm_jobs::{Clock, Future, ManualClock, Step};
///
/// let clock = ManualClock::new();
/// let mut future = Future::new({
///     let clock = clock.clone();
///     async move { Ok(clock.sleep(Duration::from_secs(60)).await) }
/// });
/// assert_eq!(future.resume()?, Step::Waiting);
/// clock.tick(Duration::from_secs(59));
/// assert_eq!(future.resume()?, Step::Waiting);
/// clock.tick(Duration::from_secs(1));
/// assert_eq!(future.resume()?, Step::Done);
/// # Ok::<(), wasm_jobs::Error>(())
/// ```
pub trait Clock: Send + Sync + 'static {
    /// The time since a moment that the clock chooses. It never goes back.
    fn now(&self) -> Duration;

    /// The time of day. It may go back or jump, because it can be set.
    fn wall_time(&self) -> SystemTime;

    /// Waits until [`now`](Self::now) is `deadline` or later. The wait begins when the sleep is first polled; it is ready then if
    /// the deadline has passed.
    fn sleep_until(&self, deadline: Duration) -> Sleep;

    /// Waits for `duration` from now on: from this call, and not from the first poll.
    fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(self.now().saturating_add(duration))
    }

    /// The shortest time by which the clock moves: one nanosecond by default. Guests can ask for it.
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }
}

/// The future of a [`Clock`]'s sleep.
pub type Sleep = Pin<Box<dyn std::future::Future<Output = ()> + Send>>;

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Duration {
        (**self).now()
    }

    fn wall_time(&self) -> SystemTime {
        (**self).wall_time()
    }

    fn sleep_until(&self, deadline: Duration) -> Sleep {
        (**self).sleep_until(deadline)
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        (**self).sleep(duration)
    }

    fn resolution(&self) -> Duration {
        (**self).resolution()
    }
}

/// A clock that moves only by [`tick`](Self::tick): for tests, for replays, for a game that pauses.
///
/// A clone is a handle of the same clock.
#[derive(Clone)]
pub struct ManualClock {
    shared: Arc<Manual>,
}

struct Manual {
    /// The time of day when `now` is zero.
    start: SystemTime,
    now: Mutex<Duration>,
    sleepers: Mutex<Waiters<Duration>>,
    /// Threads, each of which waits until there are so many sleepers.
    observers: Mutex<Waiters<usize>>,
}

impl ManualClock {
    /// A clock whose [`now`](Clock::now) is zero, and whose time of day is the beginning of 1970, UTC.
    #[must_use]
    pub fn new() -> Self {
        Self::starting_at(SystemTime::UNIX_EPOCH)
    }

    /// A clock whose [`now`](Clock::now) is zero, and whose time of day is `start`.
    #[must_use]
    pub fn starting_at(start: SystemTime) -> Self {
        let (now, sleepers, observers) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { shared: Arc::new(Manual { start, now, sleepers, observers }) }
    }

    /// Moves the clock forward, and wakes the sleepers whose deadline has passed: in the order of their deadlines, and sleepers
    /// with equal deadlines in the order in which they began to wait.
    ///
    /// This is the order within one tick. If several threads tick at the same time, the wakes of their ticks may interleave.
    ///
    /// All of them wake at the time that the clock has moved to. One that goes back to sleep, for however short a time, sleeps
    /// until a later tick.
    ///
    /// The clock stops at the latest time that there is: `tick(Duration::MAX)` wakes every sleeper. From then on
    /// [`now`](Clock::now) is `Duration::MAX`, [`wall_time`](Clock::wall_time) the platform's latest `SystemTime`, and no sleep lasts.
    pub fn tick(&self, by: Duration) {
        let now = {
            let mut now = self.shared.now.lock();
            *now = now.saturating_add(by);
            *now
        };
        let released = self.shared.sleepers.lock().release(now);
        wake_all(released);
    }

    /// The earliest deadline of a sleeper, as a time of [`now`](Clock::now). `None` if there are no sleepers.
    ///
    /// A simulation that has nothing to do before it may tick there at once.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.shared.sleepers.lock().first()
    }

    /// The number of sleepers.
    ///
    /// Once each call that has not ended is one of them, nothing happens before the next tick. A simulation that ticks only then
    /// runs the same way on any number of threads.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        self.shared.sleepers.lock().len()
    }

    /// Blocks this thread, without using the CPU, until there are at least `count` [sleepers](Self::sleepers).
    ///
    /// If calls may end, or wait for something else, there may never be so many of them. Where the calls are jobs,
    /// [`JobHandle::wait_until_idle`](crate::JobHandle::wait_until_idle) waits until each has ended or waits.
    ///
    /// A worker of a rayon pool runs jobs instead of blocking, as with [`JobHandle::wait`](crate::JobHandle::wait).
    ///
    /// ```
    /// use std::time::Duration;
    /// use wasm_jobs::{Clock, Future, JobPool, ManualClock, RayonGlobal};
    ///
    /// let clock = ManualClock::new();
    /// let nap = clock.clone();
    /// let mut sleeper = Future::new(async move { Ok(nap.sleep(Duration::from_secs(1)).await) });
    /// let job = RayonGlobal.submit(sleeper.to_job()?);
    /// clock.wait_for_sleepers(1); // until a worker has run it
    /// clock.tick(Duration::from_secs(1));
    /// job.wait();
    /// # Ok::<(), wasm_jobs::Error>(())
    /// ```
    pub fn wait_for_sleepers(&self, count: usize) {
        let sleeper = Sleeper::new();
        let mut key = None;
        while self.sleepers() < count {
            let mut observers = self.shared.observers.lock();
            let known =
                key.take_if(|key| observers.replace(*key, sleeper.waker().clone()).is_err());
            if known.is_some() || key.is_none() {
                key = Some(observers.add(count, sleeper.waker().clone()));
            }
            drop(observers);
            if self.sleepers() < count {
                help_or_sleep(&sleeper, Wanted::Any);
            }
        }
        if let Some(key) = key {
            self.shared.observers.lock().remove(key);
        }
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        *self.shared.now.lock()
    }

    fn wall_time(&self) -> SystemTime {
        let (start, now) = (self.shared.start, self.now());
        start.checked_add(now).unwrap_or_else(|| latest_from(start))
    }

    fn sleep_until(&self, deadline: Duration) -> Sleep {
        Box::pin(Sleeping { clock: self.clone(), deadline, key: None })
    }
}

/// The latest `SystemTime` of the platform. std has no stable constant for it.
fn latest_from(start: SystemTime) -> SystemTime {
    // Each step is half of the one before, and is taken if its end can be expressed. Together they exceed any `Duration`.
    let seconds = (0..u64::BITS).rev().map(|bit| Duration::from_secs(1 << bit));
    let nanoseconds = (0..30).rev().map(|bit| Duration::from_nanos(1 << bit));
    let steps = seconds.chain(nanoseconds);
    steps.fold(start, |time, step| time.checked_add(step).unwrap_or(time))
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock").field("now", &self.now()).finish()
    }
}

/// The clock of the machine.
///
/// [`now`](Clock::now) counts from the first use of a `RealtimeClock` in the process; [`wall_time`](Clock::wall_time) is the
/// system's. One thread of the process wakes all sleepers. It starts with the first sleep, and sleeps until the next deadline. To
/// wake a job, that thread calls the pool's [`enqueue`](crate::JobPool::enqueue); a pool that blocks in it, or runs the job in it,
/// delays every sleeper of this clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealtimeClock;

impl Clock for RealtimeClock {
    fn now(&self) -> Duration {
        alarm::now()
    }

    fn wall_time(&self) -> SystemTime {
        SystemTime::now()
    }

    /// # Panics
    ///
    /// The sleep panics when it is first polled if the thread that wakes sleepers cannot be started. In a call, this is the
    /// call's failure.
    fn sleep_until(&self, deadline: Duration) -> Sleep {
        Box::pin(Sleeping { clock: *self, deadline, key: None })
    }
}

static ALARM: LazyLock<Alarm> = LazyLock::new(|| Alarm::new("wasm-jobs alarm"));

/// A clock that keeps the wakers of its sleepers, by deadline.
trait Sleepers: Clock + Unpin {
    fn add(&self, deadline: Duration, waker: Waker) -> Key<Duration>;
    fn replace(&self, key: Key<Duration>, waker: Waker) -> Result<Waker, Waker>;
    fn forget(&self, key: Key<Duration>) -> Option<Waker>;
    #[cfg(feature = "explore")]
    fn waits_for(&self, deadline: Duration) -> WaitsFor;
}

impl Sleepers for ManualClock {
    fn add(&self, deadline: Duration, waker: Waker) -> Key<Duration> {
        let (key, count) = {
            let mut sleepers = self.shared.sleepers.lock();
            (sleepers.add(deadline, waker), sleepers.len())
        };
        // An observer enters and then counts the sleepers, and the sleeper has entered before: one of the two sees the other.
        let released = self.shared.observers.lock().release(count);
        wake_all(released);
        key
    }

    fn replace(&self, key: Key<Duration>, waker: Waker) -> Result<Waker, Waker> {
        self.shared.sleepers.lock().replace(key, waker)
    }

    fn forget(&self, key: Key<Duration>) -> Option<Waker> {
        self.shared.sleepers.lock().remove(key)
    }

    #[cfg(feature = "explore")]
    fn waits_for(&self, deadline: Duration) -> WaitsFor {
        WaitsFor::Time(deadline)
    }
}

impl Sleepers for RealtimeClock {
    fn add(&self, deadline: Duration, waker: Waker) -> Key<Duration> {
        ALARM.add(deadline, waker)
    }

    fn replace(&self, key: Key<Duration>, waker: Waker) -> Result<Waker, Waker> {
        ALARM.replace(key, waker)
    }

    fn forget(&self, key: Key<Duration>) -> Option<Waker> {
        ALARM.forget(key)
    }

    #[cfg(feature = "explore")]
    fn waits_for(&self, _: Duration) -> WaitsFor {
        WaitsFor::MachinesClock
    }
}

struct Sleeping<C: Sleepers> {
    clock: C,
    deadline: Duration,
    /// The key among the clock's sleepers; `None` until the first poll before the deadline.
    key: Option<Key<Duration>>,
}

impl<C: Sleepers> Sleeping<C> {
    fn is_over(&self) -> bool {
        self.clock.now() >= self.deadline
    }
}

impl<C: Sleepers> std::future::Future for Sleeping<C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.is_over() {
            return Poll::Ready(());
        }
        #[cfg(feature = "explore")]
        note(|| self.clock.waits_for(self.deadline));
        let waker = context.waker().clone();
        match self.key {
            Some(key) => drop(self.clock.replace(key, waker)),
            None => self.key = Some(self.clock.add(self.deadline, waker)),
        }
        // A tick moves the clock and then looks for sleepers. So the sleeper enters first and then looks at the clock: one of the two
        // sees the other.
        if self.is_over() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<C: Sleepers> Drop for Sleeping<C> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            drop(self.clock.forget(key));
        }
    }
}
