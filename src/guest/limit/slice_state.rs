//! [`SliceState`]: which slice an instance has, which one the step in progress has, and which one the store was told.
//!
//! A slice of time ends by the clock, and the store need not know of it. A slice of fuel is the store's yield interval. That can be
//! set only where compiled code does not keep the fuel in a register: when the guest is entered, and when a host function
//! returns. At an epoch check it cannot be set. So each step with a slice of fuel sets the interval at the first place where it
//! can; and a step that goes on from an epoch check, under another slice than the store was told, ends by the clock.
//!
//! A guest that was stopped, by the epoch or by its flag, goes on with the rest of its slice of fuel, if the slice is still the same. So its
//! later slices end where they would without the stop, but for the fuel that a guest uses to take its flag. That cannot be given back, because
//! wasmtime's `set_fuel` begins the interval anew, and nothing tells how much of it was left.
//!
//! Any thread may set `word`. Only the thread that has the guest uses the other fields, which go to the next thread together with
//! the guest. So all accesses are `Relaxed`: a new slice is one word, and the lease of the guest orders the other accesses.

use crate::guest::limit::slice::Slice;
use crate::step::interrupt::{NEVER, nanoseconds};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

/// Step length for a fuel-sliced guest that stopped at an epoch check: its store cannot take a new fuel slice there.
const UNAPPLIED_STEP: u64 = Duration::from_millis(1).as_nanos() as u64;

#[derive(Debug)]
pub(crate) struct SliceState {
    /// The slice from the next step on. Set by any thread.
    word: AtomicU64,
    /// The slice of the step in progress: `word` as it was when the step began, so that all of a step goes by one slice.
    step_slice: AtomicU64,
    /// The slice that the store was last told, if that is one of fuel; else [`Slice::Unbounded`].
    applied_slice: AtomicU64,
    /// Whether the store has not been told the slice of this step.
    slice_pending: AtomicBool,
    /// Whether the guest was stopped, by the epoch or by its flag, and has not gone on.
    was_stopped: AtomicBool,
    /// Whether compiled code keeps the fuel in a register: from a yield at an epoch check until the next call of the host.
    fuel_in_registers: AtomicBool,
}

/// How a step's slice ends.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepSlice {
    /// By fuel or not at all, so that the clock is not needed.
    WithoutClock,
    /// After this time, in nanoseconds.
    After(u64),
}

/// What the store is to be told when its guest goes on.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Apply {
    /// The store knows the slice, or need not know it.
    Nothing,
    /// The guest yields whenever it has used this fuel, counted from now.
    Interval(u64),
    /// The guest no longer yields when it has used fuel.
    NoInterval,
}

impl SliceState {
    pub(crate) fn new(slice: Slice) -> Self {
        let unbounded = || AtomicU64::new(Slice::Unbounded.to_word());
        Self {
            word: slice.to_word().into(),
            step_slice: unbounded(),
            applied_slice: unbounded(),
            slice_pending: false.into(),
            was_stopped: false.into(),
            fuel_in_registers: false.into(),
        }
    }

    pub(crate) fn get(&self) -> Slice {
        Slice::from_word(self.word.load(Relaxed))
    }

    /// Sets the slice from the next step on.
    pub(crate) fn set(&self, slice: Slice) {
        self.word.store(slice.to_word(), Relaxed);
    }

    /// The guest has a new store, which was told no slice.
    pub(crate) fn new_store(&self) {
        self.applied_slice.store(Slice::Unbounded.to_word(), Relaxed);
        self.leave_call();
    }

    /// No call is in progress: compiled code keeps no fuel, and synchronous calls of the owner have no slice.
    #[inline]
    pub(crate) fn leave_call(&self) {
        self.slice_pending.store(false, Relaxed);
        self.was_stopped.store(false, Relaxed);
        self.fuel_in_registers.store(false, Relaxed);
    }

    /// A step begins.
    #[inline]
    pub(crate) fn begin_step(&self) -> StepSlice {
        let slice = self.word.load(Relaxed);
        self.step_slice.store(slice, Relaxed);
        let was_stopped = self.was_stopped.load(Relaxed);
        self.was_stopped.store(false, Relaxed);
        let goes_on = was_stopped && self.applied_slice.load(Relaxed) == slice;
        self.slice_pending.store(!goes_on, Relaxed);
        match Slice::from_word(slice) {
            Slice::Unbounded => StepSlice::WithoutClock,
            Slice::Time(time) => StepSlice::After(nanoseconds(time)),
            Slice::Fuel(_) if self.can_apply_fuel(slice) => StepSlice::WithoutClock,
            Slice::Fuel(_) => StepSlice::After(UNAPPLIED_STEP),
        }
    }

    /// Whether the store knows this slice of fuel, or will be told before any compiled code runs.
    fn can_apply_fuel(&self, slice: u64) -> bool {
        !self.fuel_in_registers.load(Relaxed) || self.applied_slice.load(Relaxed) == slice
    }

