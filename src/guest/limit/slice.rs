//! [`Slice`]: how much a guest may do in one step.

use crate::step::interrupt::nanoseconds;
use std::time::Duration;

/// How much a guest may do in one step. When it has used up its slice, the call [yields](crate::Step::Yielded).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Slice {
    /// The guest runs until it yields, waits or ends by itself. A guest that throws exceptions also yields when their heap is
    /// collected.
    #[default]
    Unbounded,
    /// The guest runs for this time, which begins with the step. The time that it spends in host functions counts. The time that it
    /// waits does not, because it waits between steps. Zero stands for a nanosecond.
    ///
    /// The guest is [stopped](crate::Stops) at its next loop or function entry: by the engine's epoch or, if its module was prepared for
    /// that, by its [flag](crate::EngineOptions::stop_flags). A host function that blocks is not stopped, nor is a guest inside `memory.atomic.wait`: see [`EngineOptions::threads`](crate::EngineOptions::threads).
    ///
    /// How far beyond its slice a guest gets is measured by `slice_overshoot` of the benchmark, and what a slice costs by `time_slice_in_a_step`.
    ///
    /// Slices of eight milliseconds and more cost less: steps that follow each other quickly share readings of the clock. Such a step may last for up to an eighth
    /// more than its slice. On a machine whose processors are all busy the clock may be read late, and such a step ends earlier by as much.
    Time(Duration),
    /// The guest runs until it has used this fuel, in wasmtime's units: about one an instruction. Zero stands for one.
    ///
    /// The same guest stops at the same places on every machine and in every run: at the first loop or function entry after the
    /// fuel is used up. What its host functions do is not counted. The cost is measured by `fuel_slice_in_a_step` of the
    /// benchmark.
    ///
    /// A guest that is stopped within its slice, at the end of a budget for example, goes on with the rest of it, so its slices go on ending at
    /// the same places. The exception is a guest that looks at a [flag](crate::EngineOptions::stop_flags): to take it, it runs some tens of
    /// instructions, which use fuel that cannot be given back. Its later stops come so much earlier. Where that matters, let guests look at the
    /// [epoch](crate::EngineOptions::epoch_interruption).
    ///
    /// If this is set while a call is stopped by the epoch, each step ends after a millisecond until the guest next calls
    /// the host, because wasmtime cannot be told the new slice before that.
    ///
    /// wasmtime refuses synchronous calls in a store that ever had a slice of fuel. From the first call with one until the next
    /// [`reset`](crate::Instance::reset), calls through [`StoreGuard::parts`](crate::StoreGuard::parts) must be asynchronous.
    Fuel(u64),
}

impl Slice {
    /// The bit that marks a word as a slice of fuel.
    const FUEL: u64 = 1 << 63;
    /// The greatest amount: with `FUEL`, it is still less than `UNBOUNDED`.
    const MOST: u64 = Self::FUEL - 2;
    const UNBOUNDED: u64 = u64::MAX;

    /// The slice in one word, which another thread can set while the guest runs.
    pub(crate) fn to_word(self) -> u64 {
        let at_most = |amount: u64| amount.clamp(1, Self::MOST);
        match self {
            Self::Unbounded => Self::UNBOUNDED,
            Self::Time(time) => at_most(nanoseconds(time)),
            Self::Fuel(fuel) => at_most(fuel) | Self::FUEL,
        }
    }

    pub(crate) fn from_word(word: u64) -> Self {
        if word == Self::UNBOUNDED {
            Self::Unbounded
        } else if word & Self::FUEL != 0 {
            Self::Fuel(word & !Self::FUEL)
        } else {
            Self::Time(Duration::from_nanos(word))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Slice;
    use std::time::Duration;

    #[test]
    fn a_slice_comes_back_out_of_its_word() {
        for slice in [
            Slice::Unbounded,
            Slice::Time(Duration::from_nanos(1)),
            Slice::Time(Duration::from_secs(3600)),
            Slice::Fuel(1),
            Slice::Fuel(u64::MAX / 4),
        ] {
            assert_eq!(Slice::from_word(slice.to_word()), slice);
        }
        assert_eq!(Slice::from_word(Slice::Fuel(0).to_word()), Slice::Fuel(1));
        assert_eq!(Slice::from_word(Slice::Fuel(u64::MAX).to_word()), Slice::Fuel(Slice::MOST));
        let zero = Slice::from_word(Slice::Time(Duration::ZERO).to_word());
        assert_eq!(zero, Slice::Time(Duration::from_nanos(1)));
        let greatest = Slice::from_word(Slice::Time(Duration::MAX).to_word());
        assert_eq!(greatest, Slice::Time(Duration::from_nanos(Slice::MOST)));
    }
}
