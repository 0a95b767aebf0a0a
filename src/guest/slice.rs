//! [`Slice`]: how much a guest may do in one step. Here is also what stops it there: its [`Control`], by which its store
//! goes, and the [`Ticker`] that advances the engine's epoch when a slice of time is over.

use crate::alarm::{self, Alarm};
use crate::waiters::Ticket;
use parking_lot::Mutex;
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64, fence};
use std::sync::{Arc, LazyLock, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use wasmtime::{CallHook, Engine, EngineWeak, Store, StoreContextMut, UpdateDeadline};

/// How much a guest may do in one step. At the end of its slice, a call has [yielded](crate::Step::Yielded).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Slice {
    /// As much as it does until it yields, waits or ends by itself.
    #[default]
    Unbounded,
    /// As much as it does in this time, which begins with the step. What it spends in host functions counts; what it spends
    /// waiting does not, for then there is no step.
    ///
    /// It is stopped by the engine's epoch, at its next loop or function entry: a host function that blocks is not. No time
    /// at all is taken for a nanosecond.
    Time(Duration),
    /// As much as it does with this fuel, in wasmtime's units: about one an instruction. No fuel at all is taken for one.
    ///
    /// The same guest stops at the same places on every machine and in every run: where the instructions that lie between
    /// two loops or calls have used up the rest. What its host functions do is not counted.
    Fuel(u64),
}

impl Slice {
    /// Slices are kept in a word, to be set while another thread runs the guest.
    const FUEL: u64 = 1 << 63;
    const MOST: u64 = Self::FUEL - 2;

    fn to_word(self) -> u64 {
        let at_most = |amount: u64| amount.clamp(1, Self::MOST);
        match self {
            Self::Unbounded => UNBOUNDED,
            Self::Time(time) => at_most(nanoseconds(time)),
            Self::Fuel(fuel) => at_most(fuel) | Self::FUEL,
        }
    }

    fn from_word(word: u64) -> Self {
        if word == UNBOUNDED {
            Self::Unbounded
        } else if word & Self::FUEL != 0 {
            Self::Fuel(word & !Self::FUEL)
        } else {
            Self::Time(Duration::from_nanos(word))
        }
    }
}

const UNBOUNDED: u64 = u64::MAX;

/// What stops the guest of one instance. It is set from any thread, and asked by the guest's store.
pub(super) struct Control {
    ticker: Arc<Ticker>,
    /// As a word.
    slice: AtomicU64,
    /// When the step in progress is to end, in nanoseconds of [`alarm::now`].
    step_ends: AtomicU64,
    /// How many ticks of the ticker this guest has seen.
    ticks: AtomicU64,
    /// How many steps there were. Only who is in a step writes it.
    steps: AtomicU64,
    /// Whether the guest is looking at the epoch.
    is_at_epoch: AtomicBool,
}

const NEVER: u64 = u64::MAX;

impl Control {
    pub(super) fn new(engine: &Engine) -> Arc<Self> {
        let ticker = Ticker::of(engine);
        let ticks = ticker.ticks.load(Relaxed).into();
        Arc::new(Self {
            ticker,
            slice: UNBOUNDED.into(),
            step_ends: NEVER.into(),
            ticks,
            steps: AtomicU64::new(0),
            is_at_epoch: AtomicBool::new(false),
        })
    }

    pub(super) fn slice(&self) -> Slice {
        Slice::from_word(self.slice.load(Relaxed))
    }

    pub(super) fn set_slice(&self, slice: Slice) {
        self.slice.store(slice.to_word(), Relaxed);
    }

