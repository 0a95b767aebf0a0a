//! The state of a [`Task`](crate::call::task::Task): one atomic word, and its named transitions.
//!
//! ```text
//!   63                         15 14    7     6       5     4       3        2       1      0
//!  ┌─────────────────────────────┬───────┬───────┬──────┬────┬─────────┬──────┬───────┬────┐
//!  │       wakes, counted        │ SEEN  │WATCHED│FAILED│DONE│CANCELLED│PARKED│RUNNING│LENT│
//!  └─────────────────────────────┴───────┴───────┴──────┴────┴─────────┴──────┴───────┴────┘
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
//! `CANCELLED` may come at any time while the call is lent. The thread that is then in charge, by the rule of `RUNNING` below, drops
//! the work, and the call is `DONE`.
//!
//! **A wake is a count, not a flag.** Each wake adds one. A step notes the count that it starts from ([`WakeCount`]); if the
//! count is another one afterwards, a wake has come meanwhile and there must be another step. So a step needs no
//! read-modify-write of its own, and no wake can be overwritten: a wake that the note covers happened before the step
//! (the wake releases, the note acquires), and one that it does not cover makes the counts differ for good. The count
//! would have to wrap around its 49 bits within one step to hide a wake.
//!
//! **`PARKED` asks the next wake to deliver the call.** It is set only when the count is still the one noted, by a thread that is about to
//! stop watching: a worker that drops a waiting job, or an owner that is about to sleep. Of all the wakes that find it
//! set, the one that clears it delivers: it enqueues the job, or wakes the owner. So there is one delivery for each time that it was set.
//!
//! **`SEEN` tells whether a parked call is idle.** A wake takes two operations: it counts, and then it clears `PARKED`. In between, the call is
//! parked although there must be another step. Parking notes the lowest bits of the count that the last step knew of, so the call is
//! [idle](State::idle) if these are those of the count. (A multiple of 256 threads would have to be between their two operations to hide a
//! wake, and would hide it from observers only.) An idle call takes no step before the next wake, which changes the count. So if an
//! observer finds the same idle word twice, the call was idle in between.
//!
//! **`WATCHED` asks the next parking to notify observers.** It is set only by the thread of an observer, and parking clears it: a call that
//! nobody observes pays nothing, because parking compares and exchanges the word anyway.
//!
//! **`RUNNING` decides which thread ends a cancelled call.** Cancelling and starting are both read-modify-writes of this word, so
//! one is first. If the start is first, the runner finds `CANCELLED` at its next stop and ends the call; if the cancelling is,
//! the canceller ends the call and the start is refused. The flag means nothing once `CANCELLED` or `DONE` is set outside a turn, and is
//! never set for a call that its owner resumes, because the owner's `&mut` excludes all others.
//!
//! **Being in charge is the right to touch the task's slot**, its work and its result. It belongs to one thread at a time: to the one
//! whose start succeeded, until it stops, parks or finishes; to the canceller whose `cancel` returned `End`, until it finishes; to the owner,
//! before it lends the call and after the call came back or is done. From each of these threads to the next, something synchronises, so that
//! the slot needs no lock: the release of a `stop`, `park`, `give_back` or `finish` and the acquire of a `cancel`, `wake` or `custody`; or the
//! runner or the job, which is moved from thread to thread.

