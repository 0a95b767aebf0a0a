//! [`Observe`]: how others learn that a call waits. An observer is registered with the latch of the job's handle. The [`state`] tells
//! whether the job is idle, and its parking notifies the observer.
//!
//! [`state`]: crate::call::state

use crate::call::state::State;
use crate::call::task::Task;
use crate::call::turn::{Job, Observe, Runnable};
use crate::wait::latch::Latch;
use std::ptr;

impl<T: Send + 'static> Observe for Task<T> {
    fn idle(&self, latch: &Latch) -> Option<u64> {
        self.look_as(latch, State::idle)?
    }

    fn is_ending(&self) -> bool {
        self.state.is_ending()
    }

    fn watch(&self, latch: &Latch) {
        self.look_as(latch, State::watch);
    }
}

impl<T: Send + 'static> Task<T> {
    /// Looks at the state, or changes it, if the call is still the job whose handle has this latch.
    pub(super) fn look_as<R>(&self, latch: &Latch, look: impl FnOnce(&State) -> R) -> Option<R> {
        let own = self.schedule.lock();
        let is_own = own.as_ref().is_some_and(|own| ptr::eq(own.latch(), latch));
        is_own.then(|| look(&self.state))
    }

    /// Notifies the observers at the end of a turn in which the call was parked. Another thread may be in charge of the call by now. If the
    /// call is over, its latch has notified them.
    #[cold]
    pub(super) fn notify_observers(&self) -> Option<Job> {
        if let Some(schedule) = self.schedule() {
            schedule.latch().wake_observers();
        }
        None
    }
}
