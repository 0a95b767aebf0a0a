//! The state of a [`Task`](crate::call::task::Task): one atomic word, and its named transitions.
//!
//! ```text
//!   63                                                      5    4     3        2       1      0
//!  ┌─────────────────────────────────────────────────────────┬──────┬─────────┬──────┬───────┬────┐
//!  │                   wakes, counted                        │ DONE │CANCELLED│PARKED│RUNNING│LENT│
//!  └─────────────────────────────────────────────────────────┴──────┴─────────┴──────┴───────┴────┘
//!
//!                   ┌───────────────────── give_back ──────────────────────┐
//!                   ▼                                                      │
//!    owner's   ┌─────────┐   lend    ┌────────┐  try_start   ┌─────────┐   │
//!    thread    │ (owned) │──────────▶│  LENT  │─────────────▶│  LENT   │   │
//!              └─────────┘           │        │◀─────────────│ RUNNING │   │
//!                │     ▲             └────────┘     stop     └─────────┘   │
//!           park │     │ wake          ▲    └──────────────────│───│───────┘
//!                ▼     │               │ wake: enqueue    park │   │ finish
//!              ┌─────────┐           ┌────────┐                │   ▼
//!              │ PARKED  │           │  LENT  │◀───────────────┘ ┌──────┐
//!              │         │           │ PARKED │                  │ DONE │
//!              └─────────┘           └────────┘                  └──────┘
//! ```
//!
//! `CANCELLED` may come at any time while the call is lent. Whoever is then in charge, by the rule of `RUNNING` below, drops
//! the work, and the call is `DONE`.
//!
//! **A wake is a count, not a flag.** Each wake adds one. A step notes the count that it starts from ([`WakeCount`]); if the
//! count is another one afterwards, a wake has come meanwhile and there must be another step. So a step needs no
//! read-modify-write of its own, and no wake can be overwritten: a wake that the note covers happened before the step
//! (the wake releases, the note acquires), and one that it does not cover makes the counts differ for good. The count
//! would have to wrap around its 59 bits within one step to hide a wake.
//!
//! **`PARKED` is the promise to be told.** It is set only when the count is still the one noted, by whoever is about to
//! stop watching: a worker that drops a waiting job, or an owner that is about to sleep. Of all the wakes that find it
//! set, the one that clears it delivers, so there is one delivery for each time that it was set.
//!
//! **`RUNNING` decides who ends a cancelled call.** Cancelling and starting are both read-modify-writes of this word, so
//! one is first. If a start is, the runner finds `CANCELLED` at its next stop and ends the call; if the cancelling is,
//! the canceller ends it and the start is refused. It means nothing once `CANCELLED` or `DONE` is set outside a turn, and is
//! never set for a call that its owner resumes: the owner's `&mut` is all the exclusion that needs.

use crate::sync::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// The right to resume is with a runner or a job. Set by `lend`, cleared by `give_back`; stays set once done.
const LENT: u64 = 1;
/// A runner or a job is inside a turn. Only ever set together with `LENT`.
const RUNNING: u64 = 1 << 1;
/// Stopped, and the next wake must lead somewhere. Never set together with `RUNNING`.
const PARKED: u64 = 1 << 2;
/// A lent call was given up, by its owner or through the handle of its job. Set once, never cleared.
const CANCELLED: u64 = 1 << 3;
/// The result of a lent call is in its task. Set once, never cleared.
const DONE: u64 = 1 << 4;
/// One wake; all bits from here up are the count.
const WAKE: u64 = 1 << 5;

const FLAGS: u64 = WAKE - 1;

/// The wakes that a call has seen: the count at the start of its last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WakeCount(u64);

impl WakeCount {
    /// Before the first step: a new task counts one wake, so that it can go on at once.
    pub(crate) const NOTHING: Self = Self(0);
}

#[derive(Debug)]
pub(crate) struct State(AtomicU64);

#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// The call is not parked: the step that is due anyway will see this wake.
    Noted,
    /// It was parked by its owner, who must be woken.
    Owner,
    /// It was parked by its job, which must be put into its pool's queue; nobody else will.
    Enqueue,
}

#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// The caller has the work to itself until it stops, parks or finishes.
    Run,
    /// The call has ended; there is nothing to run.
    Over,
}

#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Park {
    /// Nobody runs the call until a wake delivers it.
    Parked,
    /// A wake has come first: there must be another step.
    Woken,
    /// The call was given up: the caller, who still has the work, ends it.
    Cancelled,
}

#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The work is back in the task, for whoever starts next.
    Stopped,
    /// The call was given up: the caller ends it.
    Cancelled,
}

#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// The result is the owner's.
    Delivered,
    /// The call was given up just before: the result is nobody's.
    Cancelled,
}

#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cancel {
    /// No turn is in progress and none will start: the caller ends the call.
    End,
    /// A turn is in progress; it ends the call at its next stop.
    EndsAtNextStop,
    /// The call had ended, or was already cancelled.
    Over,
}

#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum GiveBack {
    /// The owner has the right to resume again, or the call had ended.
    Back,
    /// The call was given up just before: whoever did that ends it, and then tells everyone.
    Cancelled,
}

/// What the owner sees of a call that it has lent.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lent {
    /// A runner or a job has it.
    Out,
    /// It came back unfinished.
    Back,
    /// Its result is in the task.
    Done,
}

