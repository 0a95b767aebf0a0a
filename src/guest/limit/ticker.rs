//! [`Ticker`]: advances the epoch of an engine when a guest of it is to be stopped, and at no other time.

use crate::step::interrupt::{Interrupter, Interruptible};
use crate::wait::alarm::{self, Alarm};
use crate::wait::waiters::Key;
use parking_lot::Mutex;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64, fence};
use std::sync::{Arc, LazyLock};
use std::task::{Wake, Waker};
use std::time::Duration;
use wasmtime::{Engine, EngineWeak};

/// Advances the epoch of an engine, and counts how often, to tell these from the times that others do.
pub(crate) struct Ticker {
    engine: EngineWeak,
    ticks: AtomicU64,
}

/// One for each engine that has instances. A place is used again when its ticker is no more.
static TICKERS: Mutex<Vec<&'static Ticker>> = Mutex::new(Vec::new());

/// Wakes the steps whose time is over. It has a thread of its own, which no pool and no other waker can hold up.
static TICKS: LazyLock<Alarm> = LazyLock::new(|| Alarm::new("wasm-jobs ticker"));

/// How long a guest may take to see a tick, before there is another one. A store takes its new deadline from the epoch as it is
/// then, and so overlooks a tick that comes between its guest's look at the clock and that.
const FIRST_PAUSE: Duration = Duration::from_micros(100);

/// The pauses get longer up to this: a guest that has not seen some ticks is in a host function that takes its time.
const LONGEST_PAUSE: Duration = Duration::from_millis(10);

impl Ticker {
    pub(crate) fn of(engine: &Engine) -> &'static Self {
        let mut tickers = TICKERS.lock();
        if let Some(known) = tickers.iter().find(|ticker| ticker.is_of(engine)) {
            return known;
        }
        let ticker: &'static Self =
            Box::leak(Box::new(Self { engine: engine.weak(), ticks: AtomicU64::new(0) }));
        tickers.push(ticker);
        ticker
    }

    fn is_of(&self, engine: &Engine) -> bool {
        self.engine.upgrade().is_some_and(|of| Engine::same(&of, engine))
    }

    /// How many ticks there were. Whoever has seen an epoch has seen its tick.
    #[inline]
    pub(crate) fn ticks(&self) -> u64 {
        // With the fence of `tick`.
        fence(Acquire);
        self.ticks.load(Relaxed)
    }

    fn tick(&self) {
        if let Some(engine) = self.engine.upgrade() {
            self.ticks.fetch_add(1, Relaxed);
            fence(Release);
            engine.increment_epoch();
        }
    }
}

/// What the epoch advances for.
trait Reason: Send + Sync + 'static {
    fn is_over(&self) -> bool;
    fn tick(&self);
}

/// Ticks, when it is woken and again and again, until its reason is over.
struct Ticking<R> {
    reason: R,
    pause: Mutex<Duration>,
}

impl<R: Reason> Ticking<R> {
    fn until(reason: R) -> Self {
        Self { reason, pause: Mutex::new(FIRST_PAUSE) }
    }
}

impl<R: Reason> Wake for Ticking<R> {
    fn wake(self: Arc<Self>) {
        if self.reason.is_over() {
            return;
        }
        self.reason.tick();
        let pause = {
            let mut next = self.pause.lock();
            let pause = *next;
            *next = (pause * 2).min(LONGEST_PAUSE);
            pause
        };
        TICKS.add(alarm::now() + pause, Waker::from(self));
    }
}

/// A step that is to be over at some time. From then on the epoch advances until this is dropped.
pub(crate) struct Timed {
    ticking: Arc<Ticking<TimedStep>>,
    ticket: Key<Duration>,
}

struct TimedStep {
    ticker: &'static Ticker,
    has_ended: AtomicBool,
}

impl Timed {
    pub(crate) fn start(ticker: &'static Ticker, ends: Duration) -> Self {
        let step = TimedStep { ticker, has_ended: AtomicBool::new(false) };
        let ticking = Arc::new(Ticking::until(step));
        let ticket = TICKS.add(ends, Waker::from(ticking.clone()));
        Self { ticking, ticket }
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        self.ticking.reason.has_ended.store(true, Relaxed);
        drop(TICKS.forget(self.ticket));
    }
}

impl Reason for TimedStep {
    fn is_over(&self) -> bool {
        self.has_ended.load(Relaxed)
    }

    fn tick(&self) {
        self.ticker.tick();
    }
}

/// A call that was cancelled during a step.
struct Cancelled {
    call: Arc<dyn Interruptible>,
    ticker: &'static Ticker,
}

impl Interrupter for Ticker {
    fn interrupt(&'static self, call: Arc<dyn Interruptible>) {
        Arc::new(Ticking::until(Cancelled { call, ticker: self })).wake();
    }
}

impl Reason for Cancelled {
    fn is_over(&self) -> bool {
        self.call.has_ended()
    }

    fn tick(&self) {
        self.ticker.tick();
    }
}
