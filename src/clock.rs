//! [`Clock`]: what time it is, and waiting until some time. [`RealtimeClock`] goes by itself, [`ManualClock`] by its
//! owner's ticks.

use crate::sync::Mutex;
use crate::task::quietly;
use crate::waiters::{Ticket, Waiters};
use crossbeam::sync::{Parker, Unparker};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

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
        wake_sleepers(&self.shared.sleepers, now);
    }

    /// When the next one of those who wait is to be woken; none if nobody waits.
    ///
    /// A simulation that has nothing to do until then may tick there at once.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        Some(self.shared.sleepers.lock().first()?.0)
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
/// until the next deadline. That thread calls the pools' [`spawn`](crate::JobPool::spawn): one that blocks there, or that
/// runs its job there, lets all who sleep by this clock wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealtimeClock;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock for RealtimeClock {
    fn now(&self) -> Duration {
        START.elapsed()
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

/// Who sleeps by the [`RealtimeClock`], and the thread that wakes them.
struct Alarm {
    sleepers: Mutex<Waiters<Duration>>,
    /// There once somebody has slept.
    thread: Mutex<Option<Unparker>>,
}

static ALARM: LazyLock<Alarm> =
    LazyLock::new(|| Alarm { sleepers: Mutex::default(), thread: Mutex::default() });

impl Alarm {
    /// The thread looks again when to wake whom.
    fn set(&self) {
        let mut thread = self.thread.lock();
        if let Some(thread) = &*thread {
            thread.unpark();
            return;
        }
        let parker = Parker::new();
        let unparker = parker.unparker().clone();
        let builder = thread::Builder::new().name("wasm-jobs alarm".into());
        match builder.spawn(move || ALARM.ring(&parker)) {
            Ok(_) => *thread = Some(unparker),
            Err(error) => panic!("no thread can be started for the alarm: {error}"),
        }
    }

    fn ring(&self, parker: &Parker) {
        loop {
            wake_sleepers(&self.sleepers, RealtimeClock.now());
            let next = self.sleepers.lock().first();
            // A sleeper that comes before that, and has come since, has left a token in the parker.
            match next.and_then(|(deadline, _)| START.checked_add(deadline)) {
                Some(deadline) => parker.park_deadline(deadline),
                None => parker.park(),
            }
        }
    }
}

fn wake_sleepers(sleepers: &Mutex<Waiters<Duration>>, now: Duration) {
    let released = sleepers.lock().release(now);
    for waker in released {
        quietly(|| waker.wake());
    }
}

/// A clock with sleepers of its own.
trait Sleepers: Clock + Unpin {
    fn queue(&self) -> &Mutex<Waiters<Duration>>;

    /// Somebody sleeps who is to be woken before all others.
    fn set_alarm(&self) {}
}

impl Sleepers for ManualClock {
    fn queue(&self) -> &Mutex<Waiters<Duration>> {
        &self.shared.sleepers
    }
}

impl Sleepers for RealtimeClock {
    fn queue(&self) -> &Mutex<Waiters<Duration>> {
        &ALARM.sleepers
    }

    fn set_alarm(&self) {
        ALARM.set();
    }
}

struct Sleeping<C: Sleepers> {
    clock: C,
    deadline: Duration,
    /// There once it was polled too early.
    ticket: Option<Ticket<Duration>>,
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
        let mut sleepers = self.clock.queue().lock();
        if let Some(ticket) = self.ticket {
            let replaced = sleepers.replace(ticket, waker);
            drop(sleepers);
            drop(replaced);
        } else {
            let ticket = sleepers.add(self.deadline, waker);
            let is_first = sleepers.first() == Some(ticket);
            drop(sleepers);
            self.ticket = Some(ticket);
            if is_first {
                self.clock.set_alarm();
            }
        }
        // A clock moves before it looks who sleeps; so a sleeper lies down before it looks at the clock.
        if self.is_over() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<C: Sleepers> Drop for Sleeping<C> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let forgotten = self.clock.queue().lock().forget(ticket);
            drop(forgotten);
        }
    }
}
