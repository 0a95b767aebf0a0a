//! [`Ticker`]: makes the running guests of one engine look whether they have to stop: by the epoch, which it advances, and counts how
//! often; or, if a guest has a flag, by that. Every instance of the engine has a reference to it. When it does so is decided in
//! [`schedule`](crate::guest::limit::schedule).

#[cfg(feature = "prepare")]
use crate::error::Error;
#[cfg(feature = "prepare")]
use crate::guest::limit::flags::{StopFlags, address};
use crate::guest::limit::target::{Target, TickerNumber};
use crate::step::stop::raise;
use parking_lot::Mutex;
use std::cell::Cell;
#[cfg(feature = "prepare")]
use std::sync::Arc;
#[cfg(feature = "prepare")]
use std::sync::Weak;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::atomic::{AtomicU64, fence};
use wasmtime::{Engine, EngineWeak};

/// Advances the epoch of one engine, and sets the flags of its guests. It counts its ticks, so that a guest can tell them from an
/// [`increment_epoch`](Engine::increment_epoch) of the user's.
///
/// Tickers are never freed. One whose engine is gone is used again for a new engine, so there are only as many as there were engines
/// with instances at one time.
pub(crate) struct Ticker {
    number: TickerNumber,
    all: All,
    engine: Mutex<EngineWeak>,
    ticks: AtomicU64,
    /// How often all guests of the engine were asked to yield.
    yields: AtomicU64,
    #[cfg(feature = "prepare")]
    flags: Mutex<EngineFlags>,
    /// The words of flags that were ever in use, by their indices.
    #[cfg(feature = "prepare")]
    words: Mutex<Vec<&'static Word>>,
}

/// All guests of an engine, by the number of its ticker.
pub(crate) struct All(pub(crate) TickerNumber);

/// The flags of an engine.
#[cfg(feature = "prepare")]
#[derive(Default)]
struct EngineFlags {
    /// Whether its prepared guests are to look at them, if this library has made the engine.
    are_wanted: Option<bool>,
    /// Alive while the engine has a module whose guests look at them.
    flags: Weak<StopFlags>,
}

/// A word of the flags of an engine, whichever instance has it. It is never freed, as its ticker is not.
#[cfg(feature = "prepare")]
pub(crate) struct Word {
    pub(crate) ticker: &'static Ticker,
    /// Where it is among the flags of the engine. Not zero.
    pub(crate) address: u32,
}

#[cfg(feature = "prepare")]
impl Word {
    pub(crate) fn target(&self) -> Target {
        Target { ticker: self.ticker.number, flag: self.address }
    }
}

static TICKERS: Mutex<Vec<&'static Ticker>> = Mutex::new(Vec::new());

