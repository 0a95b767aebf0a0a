//! [`Control`]: the limits of the guest of one instance, and what can be read about the guest while it runs. It is made of small
//! state machines, each of which limits one thing: [`SliceState`], [`Stopper`], [`EpochDeadline`], [`CallTime`], [`Nesting`], [`Growth`].
//!
//! A store is attached to it, in `attach`. [`limited`](crate::guest::limit::limited) holds the steps of a call to it.

use crate::error::Error;
use crate::guest::limit::call_time::{CallTime, Verdict};
use crate::guest::limit::epoch::EpochDeadline;
#[cfg(feature = "prepare")]
use crate::guest::limit::flags::{Checked, StopFlags};
use crate::guest::limit::growth::Growth;
use crate::guest::limit::nesting::Nesting;
use crate::guest::limit::options::{A_SLICE_OF_TIME, A_TIMEOUT, InstanceOptions};
use crate::guest::limit::schedule::StepWithEnd;
use crate::guest::limit::slice::Slice;
use crate::guest::limit::slice_state::{SliceState, StepSlice};
use crate::guest::limit::stopper::Stopper;
use crate::guest::limit::stops::Stops;
#[cfg(feature = "explore")]
use crate::guest::limit::watch::Watcher;
use crate::guest::poison::Poison;
use crate::step::interrupt::{NEVER, step_deadline};
use crate::timed_out::Timeout;
use crate::trace::InstanceId;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Context;
#[cfg(feature = "freeze")]
use std::time::Duration;
use wasmtime::{Engine, Store};

/// No fuel was lent.
const NOT_LENT: u64 = u64::MAX;

/// Shared by an instance and its guest. Any thread may read it and set the slice; the thread that has the guest does the rest.
pub(crate) struct Control {
    pub(super) slice: SliceState,
    pub(super) stopper: Stopper,
    pub(super) epoch: EpochDeadline,
    /// `None` if the time is neither limited nor measured. In a box, because most guests have none.
    time: Option<Box<CallTime>>,
    pub(super) nesting: Nesting,
    /// None if growth is not limited.
    pub(super) growth: Option<Arc<Growth>>,
    /// The fuel that each call gets.
    fuel_of_a_call: Option<u64>,
    /// The fuel that was left when the guest last called the host, or when the host last noted it.
    fuel: AtomicU64,
    /// The fuel that the store had before some was lent to it, or [`NOT_LENT`].
    before_lending: AtomicU64,
    pub(super) yields_before_host_calls: bool,
    #[cfg(feature = "explore")]
    pub(super) watcher: Watcher,
    /// How long a call waits before it is parked, if it is.
    #[cfg(feature = "freeze")]
    park_after: Option<Duration>,
    /// Whether anything has to be set when a call begins.
    limits_calls: bool,
    /// Whether anything has to be set in each step, whatever the slice.
    limits_steps: bool,
    poison: Poison,
    number: InstanceId,
}

/// Whether a step has limits.
#[must_use]
#[derive(Clone, Copy, Debug)]
pub(crate) enum StepLimits {
    /// There is no clock to read, and nothing to set.
    None,
    /// The guest must run inside [`Control::watch`].
    Watched(StepSlice),
}

impl Control {
    pub(crate) fn new(engine: &Engine, options: InstanceOptions) -> Arc<Self> {
        let time = CallTime::new(&options);
        let growth =
            options.limits_growth().then(|| Growth::new(options.memory, options.table_elements));
        Arc::new(Self {
            slice: SliceState::new(options.slice),
            stopper: Stopper::new(engine),
            epoch: EpochDeadline::new(engine),
            nesting: Nesting::new(options.nesting),
            limits_calls: time.is_some() || engine.get_consume_fuel(),
            limits_steps: time.is_some() || growth.is_some(),
            time,
            growth,
            fuel_of_a_call: options.fuel,
            fuel: 0.into(),
            before_lending: NOT_LENT.into(),
            yields_before_host_calls: options.yield_before_host_calls.unwrap_or(false),
            #[cfg(feature = "explore")]
            watcher: options.watcher,
            #[cfg(feature = "freeze")]
            park_after: options.park_after,
            poison: Poison::default(),
            number: InstanceId::new(),
        })
    }

