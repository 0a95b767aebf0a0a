//! [`Guest`]: a guest of a world, whose steps the schedule ends by fuel.

use crate::guest::instance::Instance;
use crate::guest::limit::slice::Slice;
use std::cell::Cell;

/// What the run does with a guest, of whatever state and exports.
pub(crate) trait Guest: Send {
    /// Ends its steps by this fuel.
    fn set_fuel(&self, fuel: Fuel);

    /// Has it a slice of time?
    fn has_time_slice(&self) -> bool;

    /// By how much fuel its steps end then.
    fn slice(&self, fuel: Fuel) -> Option<u64>;
}

/// By how much fuel a step ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fuel {
    /// So much, because the schedule says so.
    Chosen(u32),
    /// What the test has set. If that is nothing: so much, and then the step goes on with its next part, up to [`MOST_PARTS`] times.
    Part(u64),
}

/// The most parts of a step that the schedule does not end. After these, it is taken for endless.
pub(crate) const MOST_PARTS: u32 = 1_000;

impl Fuel {
    /// No end, but for a step that uses more than this.
    pub(crate) fn at_most(fuel: u64) -> Self {
        Self::Part(fuel.div_ceil(MOST_PARTS.into()).max(1))
    }
}

pub(crate) struct WorldGuest<S: 'static, E: 'static> {
    instance: Instance<S, E>,
    counts_fuel: bool,
    /// The slice that the test has set.
    own: Cell<Slice>,
    /// The slice that the world has set.
    set: Cell<Option<Slice>>,
}

impl<S: Send + 'static, E: Send + Sync + 'static> WorldGuest<S, E> {
    pub(crate) fn new(instance: &Instance<S, E>, counts_fuel: bool) -> Self {
        let own = Cell::new(instance.control().slice());
        Self { instance: instance.share(), counts_fuel, own, set: Cell::new(None) }
    }
}

impl<S: Send + 'static, E: Send + Sync + 'static> Guest for WorldGuest<S, E> {
    fn set_fuel(&self, fuel: Fuel) {
        if !self.counts_fuel {
            return;
        }
        let now = self.instance.control().slice();
        if self.set.get() != Some(now) {
            self.own.set(now);
        }
        let slice = self.slice(fuel).map_or(self.own.get(), Slice::Fuel);
        self.set.set(Some(slice));
        // The engine counts fuel, so this is not refused.
        let _ = self.instance.set_slice(slice);
    }

    fn slice(&self, fuel: Fuel) -> Option<u64> {
        match (fuel, self.own.get()) {
            (Fuel::Chosen(fuel), _) => Some(fuel.into()),
            (Fuel::Part(fuel), Slice::Unbounded) => Some(fuel),
            (Fuel::Part(_), Slice::Fuel(own)) => Some(own),
            (Fuel::Part(_), Slice::Time(_)) => None,
        }
    }

    fn has_time_slice(&self) -> bool {
        matches!(self.instance.control().slice(), Slice::Time(_))
    }
}
