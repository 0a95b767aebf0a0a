//! [`Strategy`]: what makes the choices of a schedule. [`Script`] makes those of a list.

use crate::explore::choice::Choice;
use crate::explore::footprint::Footprint;

pub(crate) trait Strategy: Send {
    /// A new run begins. False if there is no other schedule to run.
    fn begin(&mut self) -> bool;

    /// Which of these jobs takes the next step? They are given by their numbers: first the one that took the last step, if it can go on, and
    /// then the others in ascending order. Called even if there is only one, in which case the choice is not recorded.
    /// `None` ends the run, because it would repeat others.
    fn next(&mut self, ready: &[usize]) -> Option<Choice>;

    /// One of `of` possibilities.
    fn pick(&mut self, of: u32) -> u32;

    /// Is it to be told what each step has touched?
    fn wants_footprints(&self) -> bool {
        false
    }

    /// The last step in progress has ended.
    fn stepped(&mut self, _: Footprint) {}

    /// The run is over, and had this many steps.
    fn end(&mut self, steps: usize);

    /// Why the run was not one of the schedule.
    fn misfit(&self) -> Option<&str> {
        None
    }

    /// Was every schedule run?
    fn is_exhausted(&self) -> bool {
        false
    }
}

/// The first line of a failure by a test that is not the same each time.
pub(crate) const WENT_ANOTHER_WAY: &str = "the same schedule went another way when it was run again: make what the test changes inside of it, and use `World::clock` and `World::pool`";

/// Makes the choices of a list, once, and then zeros.
pub(crate) struct Script {
    choices: Vec<Choice>,
    /// How many were made.
    made: usize,
    has_begun: bool,
    misfit: Option<String>,
}

impl Script {
    pub(crate) fn new(choices: Vec<Choice>) -> Self {
        Self { choices, made: 0, has_begun: false, misfit: None }
    }

    /// A choice may be too great, if the test is not the one that the schedule was made for.
    fn choice(&mut self, of: usize) -> Choice {
        let Choice { value, fuel } = self.choices.get(self.made).copied().unwrap_or_default();
        self.made += 1;
        let most = u32::try_from(of - 1).unwrap_or(u32::MAX);
        if value > most {
            let number = self.made;
            self.misfit.get_or_insert_with(|| {
                format!("the schedule is not one of this test: its choice {number} is {value}, and there are {of} possibilities")
            });
        }
        Choice { value: value.min(most), fuel }
    }
}

impl Strategy for Script {
    fn begin(&mut self) -> bool {
        !std::mem::replace(&mut self.has_begun, true)
    }

    fn next(&mut self, ready: &[usize]) -> Option<Choice> {
        Some(if ready.len() > 1 { self.choice(ready.len()) } else { Choice::NONE })
    }

    fn pick(&mut self, of: u32) -> u32 {
        self.choice(of as usize).value
    }

    fn end(&mut self, _: usize) {
        let left = self.choices.len().saturating_sub(self.made);
        if left > 0 {
            self.misfit.get_or_insert_with(|| {
                format!("the schedule is not one of this test, which ends {left} choices before")
            });
        }
    }

    fn misfit(&self) -> Option<&str> {
        self.misfit.as_deref()
    }
}
