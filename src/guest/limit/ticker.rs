//! [`Ticker`]: advances the epoch of one engine, and counts how often. Every instance of the engine has a reference to it. When
//! it ticks is decided in [`schedule`](crate::guest::limit::schedule).

use parking_lot::Mutex;
use std::cell::Cell;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, fence};
use wasmtime::{Engine, EngineWeak};

/// Advances the epoch of one engine. It counts its ticks, so that a guest can tell them from an
/// [`increment_epoch`](Engine::increment_epoch) of the user's.
///
/// Tickers are never freed. One whose engine is gone is used again for a new engine, so there are only as many as there were engines
/// with instances at one time.
pub(crate) struct Ticker {
    number: TickerNumber,
    engine: Mutex<EngineWeak>,
    ticks: AtomicU64,
}

/// The index of a ticker among all tickers, which fits into an atomic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TickerNumber(pub(crate) u32);

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
            return ticker;
        }
        let number = TickerNumber(tickers.len().try_into().unwrap_or(u32::MAX));
        let (engine, ticks) = (Mutex::new(engine.weak()), AtomicU64::new(0));
        let ticker: &'static Self = Box::leak(Box::new(Self { number, engine, ticks }));
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

    /// The count of ticks so far. A thread that has seen an epoch reads at least the count of the tick that made it.
    #[inline]
    pub(crate) fn ticks(&self) -> u64 {
        // The guest read the epoch before this, by a plain load. This fence pairs with the one in `tick`: if that load saw the
        // epoch of a tick, the load below sees the tick.
        fence(Acquire);
        self.ticks.load(Relaxed)
    }

    /// Advances the epoch: every guest of the engine looks at its deadline, at its next loop or function entry.
    pub(crate) fn tick(&self) {
        let engine = self.engine.lock().upgrade();
        if let Some(engine) = engine {
            // Relaxed, because the fence orders it before the new epoch, which wasmtime writes relaxed.
            self.ticks.fetch_add(1, Relaxed);
            fence(Release);
            engine.increment_epoch();
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
