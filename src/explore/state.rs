//! [`State`]: what changes while a run goes on: its jobs, those that can go on, and what has happened.

use crate::call::turn::Job;
use crate::explore::choice::Choice;
use crate::explore::footprint::Footprint;
use crate::explore::line::{End, Line, Note, StepLine, Waker, Why};
use crate::explore::quiet;
use crate::explore::strategy::Strategy;
use crate::outcome::JobOutcome;
use crate::pool::handle::JobHandle;
use crate::wait::block::Wanted;
use std::collections::HashSet;
use std::mem;
use std::sync::Arc;

/// A guest whose steps may be ended by fuel.
pub(crate) trait Guest: Send {
    /// Ends its steps by this fuel; by what it had before, if that is zero.
    fn set_fuel(&self, fuel: u32);

    /// Has it a slice of time?
    fn has_time_slice(&self) -> bool;
}

pub(crate) type Hash = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What outlives a run.
pub(crate) struct Carried {
    pub(crate) strategy: Box<dyn Strategy>,
    /// The states that were seen.
    pub(crate) states: HashSet<u64>,
}

pub(crate) struct State {
    pub(crate) carried: Carried,
    pub(crate) jobs: Vec<Known>,
    /// The jobs that can go on, by their numbers, in ascending order.
    pub(crate) ready: Vec<Ready>,
    /// The numbers of these in the order for the strategy. Kept for its allocation.
    pub(crate) order: Vec<usize>,
    /// The lines of the steps in progress: those inside others last.
    pub(crate) running: Vec<usize>,
    /// The job that took the last step.
    pub(crate) last: Option<usize>,
    pub(crate) is_ticking: bool,
    pub(crate) choices: Vec<Choice>,
    pub(crate) lines: Vec<Line>,
    pub(crate) steps: usize,
    /// How many jobs there were, and how many of them were over, at the beginning of the last step.
    pub(crate) known: usize,
    pub(crate) over: usize,
    /// How often in succession nothing could be done.
    pub(crate) idle: u32,
    pub(crate) guests: Vec<Box<dyn Guest>>,
    /// Has a guest come since the last step began? Its slice is set when the next one begins, and not before: what makes the guest may note the
    /// slice that it has, as a pool of instances does.
    pub(crate) has_new_guest: bool,
    /// The fuel of the step in progress, or of the last one; zero if it was not ended by fuel.
    pub(crate) slice: u32,
    pub(crate) hash: Option<Hash>,
    /// Why the run was stopped.
    pub(crate) stop: Option<String>,
    /// The run was stopped inside the steps in progress: what blocks there is unwound.
    pub(crate) is_unwinding: bool,
    /// The run was ended because it would repeat others.
    pub(crate) is_redundant: bool,
    pub(crate) is_closed: bool,
}

/// A job of this run.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) name: Option<String>,
    pub(crate) handle: Option<JobHandle>,
    pub(crate) steps: u32,
    /// The panic of a closure.
    pub(crate) panic: Option<String>,
}

pub(crate) struct Ready {
    pub(crate) number: usize,
    pub(crate) job: Job,
    pub(crate) why: Why,
}

impl Known {
    pub(crate) fn label(&self, number: usize) -> String {
        format!("{}#{number}", self.name.as_deref().unwrap_or("job"))
    }

    pub(crate) fn is_over(&self) -> bool {
        self.handle.as_ref().is_none_or(JobHandle::is_complete)
    }
}

impl State {
    pub(crate) fn new(carried: Carried) -> Self {
        Self {
            carried,
            jobs: Vec::new(),
            ready: Vec::new(),
            order: Vec::new(),
            running: Vec::new(),
            last: None,
            is_ticking: false,
            choices: Vec::new(),
            lines: Vec::new(),
            steps: 0,
            known: 0,
            over: 0,
            idle: 0,
            guests: Vec::new(),
            has_new_guest: false,
            slice: 0,
            hash: None,
            stop: None,
            is_unwinding: false,
            is_redundant: false,
            is_closed: false,
        }
    }

    /// What wakes a job now.
    pub(crate) fn waker(&self, is_own_thread: bool) -> Waker {
        if !is_own_thread {
            return Waker::Thread;
        }
        match self.running.last().map(|line| &self.lines[*line]) {
            _ if self.is_ticking => Waker::Clock,
            Some(Line::Step(step)) => Waker::Job(step.job),
            _ => Waker::Test,
        }
    }