use crate::outcome::JobOutcome;
use crate::sync::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// The right to resume is with a runner or a job. Set by `lend` and `lend_done`, cleared by `give_back`. Means
/// nothing once `DONE`.
const LENT: u64 = 1;
/// A runner or a job is inside a turn. Only ever set together with `LENT`.
const RUNNING: u64 = 1 << 1;
/// The call waits, and nobody watches it: the next wake must wake its owner or enqueue its job. Never set together with `RUNNING`.
const PARKED: u64 = 1 << 2;
/// A lent call was cancelled, by its owner or through the handle of its job. Set once, never cleared, and not set after `DONE`.
const CANCELLED: u64 = 1 << 3;
/// The result of a lent call is in its task. Set once, never cleared.
const DONE: u64 = 1 << 4;
/// That result is a failure. Only ever set together with `DONE`.
const FAILED: u64 = 1 << 5;
/// Observers of the job wait until it is idle. Set by `watch`, cleared by `park`. Means nothing once `DONE`, or given back.
const WATCHED: u64 = 1 << 6;
/// The lowest bits of the count of wakes that the last step before the parking knew of. Mean nothing unless `PARKED`.
const SEEN: u64 = 0xff << SEEN_SHIFT;
const SEEN_SHIFT: u32 = 7;
/// One wake; all bits from here up are the count.
const WAKE: u64 = 1 << 15;

const FLAGS: u64 = WAKE - 1;

/// How many wakes there were, as of the start of a call's last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WakeCount(u64);

impl WakeCount {
    /// The count before the first step. A new task has one wake, so that it can go on at once.
    pub(crate) const NONE: Self = Self(0);
}

#[derive(Debug)]
pub(crate) struct State(AtomicU64);

#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// The call is not parked: the step that is due anyway will see this wake.
    Noted,
    /// The call was parked by its owner. The caller must wake the owner.
    Owner,
    /// The call was parked by its job. The caller must put the job into its pool's queue, because nobody else will.
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
    /// The call is parked: nobody runs it until a wake delivers it.
    Parked,
    /// As `Parked`. The caller must also notify the observers of the job.
    Watched,
    /// A wake came before it could be parked: there must be another step.
    Woken,
    /// The call was cancelled: the caller, which is still in charge, ends it.
    Cancelled,
}

#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The work stays in the task, for the thread that starts next.
    Stopped,
    /// The call was cancelled: the caller, which is still in charge, ends it.
    Cancelled,
}

#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// The result is the owner's.
    Delivered,
    /// The call was cancelled just before, and is not done: the caller, which is still in charge, replaces the result by
    /// [`Error::Cancelled`](crate::error::Error::Cancelled) and calls [`finish_cancelled`](State::finish_cancelled).
    Cancelled,
}

#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cancelling {
    /// No turn is in progress and none will start: the caller ends the call.
    End,
    /// A turn is in progress; it ends the call at its next stop.
    EndsAtNextStop,
    /// The call had ended, or was already cancelled: there is nothing to do.
    Over,
}

#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum GiveBack {
    /// The owner has the right to resume again, or the call had ended.
    Back,
    /// The call was cancelled just before: the canceller ends it, and notifies the owner and the handle.
    Cancelled,
}

/// Where a call is that was lent.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Custody {
    /// A runner or a job has the call, or a canceller that is about to end it.
    Runner,
    /// The call came back unfinished, and is the owner's.
    Returned,
    /// The call is over, and its result is in the task.
    Done,
}

/// The word of a call once it is parked. Its count is the one that the last step knew of.
fn parked(word: u64) -> u64 {
    let seen = ((word / WAKE) << SEEN_SHIFT) & SEEN;
    (word & !(RUNNING | WATCHED | SEEN)) | PARKED | seen
}

/// The flags of a call with this outcome.
fn done(outcome: JobOutcome) -> u64 {
    match outcome {
        JobOutcome::Succeeded => DONE,
        JobOutcome::Failed => DONE | FAILED,
        JobOutcome::Cancelled => DONE | CANCELLED,
    }
}

