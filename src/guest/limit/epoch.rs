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

use crate::guest::limit::ticker::Ticker;
use crate::step::interrupt::NEVER;
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
    is_enabled: bool,
    state: AtomicU8,
    /// The count of ticks when the store's deadline was last set, or when the guest last looked.
    ticks_seen: AtomicU64,
    /// When the step in progress is to yield, in nanoseconds of [`alarm::now`](crate::wait::alarm::now).
    step_end: AtomicU64,
}

/// What the guest does after it has looked.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    GoOn,
    Yield,
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
        Self {
            is_enabled: engine.get_epoch_interruption(),
            state: OUTSIDE.into(),
            ticks_seen: ticker.ticks().into(),
            step_end: NEVER.into(),
            ticker,
        }
    }

    pub(crate) fn ticker(&self) -> &'static Ticker {
        self.ticker
    }

    /// Whether the guests of the engine look at the epoch at all.
    #[inline]
    pub(crate) fn is_enabled(&self) -> bool {
        self.is_enabled
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

    /// Sets the time at which the step is to yield. [`NEVER`]: the step does not end by the clock.
    pub(crate) fn set_step_end(&self, end: u64) {
        self.step_end.store(end, Relaxed);
    }

    /// The guest looks at the epoch.
    pub(crate) fn look(&self, now: u64) -> Look {
        if !self.is_in_call() {
            return Look::GoOn;
        }
        let ticks = self.ticker.ticks();
        let is_tick = self.ticks_seen.load(Relaxed) != ticks;
        self.ticks_seen.store(ticks, Relaxed);
        let step_end = self.step_end.load(Relaxed);
        let is_over = step_end != NEVER && now >= step_end;
        if is_tick && !is_over {
            self.state.store(LOOKING, Relaxed);
            Look::GoOn
        } else {
            self.state.store(YIELDED, Relaxed);
            Look::Yield
        }
    }

    /// The guest looks at the epoch, and its call ends there.
    pub(crate) fn interrupt(&self) {
        if self.is_in_call() {
            self.state.store(LOOKING, Relaxed);
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
    use super::{EnteredFrom, EpochDeadline, Look};
    use crate::step::interrupt::NEVER;
    use wasmtime::Engine;

    #[test]
    fn ticks_are_told_from_other_advances() {
        let engine = Engine::default();
        let epoch = EpochDeadline::new(&engine);
        epoch.enter_call();
        epoch.ticker().tick();
        assert_eq!(epoch.look(0), Look::GoOn);
        assert_eq!(epoch.look(0), Look::Yield, "there was no tick");
        epoch.ticker().tick();
        epoch.begin_step();
        assert_eq!(epoch.look(0), Look::Yield, "that tick was before the deadline was set");
    }

    #[test]
    fn a_tick_makes_the_guest_yield_whose_step_has_come_to_its_end() {
        let engine = Engine::default();
        let epoch = EpochDeadline::new(&engine);
        epoch.enter_call();
        epoch.set_step_end(10);
        epoch.ticker().tick();
        assert_eq!(epoch.look(9), Look::GoOn);
        epoch.ticker().tick();
        assert_eq!(epoch.look(10), Look::Yield);
        epoch.set_step_end(NEVER);
        epoch.begin_step();
        epoch.ticker().tick();
        assert_eq!(epoch.look(u64::MAX), Look::GoOn);
    }

    #[test]
    fn a_guest_that_has_looked_comes_from_there() {
        let engine = Engine::default();
        let epoch = EpochDeadline::new(&engine);
        epoch.enter_call();
        assert_eq!(epoch.enter_guest(), EnteredFrom::Host);
        assert_eq!(epoch.look(0), Look::Yield);
        epoch.begin_step();
        assert_eq!(epoch.enter_guest(), EnteredFrom::EpochCheck);
        assert_eq!(epoch.enter_guest(), EnteredFrom::Host);
    }

    #[test]
    fn outside_of_a_call_nothing_yields() {
        let engine = Engine::default();
        let epoch = EpochDeadline::new(&engine);
        assert_eq!(epoch.look(0), Look::GoOn);
        assert_eq!(epoch.enter_guest(), EnteredFrom::Host);
        epoch.enter_call();
        assert_eq!(epoch.look(0), Look::Yield);
        epoch.leave_call();
        assert_eq!(epoch.look(0), Look::GoOn);
    }
}