    /// Has a store go by this: what its guest does when the epoch has advanced, and how much fuel it has in each step.
    pub(super) fn attach<S: 'static>(self: &Arc<Self>, store: &mut Store<S>) {
        let engine = store.engine().clone();
        if engine.get_epoch_interruption() {
            let control = self.clone();
            store.epoch_deadline_callback(move |_| Ok(control.epoch_has_advanced()));
            store.set_epoch_deadline(1);
        }
        if engine.get_consume_fuel() {
            let control = self.clone();
            let mut step = 0;
            store.call_hook(move |store, hook| match hook {
                CallHook::CallingWasm | CallHook::ReturningFromHost => {
                    control.refuel(store, &mut step)
                }
                CallHook::CallingHost | CallHook::ReturningFromWasm => Ok(()),
            });
        }
    }

    /// The guest runs on, in the step that it was in, or in a new one, with a new slice.
    ///
    /// Only then can its fuel be set: compiled code keeps the count to itself, except while it calls a function of the host
    /// or has run out, which is where a step ends otherwise than at the epoch.
    fn refuel<S>(&self, mut store: StoreContextMut<'_, S>, step: &mut u64) -> wasmtime::Result<()> {
        let is_at_epoch = self.is_at_epoch.swap(false, Relaxed);
        let steps = self.steps.load(Relaxed);
        if std::mem::replace(step, steps) == steps || is_at_epoch {
            return Ok(());
        }
        store.fuel_async_yield_interval(match self.slice() {
            Slice::Fuel(fuel) => Some(fuel),
            Slice::Unbounded | Slice::Time(_) => None,
        })
    }

    /// What the guest does when it sees that the epoch has advanced.
    pub(super) fn epoch_has_advanced(&self) -> UpdateDeadline {
        self.is_at_epoch.store(true, Relaxed);
        // With the fence of the ticker: whoever has seen an epoch has seen its tick.
        fence(Acquire);
        let ticks = self.ticker.ticks.load(Relaxed);
        let is_tick = self.ticks.swap(ticks, Relaxed) != ticks;
        let step_ends = self.step_ends.load(Relaxed);
        let is_over = step_ends != NEVER && nanoseconds(alarm::now()) >= step_ends;
        if is_tick && !is_over {
            // The end of somebody else's slice.
            UpdateDeadline::Continue(1)
        } else {
            UpdateDeadline::Yield(1)
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(NEVER - 1)
}

pin_project! {
    /// A guest's call, each poll of which is a slice.
    pub(super) struct Sliced<'a, F> {
        #[pin]
        pub(super) call: F,
        pub(super) control: &'a Control,
    }
}

impl<F: std::future::Future> std::future::Future for Sliced<'_, F> {
    type Output = F::Output;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let steps = this.control.steps.load(Relaxed);
        this.control.steps.store(steps.wrapping_add(1), Relaxed);
        if this.control.slice.load(Relaxed) == UNBOUNDED {
            return this.call.poll(context);
        }
        poll_sliced(this.call, this.control, context)
    }
}

/// Apart, for the sake of the calls that have no slice.
#[inline(never)]
fn poll_sliced<F: std::future::Future>(
    call: Pin<&mut F>,
    control: &Control,
    context: &mut Context<'_>,
) -> Poll<F::Output> {
    let _timed = match control.slice() {
        Slice::Time(time) => Some(Timed::start(control, time)),
        Slice::Unbounded | Slice::Fuel(_) => None,
    };
    call.poll(context)
}

/// While a step with a slice of time is in progress.
struct Timed<'a> {
    control: &'a Control,
    step: Arc<TimedStep>,
    ticket: Ticket<Duration>,
}

/// What the alarm wakes at the end of a slice.
struct TimedStep {
    ticker: Arc<Ticker>,
    has_ended: AtomicBool,
}

impl<'a> Timed<'a> {
    fn start(control: &'a Control, slice: Duration) -> Self {
        let ends = alarm::now().saturating_add(slice);
        control.step_ends.store(nanoseconds(ends), Relaxed);
        let (ticker, has_ended) = (control.ticker.clone(), AtomicBool::new(false));
        let step = Arc::new(TimedStep { ticker, has_ended });
        let ticket = TICKS.add(ends, Waker::from(step.clone()));
        Self { control, step, ticket }
    }
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        self.step.has_ended.store(true, Relaxed);
        drop(TICKS.forget(self.ticket));
        self.control.step_ends.store(NEVER, Relaxed);
    }
}

impl Wake for TimedStep {
    /// A store takes its new deadline from the epoch as it is then, and so overlooks a tick that comes between a guest's look
    /// at the clock and that. Hence it ticks until the step has ended.
    fn wake(self: Arc<Self>) {
        if !self.has_ended.load(Relaxed) {
            self.ticker.tick();
            TICKS.add(alarm::now() + AGAIN, Waker::from(self));
        }
    }
}

/// How long a guest may take to see a tick, before there is another one.
const AGAIN: Duration = Duration::from_micros(100);

/// Wakes the steps whose slice is over. It has a thread of its own, which no pool and no other waker can hold up.
static TICKS: LazyLock<Alarm> = LazyLock::new(|| Alarm::new("wasm-jobs ticker"));

/// Advances the epoch of an engine, and counts how often, to tell these from the times that others do.
struct Ticker {
    engine: EngineWeak,
    ticks: AtomicU64,
}

/// One for each engine that has instances.
static TICKERS: Mutex<Vec<Weak<Ticker>>> = Mutex::new(Vec::new());

impl Ticker {
    fn of(engine: &Engine) -> Arc<Self> {
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

    fn tick(&self) {
        if let Some(engine) = self.engine.upgrade() {
            self.ticks.fetch_add(1, Relaxed);
            fence(Release);
            engine.increment_epoch();
        }
    }
}
