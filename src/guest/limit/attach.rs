//! How a store is attached to its [`Control`]: it asks that when the epoch has advanced, when its guest has found its flag set, at each call of the host, and when memory grows.

use crate::guest::limit::call_time::Verdict;
use crate::guest::limit::control::Control;
use crate::guest::limit::epoch::EnteredFrom;
#[cfg(feature = "prepare")]
use crate::guest::limit::flags::Checked;
use crate::guest::limit::host_calls::YieldBeforeHostCalls;
use crate::guest::limit::look::Look;
use crate::guest::limit::nesting::Enter;
use crate::guest::limit::slice_state::Apply;
use crate::guest::limit::stops::Stops;
#[cfg(feature = "explore")]
use crate::guest::limit::watch::Watcher;
use crate::step::interrupt::is_cancelled;
use crate::step::stop::reasons;
use crate::wait::alarm;
use std::sync::Arc;
use wasmtime::{CallHook, Store, StoreContextMut, Trap, UpdateDeadline};

/// How many epochs a store's deadline is ahead whose guest does not look at the epoch.
const OUT_OF_REACH: u64 = 1 << 62;

impl Control {
    /// Makes a new store keep to the limits. `stops` is what stops the guest that it is for.
    /// `counts_calls` says whether it is to count the calls that are inside each other, even if nothing limits them. `elements_of_twins` of
    /// its table elements are not the guest's.
    pub(crate) fn attach<S: Send + 'static>(
        self: &Arc<Self>,
        store: &mut Store<S>,
        stops: Stops,
        counts_calls: bool,
        elements_of_twins: usize,
    ) {
        self.slice.new_store();
        self.stopper.set_stops(stops);
        if stops == Stops::AtEpochs {
            let control = self.clone();
            store.epoch_deadline_callback(move |_| Ok(control.epoch_has_advanced()));
        } else if store.engine().get_epoch_interruption() {
            store.set_epoch_deadline(OUT_OF_REACH);
        }
        let counts_fuel = store.engine().get_consume_fuel();
        let yields = self.yields_before_host_calls;
        #[cfg(feature = "explore")]
        let is_watched = self.watcher.0.as_ref().map(|watcher| watcher.begins()).is_some();
        #[cfg(not(feature = "explore"))]
        let is_watched = false;
        if counts_fuel || yields || counts_calls || is_watched || self.nesting.is_limited() {
            let control = self.clone();
            let hook = move |mut store: StoreContextMut<'_, S>, hook| {
                control.count_nesting(hook)?;
                #[cfg(feature = "explore")]
                if let Watcher(Some(watcher)) = &control.watcher {
                    watcher.crosses(hook, &mut store)?;
                }
                if yields && matches!(hook, CallHook::CallingHost) {
                    // The call of the host may be that of an epoch check.
                    control.slice.yield_at_epoch();
                }
                match hook {
                    _ if !counts_fuel => Ok(()),
                    CallHook::CallingWasm | CallHook::ReturningFromHost => {
                        control.apply_slice(&mut store)
                    }
                    CallHook::CallingHost | CallHook::ReturningFromWasm => {
                        control.set_fuel(store.get_fuel()?);
                        Ok(())
                    }
                }
            };
            if yields {
                store.call_hook_async(YieldBeforeHostCalls(hook));
            } else {
                store.call_hook(hook);
            }
        }
        if let Some(growth) = &self.growth {
            growth.attach(store, elements_of_twins);
        }
    }

    fn count_nesting(&self, hook: CallHook) -> Result<(), Trap> {
        match hook {
            CallHook::CallingWasm => match self.nesting.enter() {
                Enter::Entered => {}
                Enter::TooDeep => return Err(Trap::StackOverflow),
            },
            CallHook::ReturningFromWasm => self.nesting.leave(),
            CallHook::CallingHost | CallHook::ReturningFromHost => {}
        }
        Ok(())
    }

    /// The guest is about to run. If a new step has begun, this tells the store its slice.
    fn apply_slice<S>(&self, store: &mut StoreContextMut<'_, S>) -> wasmtime::Result<()> {
        let apply = match self.epoch.enter_guest() {
            EnteredFrom::Host => self.slice.enter_guest(),
            // Compiled code has its fuel in a register there, and would not see a new interval.
            EnteredFrom::EpochCheck => Apply::Nothing,
        };
        match apply {
            Apply::Nothing => Ok(()),
            Apply::Interval(fuel) => store.fuel_async_yield_interval(Some(fuel)),
            Apply::NoInterval => store.fuel_async_yield_interval(None),
        }
    }

    /// Decides what the guest does when it sees that the epoch has advanced.
    fn epoch_has_advanced(&self) -> UpdateDeadline {
        match self.epoch.look(self.reasons()) {
            Look::GoOn => UpdateDeadline::Continue(1),
            Look::Yield => {
                self.slice.stop();
                self.slice.yield_at_epoch();
                UpdateDeadline::Yield(1)
            }
            Look::Interrupt => UpdateDeadline::Interrupt,
        }
    }

    /// Decides what the guest does, which has begun to look at the epoch or has taken its flag.
    fn reasons(&self) -> Look {
        reasons(|| {
            if is_cancelled() {
                return Look::Interrupt;
            }
            if !self.epoch.is_in_call() {
                return Look::GoOn;
            }
            let now = alarm::now_nanoseconds();
            if self.look_at_time(now) == Verdict::TimedOut {
                return Look::Interrupt;
            }
            if self.stopper.is_to_yield(now) { Look::Yield } else { Look::GoOn }
        })
    }
}

#[cfg(feature = "prepare")]
impl Checked for Control {
    fn look(&self) -> Look {
        let look = self.reasons();
        if look == Look::Yield {
            self.slice.stop();
        }
        look
    }
}
