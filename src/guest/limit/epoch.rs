//! [`EpochDeadline`]: what a guest does when it sees that the epoch has advanced.
//!
//! A store's deadline is always one epoch ahead, so a guest looks whenever the epoch advances, whatever the reason: the end of its
//! step, the end of another guest's step, a cancelled call, or an `increment_epoch` of the user's. The user's makes it yield. The
//! others are ticks, which are counted. They make it yield only if the time of its own step is over.
//!
//! ```text
//!                    enter_call              look: go on
//!    ┌─────────┐    ───────────▶    ┌───────┐ ─────────▶ ┌─────────┐
//!    │ OUTSIDE │                    │ GUEST │            │ LOOKING │◀─┐ look: go on
//!    └─────────┘    ◀───────────    └───────┘ ◀───────── └─────────┘──┘
//!                    leave_call         ▲    enter_guest   │     ▲
//!                 (from any state)      │       look: yield│     │begin_step
//!                                       │                  ▼     │
//!                                       │  look: yield   ┌─────────┐
//!                                       └───────────────▶│ YIELDED │
//!                                                        └─────────┘
//! ```
//!
//! Only the thread that has the guest uses the state. It goes to the next thread together with the guest, whose lease orders the
//! accesses, so `Relaxed` is enough. The fields are atomics because the [`Control`](crate::guest::limit::control::Control) that they
//! are part of is shared with the host.

use crate::guest::limit::look::Look;
use crate::guest::limit::ticker::Ticker;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU64};
use wasmtime::Engine;

/// No call is in progress. If the guest runs, the owner of the store has called it directly. It must not yield then, because wasmtime
/// fails a synchronous call that yields.
const OUTSIDE: u8 = 0;
/// The guest runs, or is in a host function, or is suspended in one.
const GUEST: u8 = 1;
/// The guest has looked at the epoch, and as far as is known has not been entered since. Only stores with a call hook tell when it is
/// entered: those that count fuel or limit nesting.
const LOOKING: u8 = 2;
/// The guest is suspended at an epoch check. wasmtime sets its store's deadline when it goes on.
const YIELDED: u8 = 3;

pub(crate) struct EpochDeadline {
    ticker: &'static Ticker,
    state: AtomicU8,
    /// The count of ticks when the store's deadline was last set, or when the guest last looked.
    ticks_seen: AtomicU64,
}

/// Where the guest comes from when it is entered.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EnteredFrom {
    /// The host called it, or a host function returns.
    Host,
    /// It goes on from an epoch check, where its fuel is in a register.
    EpochCheck,
}

impl EpochDeadline {
    pub(crate) fn new(engine: &Engine) -> Self {
        let ticker = Ticker::of(engine);
        Self { state: OUTSIDE.into(), ticks_seen: ticker.ticks().into(), ticker }
    }

    #[cfg(test)]
    fn ticker(&self) -> &'static Ticker {
        self.ticker
    }

    /// The caller sets the store's deadline now.
    #[inline]
    pub(crate) fn deadline_is_set(&self) {
        self.ticks_seen.store(self.ticker.ticks(), Relaxed);
    }

    /// Whether a call is in progress. If not, a guest that runs was called by the owner of the store.
    pub(crate) fn is_in_call(&self) -> bool {
        self.state.load(Relaxed) != OUTSIDE
    }

    #[inline]
    pub(crate) fn enter_call(&self) {
        self.state.store(GUEST, Relaxed);
    }

    #[inline]
    pub(crate) fn leave_call(&self) {
        self.state.store(OUTSIDE, Relaxed);
    }

    /// A step begins. A guest that goes on from an epoch check gets a new deadline.
    #[inline]
    pub(crate) fn begin_step(&self) {
        if self.state.load(Relaxed) == YIELDED {
            self.state.store(LOOKING, Relaxed);
            self.deadline_is_set();
        }
    }

    /// The guest looks at the epoch. `reasons` is what it would do because of the clock and all else that the library knows of.
    pub(crate) fn look(&self, reasons: Look) -> Look {
        if !self.is_in_call() {
            return reasons;
        }
        let ticks = self.ticker.ticks();
        let is_tick = self.ticks_seen.load(Relaxed) != ticks;
        self.ticks_seen.store(ticks, Relaxed);
        match reasons {
            Look::GoOn if is_tick => {
                self.state.store(LOOKING, Relaxed);
                Look::GoOn
            }
            Look::GoOn | Look::Yield => {
                self.state.store(YIELDED, Relaxed);
                Look::Yield
            }
            Look::Interrupt => {
                self.state.store(LOOKING, Relaxed);
                Look::Interrupt
            }
        }
    }

    /// The guest is entered.
    pub(crate) fn enter_guest(&self) -> EnteredFrom {
        match self.state.load(Relaxed) {
            LOOKING | YIELDED => {
                self.state.store(GUEST, Relaxed);
                EnteredFrom::EpochCheck
            }
            _ => EnteredFrom::Host,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{EnteredFrom, EpochDeadline};
    use crate::guest::limit::look::Look;
    use wasmtime::Engine;

    #[test]
    fn ticks_are_told_from_other_advances() {
        let engine = Engine::default();
        let epoch = EpochDeadline::new(&engine);
        epoch.enter_call();
        epoch.ticker().tick();
        assert_eq!(epoch.look(Look::GoOn), Look::GoOn);
        assert_eq!(epoch.look(Look::GoOn), Look::Yield, "there was no tick");
        epoch.ticker().tick();
        epoch.begin_step();
        assert_eq!(
            epoch.look(Look::GoOn),
            Look::Yield,
            "that tick was before the deadline was set"
        );
    }

    #[test]
    fn a_tick_makes_the_guest_yield_that_has_a_reason_to() {
        let engine = Engine::default();
        let epoch = EpochDeadline::new(&engine);
        epoch.enter_call();
        epoch.ticker().tick();
        assert_eq!(epoch.look(Look::Yield), Look::Yield);
        epoch.begin_step();
        epoch.ticker().tick();
        assert_eq!(epoch.look(Look::GoOn), Look::GoOn);
        epoch.ticker().tick();
        assert_eq!(epoch.look(Look::Interrupt), Look::Interrupt);
    }

    #[test]
    fn a_guest_that_has_looked_comes_from_there() {
        let engine = Engine::default();
        let epoch = EpochDeadline::new(&engine);
        epoch.enter_call();
        assert_eq!(epoch.enter_guest(), EnteredFrom::Host);
        assert_eq!(epoch.look(Look::GoOn), Look::Yield);
        epoch.begin_step();
        assert_eq!(epoch.enter_guest(), EnteredFrom::EpochCheck);
        assert_eq!(epoch.enter_guest(), EnteredFrom::Host);
    }

    #[test]
    fn outside_of_a_call_nothing_yields() {
        let engine = Engine::default();
        let epoch = EpochDeadline::new(&engine);
        assert_eq!(epoch.look(Look::GoOn), Look::GoOn);
        assert_eq!(epoch.enter_guest(), EnteredFrom::Host);
        epoch.enter_call();
        assert_eq!(epoch.look(Look::GoOn), Look::Yield);
        epoch.leave_call();
        assert_eq!(epoch.look(Look::GoOn), Look::GoOn);
    }
}
