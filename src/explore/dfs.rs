//! [`Dfs`]: all schedules, one after the other, depth first.

use crate::explore::choice::{Choice, Made, trim};
use crate::explore::strategy::Strategy;

/// Follows the choices of `next`, and then takes the first possibility each time. The deepest choice that has another possibility makes the
/// next schedule.
pub(crate) struct Dfs {
    limit: u64,
    /// `None` once there is no other schedule.
    next: Option<Vec<Choice>>,
    at: usize,
}

impl Dfs {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, next: Some(Vec::new()), at: 0 }
    }

    fn value(&mut self) -> u32 {
        let choice = self.next.as_ref().and_then(|next| next.get(self.at));
        self.at += 1;
        choice.map_or(0, |choice| choice.value)
    }
}

impl Strategy for Dfs {
    fn begin(&mut self) -> bool {
        self.at = 0;
        if self.limit == 0 || self.next.is_none() {
            return false;
        }
        self.limit -= 1;
        true
    }

    fn next(&mut self, ready: &[usize]) -> Choice {
        let value = if ready.len() > 1 { self.value() } else { 0 };
        // A test that goes another way when it is repeated may offer fewer possibilities than it did.
        let most = u32::try_from(ready.len() - 1).unwrap_or(u32::MAX);
        Choice { value: value.min(most), fuel: 0 }
    }

    fn pick(&mut self, of: u32) -> u32 {
        self.value().min(of - 1)
    }

    fn end(&mut self, made: &[Made], _: usize) {
        let deepest = made.iter().rposition(|made| made.choice.value + 1 < made.of);
        self.next = deepest.map(|at| {
            let mut next: Vec<_> = made[..=at].iter().map(|made| made.choice).collect();
            next[at].value += 1;
            trim(&mut next);
            next
        });
    }

    fn is_exhausted(&self) -> bool {
        self.next.is_none()
    }
}