thread_local! {
    /// The ticker that this thread asked for last. While its engine lives, it is used for no other, so the pair stays right.
    static LAST: Cell<Option<(EngineWeak, &'static Ticker)>> = const { Cell::new(None) };
}

impl Ticker {
    /// The ticker of an engine. A thread that makes many instances with one engine takes no lock here.
    pub(crate) fn of(engine: &Engine) -> &'static Self {
        // A thread that is ending has no thread-locals any more, but may still make instances: hence `try_with`.
        let last = LAST.try_with(Cell::take).ok().flatten();
        let (known, ticker) = match last {
            Some((known, ticker)) if is_same(&known, engine) => (known, ticker),
            _ => (engine.weak(), Self::find(engine)),
        };
        let _ = LAST.try_with(|last| last.set(Some((known, ticker))));
        ticker
    }

    fn find(engine: &Engine) -> &'static Self {
        let mut tickers = TICKERS.lock();
        let mut unused = None;
        for &ticker in &*tickers {
            let of = ticker.engine.lock().upgrade();
            match of {
                Some(of) if Engine::same(&of, engine) => return ticker,
                Some(_) => {}
                None => unused = Some(ticker),
            }
        }
        if let Some(ticker) = unused {
            *ticker.engine.lock() = engine.weak();
            #[cfg(feature = "prepare")]
            {
                *ticker.flags.lock() = EngineFlags::default();
            }
            return ticker;
        }
        let number = TickerNumber(tickers.len().try_into().unwrap_or(u32::MAX));
        let ticker: &'static Self = Box::leak(Box::new(Self {
            number,
            all: All(number),
            engine: Mutex::new(engine.weak()),
            ticks: 0.into(),
            yields: 0.into(),
            #[cfg(feature = "prepare")]
            flags: Mutex::default(),
            #[cfg(feature = "prepare")]
            words: Mutex::default(),
        }));
        tickers.push(ticker);
        ticker
    }

    /// The ticker that has this number.
    pub(crate) fn numbered(number: TickerNumber) -> Option<&'static Self> {
        TICKERS.lock().get(number.0 as usize).copied()
    }

    pub(crate) fn number(&self) -> TickerNumber {
        self.number
    }

    /// The engine was made by this library, and its prepared guests are to look at flags or not.
    #[cfg(feature = "prepare")]
    pub(crate) fn want_flags(&self, are_wanted: bool) {
        self.flags.lock().are_wanted = Some(are_wanted);
    }

    /// Whether prepared guests of the engine, which is the ticker's, are to look at flags. An engine of the user's own configuration has no other
    /// way to say so than its shared memories.
    #[cfg(feature = "prepare")]
    pub(crate) fn wants_flags(&self, engine: &Engine) -> bool {
        let are_wanted = self.flags.lock().are_wanted;
        are_wanted.unwrap_or_else(|| engine.get_shared_memory())
    }

    /// The flags of the engine, which is the ticker's.
    ///
    /// # Errors
    ///
    /// As [`StopFlags::new`].
    #[cfg(feature = "prepare")]
    pub(crate) fn flags(&self, engine: &Engine) -> Result<Arc<StopFlags>, Error> {
        let mut known = self.flags.lock();
        if let Some(flags) = known.flags.upgrade() {
            return Ok(flags);
        }
        let flags = StopFlags::new(engine)?;
        known.flags = Arc::downgrade(&flags);
        Ok(flags)
    }

    /// The word of this index.
    #[cfg(feature = "prepare")]
    pub(crate) fn word(&'static self, index: usize) -> &'static Word {
        let mut words = self.words.lock();
        while words.len() <= index {
            let address = address(words.len());
            words.push(Box::leak(Box::new(Word { ticker: self, address })));
        }
        words[index]
    }

    /// Makes guests look whether they have to stop: one by its flag, or all that look at the epoch.
    pub(crate) fn stop(&self, target: Target) {
        match target.flag {
            Target::EPOCH => self.tick(),
            Target::ALL => self.stop_all(),
            #[cfg(feature = "prepare")]
            flag => self.set_flag(flag),
            #[cfg(not(feature = "prepare"))]
            _ => {}
        }
    }

    #[cfg(feature = "prepare")]
    fn set_flag(&self, address: u32) {
        if let Some(flags) = self.flags_in_use() {
            flags.set(address);
        }
    }

    /// The flags of the engine, if it has a prepared module. Not under the lock, because the caller may drop the last reference, and with it the
    /// engine.
    #[cfg(feature = "prepare")]
    fn flags_in_use(&self) -> Option<Arc<StopFlags>> {
        self.flags.lock().flags.upgrade()
    }

    /// Makes all guests of the engine look.
    fn stop_all(&self) {
        #[cfg(feature = "prepare")]
        if let Some(flags) = self.flags_in_use() {
            flags.set_all();
        }
        self.tick();
    }

    /// Asks all running guests of the engine to yield.
    pub(crate) fn request_yields(&self) {
        self.yields.fetch_add(1, Relaxed);
        self.stop_all();
    }

    /// What interrupts any guest of the engine.
    pub(crate) fn all(&'static self) -> &'static All {
        &self.all
    }

    /// How often all guests of the engine were asked to yield.
    #[inline]
    pub(crate) fn yields(&self) -> u64 {
        self.yields.load(Relaxed)
    }

    /// The count of ticks so far. A thread that has seen an epoch reads at least the count of the tick that made it.
    #[inline]
    pub(crate) fn ticks(&self) -> u64 {
        // The guest read the epoch before this, by a plain load. This fence pairs with that of `raise`: if that load saw the
        // epoch of a tick, the load below sees the tick.
        fence(Acquire);
        self.ticks.load(Relaxed)
    }

    /// Advances the epoch: every guest of the engine looks at its deadline, at its next loop or function entry.
    pub(crate) fn tick(&self) {
        let engine = self.engine.lock().upgrade();
        if let Some(engine) = engine {
            // Relaxed, because `raise` orders it before the new epoch, which wasmtime writes relaxed.
            self.ticks.fetch_add(1, Relaxed);
            raise(|| engine.increment_epoch());
        }
    }
}

fn is_same(known: &EngineWeak, engine: &Engine) -> bool {
    known.upgrade().is_some_and(|known| Engine::same(&known, engine))
}

#[cfg(test)]
mod tests {
    use super::Ticker;
    use wasmtime::Engine;

    #[test]
    fn an_engine_has_one_ticker_on_every_thread() {
        let (engine, other) = (Engine::default(), Engine::default());
        let ticker = Ticker::of(&engine);
        for _ in 0..2 {
            assert_eq!(Ticker::of(&engine).number(), ticker.number());
            assert_ne!(Ticker::of(&other).number(), ticker.number());
        }
        let elsewhere = std::thread::scope(|scope| {
            scope.spawn(|| Ticker::of(&engine).number()).join().expect("it does not panic")
        });
        assert_eq!(elsewhere, ticker.number());
        let found = Ticker::numbered(ticker.number()).map(Ticker::number);
        assert_eq!(found, Some(ticker.number()));
    }

    #[test]
    fn tickers_of_engines_that_are_gone_are_used_again() {
        let numbers = (0..100).map(|_| Ticker::of(&Engine::default()).number().0);
        let greatest = numbers.max();
        assert!(greatest < Some(50), "{greatest:?}");
    }

    #[test]
    fn a_tick_is_counted() {
        let engine = Engine::default();
        let ticker = Ticker::of(&engine);
        let before = ticker.ticks();
        ticker.tick();
        ticker.tick();
        assert_eq!(ticker.ticks(), before + 2);
        drop(engine);
        ticker.tick();
    }
}