    pub(crate) fn line_is_of(&self, line: usize, job: usize) -> bool {
        matches!(&self.lines[line], Line::Step(step) if step.job == job)
    }

    /// Takes the job out that the strategy chooses, and begins the line of its step. `None` if the run would repeat others.
    pub(crate) fn begin_step(&mut self, wanted: Wanted) -> Option<(Job, usize)> {
        if self.is_redundant {
            return None;
        }
        self.order.clear();
        // A closure might wait for the same as the thread that waits here, on top of it, and keep it from what it is given.
        let only_calls =
            wanted.is_turns() && self.ready.iter().any(|ready| ready.job.is_of_a_call());
        let ready = self.ready.iter().filter(|ready| !only_calls || ready.job.is_of_a_call());
        let numbers = ready.map(|ready| ready.number);
        let last = self.last.filter(|last| numbers.clone().any(|number| number == *last));
        self.order.extend(last);
        self.order.extend(numbers.filter(|number| Some(*number) != last));
        let Some(choice) = self.carried.strategy.next(&self.order) else {
            self.is_redundant = true;
            return None;
        };
        if self.order.len() > 1 {
            self.choices.push(choice);
        }
        let chosen = self.order[choice.value as usize];
        let place = self.ready.partition_point(|ready| ready.number < chosen);
        let Ready { number, job, why } = self.ready.remove(place);
        if mem::take(&mut self.has_new_guest) || self.slice != choice.fuel {
            self.slice = choice.fuel;
            self.guests.iter().for_each(|guest| guest.set_fuel(choice.fuel));
        }
        if self.carried.strategy.wants_footprints() {
            (self.known, self.over) = (self.jobs.len(), self.over());
        }
        self.steps += 1;
        self.idle = 0;
        self.jobs[number].steps += 1;
        let (notes, end) = (Vec::new(), End::Never);
        let step = self.jobs[number].steps;
        let line = StepLine { job: number, step, why, notes, fuel: choice.fuel, end };
        self.lines.push(Line::Step(line));
        self.running.push(self.lines.len() - 1);
        Some((job, self.lines.len() - 1))
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
        let is_alone = line + 1 == self.lines.len()
            && self.known == self.jobs.len()
            && self.over() == expected;
        let touched = step.notes.iter().map(|note| match note {
            Note::Touches(what) => Some(what.clone()),
            Note::Chose { .. } => None,
        });
        let touched: Option<Vec<_>> = touched.collect();
        touched.filter(|_| is_alone).map_or(Footprint::All, Footprint::Of)
    }

    /// Ends the step of this line. `next` is the job, if it has yielded.
    pub(crate) fn end_step(&mut self, line: usize, next: Option<Job>) {
        self.running.pop();
        let Line::Step(step) = &mut self.lines[line] else { return };
        let known = &mut self.jobs[step.job];
        let outcome = known.handle.as_ref().and_then(JobHandle::outcome);
        step.end = match (&next, outcome) {
            _ if self.is_unwinding => End::Never,
            (Some(_), _) => End::Yielded,
            (None, None) => End::Waits,
            (None, Some(JobOutcome::Succeeded)) => End::Done,
            (None, Some(JobOutcome::Cancelled)) => End::Cancelled,
            (None, Some(JobOutcome::Failed)) => End::Failed,
        };
        if step.end == End::Failed && known.name.is_none() {
            known.panic = quiet::last();
        }
        let number = step.job;
        self.last = Some(number);
        if let Some(job) = next {
            self.put(Ready { number, job, why: Why::Yielded });
        }
    }

    /// A job can go on.
    pub(crate) fn put(&mut self, ready: Ready) {
        let place = self.ready.partition_point(|other| other.number < ready.number);
        self.ready.insert(place, ready);
    }

    /// Notes something in the line of the step in progress.
    pub(crate) fn note(&mut self, note: Note) {
        match self.running.last().map(|line| &mut self.lines[*line]) {
            Some(Line::Step(step)) => step.notes.push(note),
            _ => self.lines.push(Line::Test(note)),
        }
    }
}
