//! [`Clock`]: what time it is, and waiting until some time. [`RealtimeClock`] goes by itself, [`ManualClock`] by its
//! owner's ticks.

use crate::sync::Mutex;
use crate::wait::alarm::{self, Alarm};
use crate::wait::waiters::{Key, Waiters, wake_all};
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
    /// The time since some moment of the clock's choice. It never goes back.
    fn now(&self) -> Duration;

    /// The time of day, which may be set and so go anywhere.
    fn wall_time(&self) -> SystemTime;

    /// Waits until [`now`](Self::now) is this or more, counting from when it is first polled; not at all if it is already.
    fn sleep_until(&self, deadline: Duration) -> Sleep;

    /// Waits for that long, from now on.
    fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(self.now().saturating_add(duration))
    }

    /// The shortest time by which it moves, which guests can ask for: a nanosecond, unless the clock knows better.
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }
}

/// What a [`Clock`] gives to be awaited.
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

/// A clock that moves only when it is told to: for tests, for replays, for a game that pauses.
///
/// A clone is the same clock.
#[derive(Clone)]
pub struct ManualClock {
    shared: Arc<Manual>,
}

struct Manual {
    start: SystemTime,
    now: Mutex<Duration>,
    sleepers: Mutex<Waiters<Duration>>,
}

impl ManualClock {
    /// A clock whose [`now`](Clock::now) is zero, and whose time of day is the beginning of 1970, UTC.
    #[must_use]
    pub fn new() -> Self {
        Self::starting_at(SystemTime::UNIX_EPOCH)
    }

    /// A clock whose [`now`](Clock::now) is zero, and whose time of day is this.
    #[must_use]
    pub fn starting_at(start: SystemTime) -> Self {
        let (now, sleepers) = (Mutex::default(), Mutex::default());
        Self { shared: Arc::new(Manual { start, now, sleepers }) }
    }

    /// Moves the clock, and wakes those whose time has come: in the order of their deadlines, and those of one deadline in
    /// the order in which they began to wait.
    ///
    /// That is the order within one tick; ticks of several threads at once may wake theirs in turns.
    ///
    /// It wakes them at the time that it moves to. Who goes back to sleep for less than `by` sleeps until the next tick.
    pub fn tick(&self, by: Duration) {
        let now = {
            let mut now = self.shared.now.lock();
            *now = now.saturating_add(by);
            *now
        };
        let released = self.shared.sleepers.lock().release(now);
        wake_all(released);
    }

    /// When the next one of those who wait is to be woken; none if nobody waits.
    ///
    /// A simulation that has nothing to do until then may tick there at once.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.shared.sleepers.lock().first().map(|(deadline, _)| deadline)
    }

    /// How many wait for this clock.
    ///
    /// When all calls that have not ended do, nothing happens before the next tick. Who ticks then, and only then, gets the
    /// same run whatever threads the calls are on.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        self.shared.sleepers.lock().len()
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
        self.shared.start.checked_add(self.now()).unwrap_or(self.shared.start)
    }

    fn sleep_until(&self, deadline: Duration) -> Sleep {
        Box::pin(Sleeping { clock: self.clone(), deadline, ticket: None })
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock").field("now", &self.now()).finish()
    }
}

/// The clock of the machine.
///
/// [`now`](Clock::now) counts from the first use of such a clock in the process; [`wall_time`](Clock::wall_time) is the
/// system's. Whoever sleeps is woken by one thread of the process, which starts with the first sleep, and sleeps itself
/// until the next deadline. That thread calls the pools' [`enqueue`](crate::JobPool::enqueue): one that blocks there, or that
/// runs its job there, lets all who sleep by this clock wait.
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
    /// When it is polled, if no thread can be started for the waking. In a call, that is the call's failure.
    fn sleep_until(&self, deadline: Duration) -> Sleep {
        Box::pin(Sleeping { clock: *self, deadline, ticket: None })
    }
}

static ALARM: LazyLock<Alarm> = LazyLock::new(|| Alarm::new("wasm-jobs alarm"));

/// A clock with sleepers of its own.
trait Sleepers: Clock + Unpin {
    fn add(&self, deadline: Duration, waker: Waker) -> Key<Duration>;
    fn replace(&self, ticket: Key<Duration>, waker: Waker) -> Result<Waker, Waker>;
    fn forget(&self, ticket: Key<Duration>) -> Option<Waker>;
}

impl Sleepers for ManualClock {
    fn add(&self, deadline: Duration, waker: Waker) -> Key<Duration> {
        self.shared.sleepers.lock().add(deadline, waker)
    }

    fn replace(&self, ticket: Key<Duration>, waker: Waker) -> Result<Waker, Waker> {
        self.shared.sleepers.lock().replace(ticket, waker)
    }

    fn forget(&self, ticket: Key<Duration>) -> Option<Waker> {
        self.shared.sleepers.lock().remove(ticket)
    }
}

impl Sleepers for RealtimeClock {
    fn add(&self, deadline: Duration, waker: Waker) -> Key<Duration> {
        ALARM.add(deadline, waker)
    }

    fn replace(&self, ticket: Key<Duration>, waker: Waker) -> Result<Waker, Waker> {
        ALARM.replace(ticket, waker)
    }

    fn forget(&self, ticket: Key<Duration>) -> Option<Waker> {
        ALARM.forget(ticket)
    }
}

struct Sleeping<C: Sleepers> {
    clock: C,
    deadline: Duration,
    /// There once it was polled too early.
    ticket: Option<Key<Duration>>,
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
        let waker = context.waker().clone();
        match self.ticket {
            Some(ticket) => drop(self.clock.replace(ticket, waker)),
            None => self.ticket = Some(self.clock.add(self.deadline, waker)),
        }
        // A clock moves before it looks who sleeps; so a sleeper lies down before it looks at the clock.
        if self.is_over() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<C: Sleepers> Drop for Sleeping<C> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            drop(self.clock.forget(ticket));
        }
    }
}