impl State {
    /// A new call is its owner's, and can go on at once.
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(WAKE))
    }

    /// The wakes so far, if any came after those `seen`.
    #[inline]
    pub(crate) fn woken_since(&self, seen: WakeCount) -> Option<WakeCount> {
        // Acquire: the step that follows must find what the wakers did before they woke. Each wake is a
        // read-modify-write, so reading the last of them synchronises with all.
        let wakes = WakeCount(self.0.load(Acquire) & !FLAGS);
        (wakes != seen).then_some(wakes)
    }

    #[inline]
    pub(crate) fn wake(&self) -> Wake {
        // Release: pairs with `woken_since`. Never a plain load, not even of a call that is queued already: the step to
        // come synchronises with this write, or not at all.
        let before = self.0.fetch_add(WAKE, Release);
        if before & PARKED == 0 {
            return Wake::Noted;
        }
        // Several wakes can get here; the one that clears the flag delivers. Acquire: it takes over from `park`, as
        // whoever is now going to touch the task.
        let before = self.0.fetch_and(!PARKED, Acquire);
        match (before & PARKED != 0, before & LENT != 0) {
            (false, _) => Wake::Noted,
            (true, false) => Wake::Owner,
            (true, true) => Wake::Enqueue,
        }
    }

    /// The owner puts the work into the task, for a runner.
    pub(crate) fn lend(&self) {
        // The owner may have parked and not been woken; what it waited for is the runner's business now. Relaxed is
        // enough: the work was put behind the task's mutex, and the runner is made on this thread.
        self.update(Relaxed, |word| (word | LENT) & !PARKED);
    }

    /// The same for a call that has ended already, with its result in the task.
    pub(crate) fn lend_done(&self) {
        self.update(Relaxed, |word| (word | LENT | DONE) & !PARKED);
    }

    /// A runner or a job begins a turn.
    pub(crate) fn try_start(&self) -> Start {
        // Acquire: pairs with `stop` and `park` of the turn before.
        let before = self.0.fetch_or(RUNNING, Acquire);
        if before & (CANCELLED | DONE) == 0 { Start::Run } else { Start::Over }
    }

    /// In a turn: was the call given up?
    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        // Relaxed: only a hint; `stop`, `park` and `finish` decide.
        self.0.load(Relaxed) & CANCELLED != 0
    }

    /// A turn ends before the call does, with the work back in the task.
    pub(crate) fn stop(&self) -> Stop {
        // Release: the next turn must find what this one did. Acquire: if cancelled, the caller ends the call.
        let before = self.0.fetch_and(!RUNNING, AcqRel);
        if before & CANCELLED == 0 { Stop::Stopped } else { Stop::Cancelled }
    }

    /// Whoever has stepped a call that now waits stops watching it, unless it was woken meanwhile.
    pub(crate) fn park(&self, seen: WakeCount) -> Park {
        let mut word = self.0.load(Acquire);
        loop {
            if word & CANCELLED != 0 {
                return Park::Cancelled;
            }
            if word & !FLAGS != seen.0 {
                return Park::Woken;
            }
            // Release: whoever is woken to go on must find what was done up to here. Acquire on failure: it was a
            // wake, and the next step relies on it, or a cancelling.
            match self.0.compare_exchange_weak(word, (word & !RUNNING) | PARKED, Release, Acquire) {
                Ok(_) => return Park::Parked,
                Err(now) => word = now,
            }
        }
    }

    /// The result is in the task.
    pub(crate) fn finish(&self) -> Finish {
        // Release: whoever sees `DONE` must find the result and all that the call did.
        let before = self.update(AcqRel, |word| (word | DONE) & !(RUNNING | PARKED));
        if before & CANCELLED == 0 { Finish::Delivered } else { Finish::Cancelled }
    }

    /// A runner or a job is dropped, with the work in the task.
    pub(crate) fn give_back(&self) -> GiveBack {
        // Release: pairs with `lent`.
        let before = self.0.fetch_and(!LENT, Release);
        if before & CANCELLED == 0 { GiveBack::Back } else { GiveBack::Cancelled }
    }

    /// A lent call is given up.
    pub(crate) fn cancel(&self) -> Cancel {
        // Acquire: pairs with `stop` and `park`; the caller may be about to drop the work.
        let before = self.0.fetch_or(CANCELLED, AcqRel);
        if before & (CANCELLED | DONE) != 0 {
            Cancel::Over
        } else if before & RUNNING != 0 {
            Cancel::EndsAtNextStop
        } else {
            Cancel::End
        }
    }

    /// The owner looks at a call that it has lent.
    pub(crate) fn lent(&self) -> Lent {
        // Acquire: pairs with `finish` and `give_back`.
        let word = self.0.load(Acquire);
        if word & DONE != 0 {
            Lent::Done
        } else if word & (LENT | CANCELLED) != 0 {
            // Cancelled and back: whoever has cancelled it is about to end it.
            Lent::Out
        } else {
            Lent::Back
        }
    }

    fn update(&self, success: std::sync::atomic::Ordering, change: impl Fn(u64) -> u64) -> u64 {
        let mut word = self.0.load(Relaxed);
        loop {
            match self.0.compare_exchange_weak(word, change(word), success, Relaxed) {
                Ok(before) => return before,
                Err(now) => word = now,
            }
        }
    }
}
