//! [`Pct`]: priorities that change a few times, as in probabilistic concurrency testing.

use crate::explore::choice::Choice;
use crate::explore::random::{Preemption, Rng, Schedules};
use crate::explore::strategy::Strategy;

pub(crate) struct Pct {
    schedules: Schedules,
    depth: u32,
    /// The steps of the longest run so far.
    longest: usize,
    preemption: Preemption,
    rng: Rng,
    /// The priorities of the jobs, by their numbers.
    priorities: Vec<u64>,
    /// The steps before which a priority changes, the last one first.
    changes: Vec<usize>,
    step: usize,
}

/// Priorities below this are those after a change: the later the change, the lower.
const CHANGED: u64 = 1 << 32;

impl Pct {
    pub(crate) fn new(seed: u64, schedules: u64, depth: u32, preemption: Preemption) -> Self {
        Self {
            schedules: Schedules::new(seed, schedules),
            depth,
            longest: 0,
            preemption,
            rng: Rng::new(seed, 0),
            priorities: Vec::new(),
            changes: Vec::new(),
            step: 0,
        }
    }

    /// The place of the job with the highest priority. A job that is new gets a random one.
    fn highest(&mut self, ready: &[usize]) -> usize {
        let most = ready.iter().max().copied().unwrap_or(0);
        while self.priorities.len() <= most {
            self.priorities.push(CHANGED + (self.rng.next() >> 1));
        }
        let places = 0..ready.len();
        places.max_by_key(|place| self.priorities[ready[*place]]).unwrap_or(0)
    }
}

impl Strategy for Pct {
    fn begin(&mut self) -> bool {
        let Some(rng) = self.schedules.next() else { return false };
        self.rng = rng;
        self.priorities.clear();
        self.step = 0;
        let steps = u32::try_from(self.longest).unwrap_or(u32::MAX);
        let count = if steps == 0 { 0 } else { self.depth.saturating_sub(1) };
        self.changes = (0..count).map(|_| self.rng.below(steps) as usize).collect();
        self.changes.sort_unstable_by(|a, b| b.cmp(a));
        true
    }

    fn next(&mut self, ready: &[usize]) -> Option<Choice> {
        let mut place = self.highest(ready);
        let mut fuel = 0;
        while self.changes.last().is_some_and(|step| *step <= self.step) {
            self.changes.pop();
            if self.preemption.most > 0 && self.rng.below(2) == 1 {
                // The change comes in the middle of this step, so before the next one.
                fuel = self.preemption.slice(&mut self.rng);
                let at = self.changes.partition_point(|step| *step > self.step + 1);
                self.changes.insert(at, self.step + 1);
                // A second change of the same step is not to add another one.
                break;
            }
            self.priorities[ready[place]] = self.changes.len() as u64;
            place = self.highest(ready);
        }
        self.step += 1;
        if ready.len() == 1 {
            return Some(Choice::NONE);
        }
        Some(Choice { value: u32::try_from(place).unwrap_or(u32::MAX), fuel })
    }

    fn pick(&mut self, of: u32) -> u32 {
        self.rng.below(of)
    }

    fn end(&mut self, steps: usize) {
        self.longest = self.longest.max(steps);
    }
}
