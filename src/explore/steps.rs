//! How a step begins, and how it ends: what of the [`State`] changes then.

use crate::call::turn::Job;
use crate::explore::choice::Choice;
use crate::explore::footprint::{Access, Footprint};
use crate::explore::guest::Fuel;
use crate::explore::job::Ready;
use crate::explore::line::{End, Line, Note, StepLine, Why};
use crate::explore::quiet;
use crate::explore::settings::Settings;
use crate::explore::state::{Begun, State};
use crate::outcome::JobOutcome;
use crate::trace::watch;
use crate::wait::block::Wanted;
use std::mem;
use std::thread;
use std::time::Duration;

/// What stands for the clock among the jobs that a strategy chooses from.
const CLOCK: usize = 0;

impl State {
    /// Takes the job out that the strategy chooses, and begins the line of its step. With a `deadline`, the clock may move instead.
    pub(crate) fn begin_step(
        &mut self,
        settings: &Settings,
        wanted: Wanted,
        deadline: Option<Duration>,
    ) -> Begun {
        let is_stopped = self.is_stopped();
        if is_stopped && !thread::panicking() {
            return Begun::Nothing;
        }
        // This step may be inside another one, which waits.
        self.note_awaits();
        self.find_order(wanted, deadline.is_some());
        // A destructor that waits while the test unwinds gets what it waits for, in any order.
        let choice =
            if is_stopped { Some(Choice::NONE) } else { self.carried.strategy.next(&self.order) };
        let Some(choice) = choice else {
            self.is_redundant = true;
            if !thread::panicking() {
                return Begun::Nothing;
            }
            return self.begin_step(settings, wanted, deadline);
        };
        if self.order.len() > 1 && !is_stopped {
            self.choices.push(choice);
        }
        let chosen = self.order[choice.value as usize];
        if let (CLOCK, Some(deadline)) = (chosen, deadline) {
            return Begun::Clock(deadline);
        }
        let place = self.ready.partition_point(|ready| ready.number < chosen - 1);
        let Ready { number, job, why } = self.ready.remove(place);
        self.set_fuel(match choice.fuel {
            0 => settings.fuel,
            fuel => Fuel::Chosen(fuel),
        });
        if self.carried.strategy.wants_footprints() {
            (self.known, self.over) = (self.jobs.len(), self.over());
        }
        if settings.explains {
            self.newly_over();
        }
        self.steps += 1;
        self.idle = 0;
        self.has_ended = false;
        (self.touches_all, self.panics) = (false, quiet::count());
        let known = &mut self.jobs[number];
        known.steps += 1;
        known.is_active = true;
        known.is_closure = !job.is_of_a_call();
        known.awaits.clear();
        let notes = known.call_note().into_iter().collect();
        let (step, fuel, end) = (known.steps, choice.fuel, End::Never);
        let line = StepLine { job: number, step, why, notes, fuel, end, awaits: Vec::new() };
        self.lines.push(Line::Step(line));
        self.running.push(self.lines.len() - 1);
        Begun::Step(job, self.lines.len() - 1)
    }

    /// Finds what the strategy may choose from: the last job first, and last the clock, if it may move. To the strategy, [`CLOCK`] is the clock, and
    /// a job is its number and one.
    fn find_order(&mut self, wanted: Wanted, clock_may_move: bool) {
        // A closure might wait for the same as the thread that waits here, on top of it, and keep it from what it is given.
        let only_calls =
            wanted.is_turns() && self.ready.iter().any(|ready| ready.job.is_of_a_call());
        let ready = self.ready.iter().filter(|ready| !only_calls || ready.job.is_of_a_call());
        let numbers = ready.map(|ready| ready.number);
        let last = self.last.filter(|last| numbers.clone().any(|number| number == *last));
        self.order.clear();
        self.order.extend(last.map(|last| last + 1));
        self.order.extend(numbers.filter(|number| Some(*number) != last).map(|number| number + 1));
        self.order.extend(clock_may_move.then_some(CLOCK));
    }