    // What can be read, and set, by any thread.

    /// The time of calls, if it is limited or measured.
    #[inline]
    pub(crate) fn time(&self) -> Option<&CallTime> {
        self.time.as_deref()
    }

    /// How the guest is stopped.
    #[inline]
    pub(crate) fn stopper(&self) -> &Stopper {
        &self.stopper
    }

    /// Who watches the guest.
    #[cfg(feature = "explore")]
    pub(crate) fn watcher(&self) -> &Watcher {
        &self.watcher
    }

    /// Whether the guest may be called.
    #[inline]
    pub(crate) fn poison(&self) -> &Poison {
        &self.poison
    }

    /// The number of the instance, in traces.
    pub(crate) fn number(&self) -> InstanceId {
        self.number
    }

    pub(crate) fn slice(&self) -> Slice {
        self.slice.get()
    }

    pub(crate) fn set_slice(&self, slice: Slice) {
        self.slice.set(slice);
    }

    /// The fuel that was left when the guest last called the host, or when the host last noted it.
    pub(crate) fn fuel(&self) -> u64 {
        // Relaxed: the number stands alone, and may be out of date once it is read.
        self.fuel.load(Relaxed)
    }

    pub(crate) fn set_fuel(&self, fuel: u64) {
        self.fuel.store(fuel, Relaxed);
    }

    /// Refuses a new guest that cannot be stopped, if the limits need that.
    pub(crate) fn check(&self, stops: Stops) -> Result<(), Error> {
        if let Slice::Time(_) = self.slice() {
            stops.check(A_SLICE_OF_TIME)?;
        }
        match self.has_timeout() {
            true => stops.check(A_TIMEOUT),
            false => Ok(()),
        }
    }

    /// The address of the instance's flag.
    ///
    /// # Errors
    ///
    /// As [`StopFlags::take`].
    #[cfg(feature = "prepare")]
    pub(crate) fn flag(self: &Arc<Self>, flags: &Arc<StopFlags>) -> Result<u32, Error> {
        self.stopper.flag(flags, || {
            let this: Arc<dyn Checked> = self.clone();
            Arc::downgrade(&this)
        })
    }

    /// How long a call waits before it is parked, if it is.
    #[cfg(feature = "freeze")]
    #[inline]
    pub(crate) fn park_after(&self) -> Option<Duration> {
        self.park_after
    }

    /// The fuel that each call gets, if it is limited.
    #[cfg(feature = "freeze")]
    pub(crate) fn fuel_of_a_call(&self) -> Option<u64> {
        self.fuel_of_a_call
    }

    /// How many calls of the guest are inside each other, if the store [counts](Self::attach) them.
    #[cfg(feature = "freeze")]
    pub(crate) fn calls_inside_each_other(&self) -> u32 {
        self.nesting.depth()
    }

    /// A guest gets as much fuel as it likes, until that is [taken back](Self::take_back_fuel) or is its own again.
    #[cfg(feature = "freeze")]
    pub(crate) fn lend_fuel<S>(&self, store: &mut Store<S>) {
        if let Ok(before) = store.get_fuel() {
            self.before_lending.store(before.min(NOT_LENT - 1), Relaxed);
            let _ = store.set_fuel(u64::MAX);
        }
    }

    /// The guest has fuel of its own again.
    #[cfg(feature = "freeze")]
    pub(crate) fn end_lending(&self, fuel: u64) {
        self.before_lending.store(NOT_LENT, Relaxed);
        self.set_fuel(fuel);
    }

    /// If the guest still has fuel that was lent to it, it gets what it had before.
    pub(crate) fn take_back_fuel<S>(&self, store: &mut Store<S>) {
        let before = self.before_lending.swap(NOT_LENT, Relaxed);
        if before != NOT_LENT && store.set_fuel(before).is_ok() {
            self.set_fuel(before);
        }
    }

    // A call, in the order in which this happens.