    /// The guest yields because something stops it, and not by itself.
    pub(crate) fn stop(&self) {
        self.was_stopped.store(true, Relaxed);
    }

    /// The guest yields at an epoch check.
    pub(crate) fn yield_at_epoch(&self) {
        self.fuel_in_registers.store(true, Relaxed);
    }

    /// The guest is entered, or goes on from a host function. Only there can the store be told its slice.
    pub(crate) fn enter_guest(&self) -> Apply {
        self.fuel_in_registers.store(false, Relaxed);
        if !self.slice_pending.load(Relaxed) {
            return Apply::Nothing;
        }
        self.slice_pending.store(false, Relaxed);
        let slice = self.step_slice.load(Relaxed);
        let applied = Slice::from_word(self.applied_slice.load(Relaxed));
        self.applied_slice.store(slice, Relaxed);
        match (Slice::from_word(slice), applied) {
            // Even if the store was told the same, because the slice begins anew with each step.
            (Slice::Fuel(fuel), _) => Apply::Interval(fuel),
            (_, Slice::Fuel(_)) => Apply::NoInterval,
            // Not `NoInterval`: the interval may be the user's own, and setting any makes the store asynchronous.
            _ => Apply::Nothing,
        }
    }
}

impl StepSlice {
    /// When the slice ends by the clock, in nanoseconds of [`alarm::now`](crate::wait::alarm::now); `NEVER` if it does not.
    pub(crate) fn end(self, now: u64) -> u64 {
        match self {
            Self::WithoutClock => NEVER,
            Self::After(time) => now.saturating_add(time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Apply, SliceState, StepSlice, UNAPPLIED_STEP};
    use crate::guest::limit::slice::Slice;
    use std::time::Duration;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_slice_of_fuel_begins_anew_with_each_step_and_is_taken_back() {
        let state = SliceState::new(Slice::Fuel(7));
        for _ in 0..2 {
            assert_eq!(state.begin_step(), StepSlice::WithoutClock);
            assert_eq!(state.enter_guest(), Apply::Interval(7));
            assert_eq!(state.enter_guest(), Apply::Nothing, "it is the same step");
        }
        state.set(Slice::Time(MS));
        assert_eq!(state.begin_step(), StepSlice::After(MS.as_nanos() as u64));
        assert_eq!(state.enter_guest(), Apply::NoInterval);
        assert_eq!(state.begin_step(), StepSlice::After(MS.as_nanos() as u64));
        assert_eq!(state.enter_guest(), Apply::Nothing);
    }

    #[test]
    fn a_slice_that_is_set_during_a_step_is_that_of_the_next() {
        let state = SliceState::new(Slice::Fuel(7));
        assert_eq!(state.begin_step(), StepSlice::WithoutClock);
        state.set(Slice::Time(MS));
        assert_eq!(state.enter_guest(), Apply::Interval(7), "or nothing would end this step");
        assert_eq!(state.begin_step(), StepSlice::After(MS.as_nanos() as u64));
        state.set(Slice::Fuel(8));
        assert_eq!(state.enter_guest(), Apply::NoInterval);
    }

    #[test]
    fn at_an_epoch_check_the_store_cannot_be_told() {
        let state = SliceState::new(Slice::Fuel(7));
        let _ = (state.begin_step(), state.enter_guest());
        state.yield_at_epoch();
        assert_eq!(state.begin_step(), StepSlice::WithoutClock, "it was told before");
        state.set(Slice::Fuel(8));
        assert_eq!(state.begin_step(), StepSlice::After(UNAPPLIED_STEP));
        assert_eq!(state.enter_guest(), Apply::Interval(8), "at the next call of the host");
        assert_eq!(state.begin_step(), StepSlice::WithoutClock);
    }

    #[test]
    fn a_stopped_guest_goes_on_with_the_rest_of_its_slice_of_fuel_if_it_is_the_same() {
        let state = SliceState::new(Slice::Fuel(7));
        let _ = (state.begin_step(), state.enter_guest());
        state.stop();
        assert_eq!(state.begin_step(), StepSlice::WithoutClock);
        assert_eq!(state.enter_guest(), Apply::Nothing, "the rest of it is left");
        assert_eq!(state.begin_step(), StepSlice::WithoutClock);
        assert_eq!(state.enter_guest(), Apply::Interval(7), "the guest has yielded by itself");
        state.stop();
        state.set(Slice::Fuel(8));
        assert_eq!(state.begin_step(), StepSlice::WithoutClock);
        assert_eq!(state.enter_guest(), Apply::Interval(8));
        state.stop();
        state.leave_call();
        let _ = state.begin_step();
        assert_eq!(state.enter_guest(), Apply::Interval(8), "it is another call");
    }

    #[test]
    fn between_calls_nothing_is_applied() {
        let state = SliceState::new(Slice::Fuel(7));
        let _ = state.begin_step();
        state.yield_at_epoch();
        state.leave_call();
        assert_eq!(state.enter_guest(), Apply::Nothing);
        assert_eq!(state.begin_step(), StepSlice::WithoutClock);
    }
}