    /// Has the steps of guests end by this fuel.
    fn set_fuel(&mut self, fuel: Fuel) {
        self.fuel = fuel;
        self.guests.iter().flatten().for_each(|guest| guest.set_fuel(fuel));
    }

    /// How many jobs are over.
    pub(crate) fn over(&self) -> usize {
        self.jobs.iter().filter(|job| job.is_over()).count()
    }

    /// What the step of this line, which has just ended, has touched. A step that chooses, has others inside it, submits jobs or ends other jobs
    /// may touch anything.
    pub(crate) fn footprint(&self, line: usize) -> Footprint {
        let is_own_end = |end| matches!(end, End::Done | End::Failed | End::Cancelled);
        let Line::Step(step) = &self.lines[line] else { return Footprint::All };
        let expected = self.over + usize::from(is_own_end(step.end));
        let is_alone = !self.touches_all
            && line + 1 == self.lines.len()
            && self.known == self.jobs.len()
            && self.over() == expected;
        let touched = step.notes.iter().filter_map(|note| match note {
            Note::Reads(what) => Some(Some((what.clone(), Access::Reads))),
            Note::Touches(what) => Some(Some((what.clone(), Access::Changes))),
            Note::Chose { .. } => Some(None),
            Note::Calls(_) | Note::IsIn(_) | Note::Ends(_) => None,
        });
        let touched: Option<Vec<_>> = touched.collect();
        touched.filter(|_| is_alone).map_or(Footprint::All, Footprint::Of)
    }

    /// Ends the step of this line. `next` is the job, if it has yielded: it can go on. Else this may be how the call has ended.
    pub(crate) fn end_step(
        &mut self,
        line: usize,
        next: Option<Job>,
        outcome: Option<JobOutcome>,
    ) -> Option<Ready> {
        self.note_awaits();
        self.running.pop();
        let has_ended = mem::take(&mut self.has_ended);
        let Line::Step(step) = &mut self.lines[line] else { return None };
        let known = &mut self.jobs[step.job];
        known.may_stop_again = has_ended && next.is_some();
        known.is_active = self.ready.iter().any(|ready| ready.number == step.job);
        let outcome = outcome.or_else(|| known.outcome());
        step.end = match (&next, outcome) {
            _ if self.is_unwinding => End::Never,
            (Some(_), _) => End::Yielded,
            (None, None) => End::Waits,
            (None, Some(JobOutcome::Succeeded)) => End::Done,
            (None, Some(JobOutcome::Cancelled)) => End::Cancelled,
            (None, Some(JobOutcome::Failed)) => End::Failed,
        };
        match step.end {
            End::Waits => step.awaits.clone_from(&known.awaits),
            End::Failed => {
                known.panic = quiet::last().filter(|_| quiet::count() > self.panics);
                known.failure = if known.is_closure { None } else { watch::last() };
            }
            _ => {}
        }
        self.panics = quiet::count();
        let number = step.job;
        self.last = Some(number);
        next.map(|job| Ready { number, job, why: Why::Yielded })
    }

    /// The jobs that are over, and were not the last time.
    fn newly_over(&mut self) -> Vec<usize> {
        let jobs = self.jobs.iter_mut().enumerate();
        let over = jobs.filter(|(_, job)| !job.is_known_to_be_over && job.is_over());
        over.map(|(number, job)| {
            job.is_known_to_be_over = true;
            number
        })
        .collect()
    }

    /// Notes which other jobs the step of this line has ended.
    pub(crate) fn note_ends(&mut self, line: usize) {
        let over = self.newly_over();
        let Line::Step(step) = &mut self.lines[line] else { return };
        let others = over.into_iter().filter(|number| *number != step.job);
        step.notes.extend(others.map(|number| Note::Ends(self.jobs[number].label(number))));
    }
}
