//! [`Ticker`]: advances the epoch of an engine when a guest of it is to be stopped, and at no other time.

use crate::alarm::{self, Alarm};
use crate::interrupt::on_cancel;
use crate::pool::Turn;
use crate::waiters::Ticket;
use parking_lot::Mutex;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64, fence};
use std::sync::{Arc, LazyLock, Weak};
use std::task::{Wake, Waker};
use std::time::Duration;
use wasmtime::{Engine, EngineWeak};

/// Advances the epoch of an engine, and counts how often, to tell these from the times that others do.
pub(super) struct Ticker {
    engine: EngineWeak,
    ticks: AtomicU64,
}

/// One for each engine that has instances.
static TICKERS: Mutex<Vec<Weak<Ticker>>> = Mutex::new(Vec::new());

/// Wakes the steps whose time is over. It has a thread of its own, which no pool and no other waker can hold up.
static TICKS: LazyLock<Alarm> = LazyLock::new(|| Alarm::new("wasm-jobs ticker"));

/// How long a guest may take to see a tick, before there is another one. A store takes its new deadline from the epoch as it is
/// then, and so overlooks a tick that comes between its guest's look at the clock and that.
const AGAIN: Duration = Duration::from_micros(100);

/// The same for a guest that has not seen the ticks so far: it may be in a host function that takes its time.
const AT_LEAST: Duration = Duration::from_millis(10);

impl Ticker {
    pub(super) fn of(engine: &Engine) -> Arc<Self> {
        on_cancel(|call| Arc::new(Cancelled { call, pause: Mutex::new(AGAIN) }).wake());
        let mut tickers = TICKERS.lock();
        let mut found = None;
        tickers.retain(|ticker| {
            let Some(ticker) = ticker.upgrade() else { return false };
            if ticker.engine.upgrade().is_some_and(|of| Engine::same(&of, engine)) {
                found = Some(ticker);
            }
            true
        });
        found.unwrap_or_else(|| {
            let ticker = Arc::new(Self { engine: engine.weak(), ticks: AtomicU64::new(0) });
            tickers.push(Arc::downgrade(&ticker));
            ticker
        })
    }

    /// How many ticks there were. Whoever has seen an epoch has seen its tick.
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

/// A step that is to be over at some time. From then on the epoch advances until this is dropped.
pub(super) struct Timed {
    step: Arc<TimedStep>,
    ticket: Ticket<Duration>,
}

struct TimedStep {
    ticker: Arc<Ticker>,
    has_ended: AtomicBool,
}

impl Timed {
    pub(super) fn start(ticker: &Arc<Ticker>, ends: Duration) -> Self {
        let (ticker, has_ended) = (ticker.clone(), AtomicBool::new(false));
        let step = Arc::new(TimedStep { ticker, has_ended });
        let ticket = TICKS.add(ends, Waker::from(step.clone()));
        Self { step, ticket }
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        self.step.has_ended.store(true, Relaxed);
        drop(TICKS.forget(self.ticket));
    }
}

impl Wake for TimedStep {
    fn wake(self: Arc<Self>) {
        if !self.has_ended.load(Relaxed) {
            self.ticker.tick();
            TICKS.add(alarm::now() + AGAIN, Waker::from(self));
        }
    }
}

/// A call that was cancelled during a step. All epochs advance until it has ended: which engine its guest has, only its
/// step knows.
struct Cancelled {
    call: Arc<dyn Turn>,
    pause: Mutex<Duration>,
}

impl Wake for Cancelled {
    fn wake(self: Arc<Self>) {
        if self.call.has_ended() {
            return;
        }
        let tickers: Vec<_> = TICKERS.lock().iter().filter_map(Weak::upgrade).collect();
        tickers.iter().for_each(|ticker| ticker.tick());
        let pause = {
            let mut next = self.pause.lock();
            let pause = *next;
            *next = (pause * 2).min(AT_LEAST);
            pause
        };
        TICKS.add(alarm::now() + pause, Waker::from(self));
    }
}