impl State {
    /// The state of a new call: its owner has it, and it can go on at once.
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(WAKE))
    }

    /// Makes the state of a call that is over that of a new call. Nobody else has a reference to it.
    pub(crate) fn renew(&self) {
        self.0.store(WAKE, Relaxed);
    }

    /// Returns the count of wakes, if it is not the one `seen`.
    #[inline]
    pub(crate) fn woken_since(&self, seen: WakeCount) -> Option<WakeCount> {
        // Acquire: the step that follows must see what the wakers did before they woke the call. Each wake is a
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
        // Several wakes can get here; the one that clears the flag delivers. Acquire: pairs with `park`. The job that the caller makes takes
        // what the parked turn did to the thread of the next turn, or to those who are told that the pool has dropped it.
        let before = self.0.fetch_and(!PARKED, Acquire);
        match (before & PARKED != 0, before & LENT != 0) {
            (false, _) => Wake::Noted,
            (true, false) => Wake::Owner,
            (true, true) => Wake::Enqueue,
        }
    }

    /// The owner has put the work into the task, for a runner.
    pub(crate) fn lend(&self) {
        // The owner may have parked and not been woken; what it waited for is the runner's business now. Relaxed: the runner is
        // made on this thread, and whatever takes it to another one synchronises.
        self.update(Relaxed, |word| (word | LENT) & !PARKED);
    }

    /// The owner has put the result of a call that has ended already into the task.
    pub(crate) fn lend_done(&self, outcome: JobOutcome) {
        let done = LENT | done(outcome);
        self.update(Relaxed, |word| (word | done) & !PARKED);
    }

    /// A runner or a job begins a turn.
    pub(crate) fn try_start(&self) -> Start {
        // Relaxed: what this turn goes on with comes with the runner or the job. These are made by the owner, by the turn before, or by the
        // wake that acquired that turn's parking; and whatever takes them to another thread synchronises.
        let before = self.0.fetch_or(RUNNING, Relaxed);
        if before & (CANCELLED | DONE) == 0 { Start::Run } else { Start::Over }
    }

    /// Was the call cancelled? Asked during a turn.
    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        // Relaxed: only a hint; `stop`, `park` and `finish` decide.
        self.0.load(Relaxed) & CANCELLED != 0
    }

    /// A turn ends before the call does, with the work in the task.
    pub(crate) fn stop(&self) -> Stop {
        // Release: pairs with `cancel`, whose caller may drop the work. (To the next turn, the job or the runner brings it.) Acquire: pairs
        // with the `cancel` that is found here, so that the call ends after what led to that.
        let before = self.0.fetch_and(!RUNNING, AcqRel);
        if before & CANCELLED == 0 { Stop::Stopped } else { Stop::Cancelled }
    }

    /// Parks a call that waits, unless a wake has come since `seen`. The thread that stepped it stops watching it.
    pub(crate) fn park(&self, seen: WakeCount) -> Park {
        // Acquire, here and below: pairs with the `cancel` that is found here, as in `stop`. After a wake, the next step acquires that itself.
        let mut word = self.0.load(Acquire);
        loop {
            if word & CANCELLED != 0 {
                return Park::Cancelled;
            }
            if word & !FLAGS != seen.0 {
                return Park::Woken;
            }
            // Release: pairs with `wake`, which delivers the call to the next turn, and with `cancel`, whose caller may drop the work.
            match self.0.compare_exchange_weak(word, parked(word), Release, Acquire) {
                // The acquire above or below has paired with the `watch` that set the flag, so the observer is found.
                Ok(_) if word & WATCHED != 0 => return Park::Watched,
                Ok(_) => return Park::Parked,
                Err(now) => word = now,
            }
        }
    }

    /// Asks the next parking to notify the observers of the job. The caller is registered as one of them, and looks once more after this,
    /// because the call may be idle already.
    pub(crate) fn watch(&self) {
        // Release: pairs with `park`. Acquire: pairs with the `park` that came first, so that the look after this finds the call idle.
        self.0.fetch_or(WATCHED, AcqRel);
    }

    /// Is the call parked by its job, with no wake in progress, and not about to end? If so, returns the word without `WATCHED`.
    pub(crate) fn idle(&self) -> Option<u64> {
        // Acquire: pairs with `park`. An observer may look at what the guest wrote.
        let word = self.0.load(Acquire);
        let seen = (word & SEEN) >> SEEN_SHIFT;
        let is_parked = word & (LENT | PARKED | CANCELLED | DONE) == LENT | PARKED;
        (is_parked && seen == (word / WAKE) & (SEEN >> SEEN_SHIFT)).then_some(word & !WATCHED)
    }

    /// Is the lent call over, or was it cancelled and is about to be?
    pub(crate) fn is_ending(&self) -> bool {
        // Acquire: pairs with `cancel`. An observer sees what came before the cancelling that it finds.
        self.0.load(Acquire) & (CANCELLED | DONE) != 0
    }

    /// Called by the thread that is in charge, once the result is in the task.
    pub(crate) fn finish(&self, outcome: JobOutcome) -> Finish {
        let done = done(outcome);
        // Acquire, here and below: pairs with the `cancel` that is found here, as in `stop`.
        let mut word = self.0.load(Acquire);
        loop {
            if word & CANCELLED != 0 {
                return Finish::Cancelled;
            }
            // Release: pairs with `custody`. A thread that sees `DONE` must find the result and all that the call did.
            let finished = (word | done) & !(RUNNING | PARKED);
            match self.0.compare_exchange_weak(word, finished, Release, Acquire) {
                Ok(_) => return Finish::Delivered,
                Err(now) => word = now,
            }
        }
    }

    /// Called by the thread that is in charge, once the failure of a cancelled call is in the task.
    pub(crate) fn finish_cancelled(&self) {
        // Release: pairs with `custody`, as in `finish`.
        let done = done(JobOutcome::Cancelled);
        self.update(Release, |word| (word | done) & !(RUNNING | PARKED));
    }

    /// A runner or a job is dropped, and leaves the work in the task.
    pub(crate) fn give_back(&self) -> GiveBack {
        // Release: pairs with `custody`. The owner goes on after all that the holder of the runner or the job did.
        let before = self.0.fetch_and(!LENT, Release);
        if before & CANCELLED == 0 { GiveBack::Back } else { GiveBack::Cancelled }
    }

    /// A lent call is cancelled.
    pub(crate) fn cancel(&self) -> Cancelling {
        let mut word = self.0.load(Relaxed);
        loop {
            if word & (CANCELLED | DONE) != 0 {
                return Cancelling::Over;
            }
            // Acquire: pairs with `stop` and `park`, because the caller may be about to drop the work. Release: pairs with the `stop`, `park`
            // or `finish` that finds the flag, so that the call ends after what led to this.
            match self.0.compare_exchange_weak(word, word | CANCELLED, AcqRel, Relaxed) {
                Ok(_) if word & RUNNING != 0 => return Cancelling::EndsAtNextStop,
                Ok(_) => return Cancelling::End,
                Err(now) => word = now,
            }
        }
    }

    /// Where is the call, which was lent?
    pub(crate) fn custody(&self) -> Custody {
        // Acquire: pairs with `finish`, `finish_cancelled` and `give_back`.
        let word = self.0.load(Acquire);
        if word & DONE != 0 {
            Custody::Done
        } else if word & (LENT | CANCELLED) != 0 {
            // Cancelled and given back: the canceller is about to end it.
            Custody::Runner
        } else {
            Custody::Returned
        }
    }

    /// The outcome of a lent call that is over; `None` if it is not. The caller holds the lock under which calls finish.
    pub(crate) fn outcome(&self) -> Option<JobOutcome> {
        // Relaxed: because of the lock, or because the owner lent a call that had ended, and made the runner after that.
        let word = self.0.load(Relaxed);
        match word {
            _ if word & DONE == 0 => None,
            _ if word & CANCELLED != 0 => Some(JobOutcome::Cancelled),
            _ if word & FAILED != 0 => Some(JobOutcome::Failed),
            _ => Some(JobOutcome::Succeeded),
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
