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

    /// Has the test set a slice?
    fn has_own_slice(&self) -> bool;
}

/// By how much fuel a step ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fuel {
    /// So much, because the schedule says so.
    Chosen(u32),
    /// What the test has set. If that is nothing: so much, and then the step goes on, up to [`MOST_PARTS`] times.
    Part(u64),
}

/// In how many parts a step runs that the schedule does not end. After these, it is taken for endless. A guest may also stop within a part, for a
/// collection of garbage.
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
    /// The slice that the test has set, while the schedule sets its own.
    own: Cell<Option<Slice>>,
}

impl<S: Send + 'static, E: Send + Sync + 'static> WorldGuest<S, E> {
    pub(crate) fn new(instance: &Instance<S, E>, counts_fuel: bool) -> Self {
        Self { instance: instance.share(), counts_fuel, own: Cell::new(None) }
    }
}

impl<S: Send + 'static, E: Send + Sync + 'static> Guest for WorldGuest<S, E> {
    fn set_fuel(&self, fuel: Fuel) {
        if !self.counts_fuel {
            return;
        }
        let own = self.own.get().unwrap_or_else(|| self.instance.control().slice());
        self.own.set(Some(own));
        let slice = match fuel {
            Fuel::Chosen(fuel) => Slice::Fuel(fuel.into()),
            Fuel::Part(fuel) if own == Slice::Unbounded => Slice::Fuel(fuel),
            Fuel::Part(_) => own,
        };
        // The engine counts fuel, so this is not refused.
        let _ = self.instance.set_slice(slice);
    }

    fn has_time_slice(&self) -> bool {
        matches!(self.instance.control().slice(), Slice::Time(_))
    }

    fn has_own_slice(&self) -> bool {
        self.own.get().is_some_and(|own| own != Slice::Unbounded)
    }
}
