//! [`Slice`]: how much a guest may do in one step.

use crate::step::interrupt::nanoseconds;
use std::time::Duration;

/// How much a guest may do in one step. At the end of its slice, a call has [yielded](crate::Step::Yielded).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Slice {
    /// As much as it does until it yields, waits or ends by itself. The collector of what its exceptions hold lets it yield now
    /// and then, too.
    #[default]
    Unbounded,
    /// As much as it does in this time, which begins with the step. What it spends in host functions counts; what it spends
    /// waiting does not, for then there is no step.
    ///
    /// It is stopped by the engine's epoch, at its next loop or function entry: a host function that blocks is not. No time
    /// at all is taken for a nanosecond.
    Time(Duration),
    /// As much as it does with this fuel, in wasmtime's units: about one an instruction. No fuel at all is taken for one.
    ///
    /// The same guest stops at the same places on every machine and in every run: where the instructions that lie between
    /// two loops or calls have used up the rest. What its host functions do is not counted.
    ///
    /// The exception is a call that was stopped by time or by the epoch just before this was set: compiled code keeps the count
    /// to itself there. Until it next calls the host, its steps end after a millisecond.
    Fuel(u64),
}

impl Slice {
    /// Slices are kept in a word, to be set while another thread runs the guest.
    const FUEL: u64 = 1 << 63;
    const MOST: u64 = Self::FUEL - 2;

    pub(crate) fn is_of_fuel(self) -> bool {
        matches!(self, Self::Fuel(_))
    }

    pub(crate) fn to_word(self) -> u64 {
        let at_most = |amount: u64| amount.clamp(1, Self::MOST);
        match self {
            Self::Unbounded => UNBOUNDED,
            Self::Time(time) => at_most(nanoseconds(time)),
            Self::Fuel(fuel) => at_most(fuel) | Self::FUEL,
        }
    }

    pub(crate) fn from_word(word: u64) -> Self {
        if word == UNBOUNDED {
            Self::Unbounded
        } else if word & Self::FUEL != 0 {
            Self::Fuel(word & !Self::FUEL)
        } else {
            Self::Time(Duration::from_nanos(word))
        }
    }
}

pub(crate) const UNBOUNDED: u64 = u64::MAX;
