//! [`Guest`]: a guest of a world, whose steps the schedule ends by fuel.

use crate::guest::limit::control::Control;
use crate::guest::limit::slice::Slice;
use std::cell::Cell;
use std::sync::Arc;

/// What the run does with a guest, of whatever state and exports.
pub(crate) trait Guest: Send {
    /// Ends its steps by this fuel.
    fn set_fuel(&self, fuel: Fuel);

    /// Has the test set a slice?
    fn has_own_slice(&self) -> bool;

    /// Has it a slice of time?
    fn has_time_slice(&self) -> bool;

    /// By how much fuel its steps end then.
    fn slice(&self, fuel: Fuel) -> Option<u64>;
}

/// By how much fuel a step ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fuel {
    /// The schedule ends the step after this fuel.
    Chosen(u32),
    /// The step ends by the slice that the test has set. If there is none, more than this is a failure.
    Most(u64),
}

/// It keeps nothing of the guest but how that is limited: the guest is gone when the test drops it.
pub(crate) struct WorldGuest {
    control: Arc<Control>,
    counts_fuel: bool,
    /// The slice that the test has set.
    own: Cell<Slice>,
    /// The slice that the world has set last, and the last one that was not chosen by the schedule. A pool of instances notes the latter, and may
    /// set it again.
    set: Cell<Option<Slice>>,
    usual: Cell<Option<Slice>>,
}

impl WorldGuest {
    pub(crate) fn new(control: Arc<Control>, counts_fuel: bool) -> Self {
        let own = Cell::new(control.slice());
        Self { control, counts_fuel, own, set: Cell::new(None), usual: Cell::new(None) }
    }
}

impl Guest for WorldGuest {
    fn set_fuel(&self, fuel: Fuel) {
        if !self.counts_fuel {
            return;
        }
        let now = self.control.slice();
        if self.set.get() != Some(now) && self.usual.get() != Some(now) {
            self.own.set(now);
        }
        let slice = self.slice(fuel).map_or(self.own.get(), Slice::Fuel);
        self.set.set(Some(slice));
        if matches!(fuel, Fuel::Most(_)) {
            self.usual.set(Some(slice));
        }
        // No check: the engine counts fuel, and its own slice was checked.
        self.control.set_slice(slice);
    }

    fn slice(&self, fuel: Fuel) -> Option<u64> {
        match (fuel, self.own.get()) {
            (Fuel::Chosen(fuel), _) => Some(fuel.into()),
            (Fuel::Most(fuel), Slice::Unbounded) => Some(fuel),
            (Fuel::Most(_), Slice::Fuel(own)) => Some(own),
            (Fuel::Most(_), Slice::Time(_)) => None,
        }
    }

    fn has_own_slice(&self) -> bool {
        self.own.get() != Slice::Unbounded
    }

    fn has_time_slice(&self) -> bool {
        matches!(self.control.slice(), Slice::Time(_))
    }
}
