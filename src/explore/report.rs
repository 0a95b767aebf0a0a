//! [`Report`]: what was explored.

use std::fmt;

/// What was explored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The number of schedules that were run.
    pub schedules: u64,
    /// The number of runs that were ended early, because they would have repeated others. Only [`Explorer::reduce`](crate::explore::Explorer::reduce) has them.
    pub redundant: u64,
    /// The number of steps in all schedules.
    pub steps: u64,
    /// The steps of the longest one.
    pub longest: usize,
    /// The number of distinct states after a step, if they are told apart: by [`Explorer::count_states`](crate::explore::Explorer::count_states), by [`World::hash_by`](crate::explore::World::hash_by), or by both.
    pub states: usize,
    /// Was every schedule run? Only [`dfs`](crate::explore::dfs) knows.
    pub is_exhaustive: bool,
}

/// In one line.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { schedules, redundant, steps, longest, states, is_exhaustive } = self;
        write!(f, "{schedules} schedules, {steps} steps, {longest} in the longest one")?;
        if *redundant > 0 {
            write!(f, ", {redundant} redundant runs")?;
        }
        if *states > 0 {
            write!(f, ", {states} states")?;
        }
        f.write_str(if *is_exhaustive { ", the search is complete" } else { "" })
    }
}
