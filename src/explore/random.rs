//! [`Random`]: each choice at random. [`Rng`] makes the random numbers.

use crate::explore::choice::Choice;
use crate::explore::strategy::Strategy;

/// SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014): the same numbers everywhere.
#[derive(Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    /// The numbers of one schedule.
    pub(crate) fn new(seed: u64, schedule: u64) -> Self {
        let mut seeds = Self(seed);
        Self(seeds.next().wrapping_add(schedule.wrapping_mul(0xd134_2543_de82_ef95)))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `of`, by the upper half of a product (Lemire): the bias is below `of` / 2⁶⁴.
    pub(crate) fn below(&mut self, of: u32) -> u32 {
        let product = u128::from(self.next()) * u128::from(of);
        (product >> 64) as u32
    }
}

/// The random numbers of one schedule after another.
pub(crate) struct Schedules {
    seed: u64,
    most: u64,
    begun: u64,
}

impl Schedules {
    pub(crate) fn new(seed: u64, most: u64) -> Self {
        Self { seed, most, begun: 0 }
    }

    /// The numbers of the next schedule, if there is one more.
    pub(crate) fn next(&mut self) -> Option<Rng> {
        let schedule = self.begun;
        self.begun += 1;
        (schedule < self.most).then(|| Rng::new(self.seed, schedule))
    }
}

/// Ends some steps of guests early, by slices of fuel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Preemption {
    /// The greatest slice; zero if no step is ended early.
    pub(crate) most: u32,
}

impl Preemption {
    /// A slice, short ones as often as long ones.
    pub(crate) fn slice(self, rng: &mut Rng) -> u32 {
        if self.most == 0 {
            return 0;
        }
        let scale = rng.below(self.most.ilog2() + 1);
        let most = self.most.min(1_u32.checked_shl(scale + 1).unwrap_or(u32::MAX));
        1 + rng.below(most)
    }

    /// A slice for one step in four, and none for the others.
    fn slice_for_some(self, rng: &mut Rng) -> u32 {
        if self.most == 0 || rng.below(4) > 0 { 0 } else { self.slice(rng) }
    }
}

pub(crate) struct Random {
    schedules: Schedules,
    rng: Rng,
    preemption: Preemption,
}

impl Random {
    pub(crate) fn new(seed: u64, schedules: u64, preemption: Preemption) -> Self {
        let schedules = Schedules::new(seed, schedules);
        Self { schedules, rng: Rng::new(seed, 0), preemption }
    }
}

impl Strategy for Random {
    fn begin(&mut self) -> bool {
        let Some(rng) = self.schedules.next() else { return false };
        self.rng = rng;
        true
    }

    fn next(&mut self, ready: &[usize]) -> Option<Choice> {
        if ready.len() == 1 {
            return Some(Choice::NONE);
        }
        let value = self.rng.below(u32::try_from(ready.len()).unwrap_or(u32::MAX));
        Some(Choice { value, fuel: self.preemption.slice_for_some(&mut self.rng) })
    }

    fn pick(&mut self, of: u32) -> u32 {
        self.rng.below(of)
    }

    fn end(&mut self, _: usize) {}
}