    /// A call was made: its time and its fuel begin.
    #[inline]
    pub(crate) fn begin_call<S>(&self, store: &mut Store<S>) {
        if self.limits_calls {
            self.begin_limited_call(store);
        }
    }

    #[inline(never)]
    fn begin_limited_call<S>(&self, store: &mut Store<S>) {
        self.take_back_fuel(store);
        if let Some(time) = self.time() {
            time.begin_call();
        }
        if let Some(fuel) = self.fuel_of_a_call
            && store.set_fuel(fuel).is_err()
        {
            unreachable!("the options were checked with the engine");
        }
        // Zero if the engine counts no fuel.
        self.set_fuel(store.get_fuel().unwrap_or(0));
    }

    /// The limit in time that a call has exceeded before its first step, if any.
    #[inline]
    pub(crate) fn is_too_late(&self) -> Option<Timeout> {
        self.time()?.is_too_late()
    }

    /// A call, or the owner of the store, is about to enter the guest. The guest then looks at the epoch when that next advances, and
    /// not before.
    #[inline]
    pub(crate) fn set_deadline<S>(&self, store: &mut Store<S>) {
        // A panic of the host may have left nested calls in the count.
        self.nesting.clear();
        self.stopper.enter_guest();
        if self.stopper.stops() == Stops::AtEpochs {
            self.epoch.deadline_is_set();
            store.set_epoch_deadline(1);
        }
    }

    /// The first step of a call is to come.
    #[inline]
    pub(crate) fn enter_call(&self) {
        self.epoch.enter_call();
    }

    /// A step begins.
    #[inline]
    pub(crate) fn begin_step(&self) -> StepLimits {
        self.epoch.begin_step();
        match self.slice.begin_step() {
            StepSlice::WithoutClock if !self.limits_steps && step_deadline() == NEVER => {
                StepLimits::None
            }
            slice => StepLimits::Watched(slice),
        }
    }

    /// Whether a call can time out.
    pub(crate) fn has_timeout(&self) -> bool {
        self.time().is_some_and(CallTime::has_timeout)
    }

    /// Whether the call has run or waited for too long.
    #[inline]
    pub(crate) fn look_at_time(&self, now: u64) -> Verdict {
        self.time().map_or(Verdict::InTime, |time| time.look(now))
    }

    /// Begins a step with limits. Dropping the [`Watch`] ends it.
    #[inline]
    pub(crate) fn watch(&self, slice: StepSlice, now: u64) -> Watch<'_> {
        if let Some(growth) = &self.growth {
            growth.enter();
        }
        let yields_at = slice.end(now).min(step_deadline());
        let timeout = self.time().map_or(NEVER, |time| time.begin_step(now));
        let end = yields_at.min(timeout);
        Watch { control: self, _with_end: self.stopper.begin_step(yields_at, end) }
    }

    /// Whether the call had run or waited for too long when its last step ended.
    pub(crate) fn look_at_time_after_step(&self) -> Verdict {
        self.time().map_or(Verdict::InTime, CallTime::look_after_step)
    }

    /// The call waits. Looks at the time, and arranges for a wake when its deadline passes.
    pub(crate) fn look_at_time_or_be_woken(&self, context: &mut Context<'_>) -> Verdict {
        self.time().map_or(Verdict::InTime, |time| time.look_and_wake_at_deadline(context))
    }

    /// A call has ended, or is dropped. From now on the owner may use the store without limits in time.
    #[inline]
    pub(crate) fn leave_call(&self) {
        self.epoch.leave_call();
        self.slice.leave_call();
        if let Some(time) = self.time() {
            time.leave_call();
        }
    }

    /// Takes the limit in time that has ended the last call, if any.
    #[inline]
    pub(crate) fn timed_out(&self) -> Option<Timeout> {
        self.time()?.take_timed_out()
    }
}

/// A step in progress that has limits. Dropping this ends it.
pub(crate) struct Watch<'a> {
    control: &'a Control,
    _with_end: Option<StepWithEnd>,
}

impl Drop for Watch<'_> {
    #[inline]
    fn drop(&mut self) {
        self.control.stopper.end_step();
        if let Some(time) = self.control.time() {
            time.end_step();
        }
    }
}
