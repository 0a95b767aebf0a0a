//! [`Ticker`]: advances the epoch of an engine when a guest of it is to be stopped, and at no other time.

use crate::alarm::{self, Alarm};
use crate::interrupt::{Interrupter, on_cancel};
use crate::pool::Turn;
use crate::waiters::Ticket;
use parking_lot::Mutex;
use std::num::NonZeroU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64, fence};
use std::sync::{Arc, LazyLock, Weak};
use std::task::{Wake, Waker};
use std::time::Duration;
use wasmtime::{Engine, EngineWeak};

/// Advances the epoch of an engine, and counts how often, to tell these from the times that others do.
pub(super) struct Ticker {
    engine: EngineWeak,
    /// Its place among all.
    key: Interrupter,
    ticks: AtomicU64,
}

/// One for each engine that has instances. A place is used again when its ticker is no more.
static TICKERS: Mutex<Vec<Weak<Ticker>>> = Mutex::new(Vec::new());

/// Wakes the steps whose time is over. It has a thread of its own, which no pool and no other waker can hold up.
static TICKS: LazyLock<Alarm> = LazyLock::new(|| Alarm::new("wasm-jobs ticker"));

/// How long a guest may take to see a tick, before there is another one. A store takes its new deadline from the epoch as it is
/// then, and so overlooks a tick that comes between its guest's look at the clock and that.
const FIRST_PAUSE: Duration = Duration::from_micros(100);

/// The pauses get longer up to this: a guest that has not seen some ticks is in a host function that takes its time.
const LONGEST_PAUSE: Duration = Duration::from_millis(10);

impl Ticker {
    pub(super) fn of(engine: &Engine) -> Arc<Self> {
        on_cancel(|call| {
            if let Some(key) = call.interrupted_by() {
                Arc::new(Ticking::until(Cancelled { call, key })).wake();
            }
        });
        let mut tickers = TICKERS.lock();
        let known = tickers.iter().filter_map(Weak::upgrade).find(|ticker| ticker.is_of(engine));
        known.unwrap_or_else(|| {
            let free = tickers.iter().position(|ticker| ticker.strong_count() == 0);
            let place = free.unwrap_or(tickers.len());
            let key = u32::try_from(place + 1).ok().and_then(NonZeroU32::new);
            let Some(key) = key else { unreachable!("there are less engines than that") };
            let ticker = Arc::new(Self { engine: engine.weak(), key, ticks: AtomicU64::new(0) });
            match tickers.get_mut(place) {
                Some(place) => *place = Arc::downgrade(&ticker),
                None => tickers.push(Arc::downgrade(&ticker)),
            }
            ticker
        })
    }

    /// None if it is no more.
    fn at(key: Interrupter) -> Option<Arc<Self>> {
        TICKERS.lock().get(key.get() as usize - 1).and_then(Weak::upgrade)
    }

    pub(super) fn key(&self) -> Interrupter {
        self.key
    }

    fn is_of(&self, engine: &Engine) -> bool {
        self.engine.upgrade().is_some_and(|of| Engine::same(&of, engine))
    }

    /// How many ticks there were. Whoever has seen an epoch has seen its tick.
    #[inline]
    pub(super) fn ticks(&self) -> u64 {
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
pub(super) struct Timed {
    ticking: Arc<Ticking<TimedStep>>,
    ticket: Ticket<Duration>,
}

struct TimedStep {
    ticker: Arc<Ticker>,
    has_ended: AtomicBool,
}

impl Timed {
    pub(super) fn start(ticker: &Arc<Ticker>, ends: Duration) -> Self {
        let step = TimedStep { ticker: ticker.clone(), has_ended: AtomicBool::new(false) };
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
    call: Arc<dyn Turn>,
    key: Interrupter,
}

impl Reason for Cancelled {
    fn is_over(&self) -> bool {
        self.call.has_ended()
    }

    fn tick(&self) {
        if let Some(ticker) = Ticker::at(self.key) {
            ticker.tick();
        }
    }
}
