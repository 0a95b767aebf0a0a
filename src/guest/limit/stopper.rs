//! [`Stopper`]: how the guest of an instance is stopped, and for what it yields when it has looked.

#[cfg(feature = "prepare")]
use crate::error::Error;
#[cfg(feature = "prepare")]
use crate::guest::limit::flag::Flag;
#[cfg(feature = "prepare")]
use crate::guest::limit::flags::{Checked, StopFlags};
use crate::guest::limit::schedule::StepWithEnd;
use crate::guest::limit::stops::Stops;
use crate::guest::limit::target::Target;
use crate::guest::limit::ticker::Ticker;
use crate::step::interrupt::{Interrupter, NEVER};
use crate::step::stop::YieldRequests;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU64};
#[cfg(feature = "prepare")]
use std::sync::{Arc, OnceLock, Weak};
use wasmtime::Engine;

/// Any thread may ask what stops the guest, and request a yield. The thread that has the guest does the rest, and hands it on together with
/// the guest. So all accesses are `Relaxed`.
pub(crate) struct Stopper {
    /// A [`Stops`], as a byte. After a reset, it may be another one.
    stops: AtomicU8,
    ticker: &'static Ticker,
    /// Taken for the first guest that looks at one, and kept for those after it.
    #[cfg(feature = "prepare")]
    flag: OnceLock<Flag>,
    /// When the step in progress is to yield, in nanoseconds of [`alarm::now`](crate::wait::alarm::now); [`NEVER`] if the clock does not
    /// end it.
    step_end: AtomicU64,
    requests: YieldRequests,
}

impl Stopper {
    pub(crate) fn new(engine: &Engine) -> Self {
        Self {
            stops: Stops::without_flag(engine).to_byte().into(),
            ticker: Ticker::of(engine),
            #[cfg(feature = "prepare")]
            flag: OnceLock::new(),
            step_end: NEVER.into(),
            requests: YieldRequests::new(),
        }
    }

    /// What stops the guest.
    #[inline]
    pub(crate) fn stops(&self) -> Stops {
        Stops::from_byte(self.stops.load(Relaxed))
    }

    /// There is another guest.
    pub(crate) fn set_stops(&self, stops: Stops) {
        self.stops.store(stops.to_byte(), Relaxed);
    }

    /// The address of the instance's flag, which is taken if no guest before this one has looked at it.
    ///
    /// # Errors
    ///
    /// As [`StopFlags::take`].
    #[cfg(feature = "prepare")]
    pub(crate) fn flag(
        &self,
        flags: &Arc<StopFlags>,
        holder: impl FnOnce() -> Weak<dyn Checked>,
    ) -> Result<u32, Error> {
        let flag = match self.flag.get() {
            Some(flag) => flag,
            None => {
                let flag = Flag::take(self.ticker, flags.clone(), holder())?;
                self.flag.get_or_init(|| flag)
            }
        };
        Ok(flag.word().address)
    }

    /// What interrupts a step of the guest if its call is cancelled. While a call has the guest, it is always the same.
    pub(crate) fn interrupter(&self) -> &'static dyn Interrupter {
        #[cfg(feature = "prepare")]
        if self.stops() == Stops::AtFlags
            && let Some(flag) = self.flag.get()
        {
            return flag.word();
        }
        self.ticker
    }

    /// What interrupts a step of any guest that the instance will have.
    pub(crate) fn interrupter_of_any_guest(&self) -> &'static dyn Interrupter {
        self.ticker.all()
    }

    /// What stops the guest at the end of a step. `None` if nothing does.
    fn target(&self) -> Option<Target> {
        match self.stops() {
            Stops::Never => None,
            Stops::AtEpochs => Some(Target::epoch(self.ticker.number())),
            #[cfg(feature = "prepare")]
            Stops::AtFlags => self.flag.get().map(|flag| flag.word().target()),
            #[cfg(not(feature = "prepare"))]
            Stops::AtFlags => None,
        }
    }

    /// Asks the guest to yield, if it runs.
    pub(crate) fn request_yield(&self) {
        self.requests.request();
        if let Some(target) = self.target() {
            self.ticker.stop(target);
        }
    }

    /// The guest is about to run.
    #[inline]
    pub(crate) fn enter_guest(&self) {
        self.requests.forget(self.ticker.yields());
    }

    /// A step begins, which is to yield at `yields_at`, and is to be stopped at `end`, which is no later. Both are [`NEVER`] if the clock ends
    /// nothing.
    #[inline]
    pub(crate) fn begin_step(&self, yields_at: u64, end: u64) -> Option<StepWithEnd> {
        self.step_end.store(yields_at, Relaxed);
        if end == NEVER {
            return None;
        }
        self.target().map(|target| StepWithEnd::begin(target, end))
    }

    #[inline]
    pub(crate) fn end_step(&self) {
        self.step_end.store(NEVER, Relaxed);
    }

    /// Whether the guest, which has looked, is to yield. That takes all requests, because one yield is enough for them.
    pub(crate) fn is_to_yield(&self, now: u64) -> bool {
        let step_end = self.step_end.load(Relaxed);
        let is_over = step_end != NEVER && now >= step_end;
        self.requests.take(self.ticker.yields()) || is_over
    }
}
