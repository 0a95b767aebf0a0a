//! [`State`]: what changes while a run goes on: its jobs, those that can go on, and what has happened.

use crate::call::turn::Job;
use crate::explore::choice::Choice;
use crate::explore::guest::{Fuel, Guest};
use crate::explore::host_names::HostCall;
use crate::explore::job::{Ready, WorldJob};
use crate::explore::line::{Awaited, Line, Note, StepLine, Waker};
use crate::explore::strategy::Strategy;
use crate::wait::waits_for::{self, WaitsFor};
use std::collections::HashSet;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

pub(crate) type Hash = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What outlives a run.
pub(crate) struct Carried {
    pub(crate) strategy: Box<dyn Strategy>,
    /// The states that were seen.
    pub(crate) states: HashSet<u64>,
    /// The lines of the last run: the next one may have as many.
    pub(crate) lines: usize,
}

impl Carried {
    pub(crate) fn of(strategy: impl Strategy + 'static) -> Self {
        Self { strategy: Box::new(strategy), states: HashSet::new(), lines: 0 }
    }
}

pub(crate) struct State {
    pub(crate) carried: Carried,
    pub(crate) jobs: Vec<WorldJob>,
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
    /// The guests, by their numbers; `None` while one is instantiated.
    pub(crate) guests: Vec<Option<Box<dyn Guest>>>,
    /// A hash of each guest's exports, if states are told apart by these.
    pub(crate) hashes: Vec<u64>,
    /// Whether the guest that was left last had used up its slice of fuel.
    pub(crate) has_ended: bool,
    /// The step in progress may touch anything.
    pub(crate) touches_all: bool,
    /// How many panics there were before the step in progress.
    pub(crate) panics: usize,
    /// By how much fuel steps end now.
    pub(crate) fuel: Fuel,
    pub(crate) hash: Option<Hash>,
    /// Why the run was stopped.
    pub(crate) stop: Option<Stop>,
    /// The run was stopped inside the steps in progress: what blocks there is unwound.
    pub(crate) is_unwinding: bool,
    /// Where the guests were after the last step, if the run is to be explained.
    pub(crate) places: Vec<String>,
    /// The run was ended because it would repeat others.
    pub(crate) is_redundant: bool,
    pub(crate) is_closed: bool,
}

/// Why a run was stopped.
pub(crate) struct Stop {
    /// Failures with the same one are of the same kind. `None` if it is the text.
    pub(crate) kind: Option<String>,
    pub(crate) text: String,
}

/// How much of its slice of fuel a guest has used that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Within,
    /// All, so the guest may not be about to call the host.
    AtItsEnd,
    /// As much as no step may.
    Endless,
}

/// What the strategy has chosen.
pub(crate) enum Begun {
    /// A job takes a step, of which this is the line.
    Step(Job, usize),
    /// The clock moves to this deadline.
    Clock(Duration),
    /// Nothing, because the run was stopped, or would repeat others.
    Nothing,
}

impl State {
    pub(crate) fn new(carried: Carried, fuel: Fuel) -> Self {
        let lines = carried.lines;
        Self {
            carried,
            jobs: Vec::new(),
            ready: Vec::new(),
            order: Vec::new(),
            running: Vec::new(),
            last: None,
            is_ticking: false,
            choices: Vec::with_capacity(lines),
            lines: Vec::with_capacity(lines),
            steps: 0,
            known: 0,
            over: 0,
            idle: 0,
            guests: Vec::new(),
            hashes: Vec::new(),
            touches_all: false,
            panics: 0,
            has_ended: false,
            fuel,
            hash: None,
            stop: None,
            is_unwinding: false,
            places: Vec::new(),
            is_redundant: false,
            is_closed: false,
        }
    }

    /// What wakes a job now.
    pub(crate) fn waker(&self, is_own_thread: bool) -> Waker {
        if !is_own_thread {
            return Waker::Thread;
        }
        match self.running.last().map(|line| (*line, &self.lines[*line])) {
            _ if self.is_ticking => Waker::Clock,
            Some((line, Line::Step(step))) => Waker::Job { job: step.job, line },
            _ => Waker::Test,
        }
    }

    /// The step in progress: the innermost, if some are inside others.
    fn running_step(&mut self) -> Option<&mut StepLine> {
        match &mut self.lines[*self.running.last()?] {
            Line::Step(step) => Some(step),
            Line::Test(_) | Line::Clock(_) => None,
        }
    }

    /// The job that takes this step.
    fn running_job(&mut self) -> Option<&mut WorldJob> {
        let number = self.running_step()?.job;
        Some(&mut self.jobs[number])
    }

    pub(crate) fn line_is_of(&self, line: usize, job: usize) -> bool {
        matches!(&self.lines[line], Line::Step(step) if step.job == job)
    }

    /// The run is to end: it was stopped, or would repeat others.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.is_some() || self.is_redundant
    }

    pub(crate) fn stop_because(&mut self, text: String) {
        self.stop.get_or_insert(Stop { kind: None, text });
    }

    /// A guest is left, after it has used this fuel of its slice. Returns whether the slice has ended, if the schedule or the test has set it.
    pub(crate) fn leaves_guest(&mut self, number: usize, used: u64) -> Left {
        let guest = self.guests.get(number).and_then(Option::as_ref);
        let slice = guest.and_then(|guest| Some((guest, guest.slice(self.fuel)?)));
        match slice {
            Some((_, slice)) if used < slice => {}
            Some((guest, _)) if matches!(self.fuel, Fuel::Most(_)) && !guest.has_own_slice() => {
                let why = "a step goes on for ever, or `Explorer::max_fuel` is too low";
                self.stop_because(why.into());
                return Left::Endless;
            }
            Some(_) => {
                self.has_ended = true;
                return Left::AtItsEnd;
            }
            None => {}
        }
        self.has_ended = false;
        Left::Within
    }

    /// A guest is entered. Returns the number of the step.
    pub(crate) fn enters_guest(&mut self) -> usize {
        self.has_ended = false;
        if let Some(job) = self.running_job() {
            (job.may_stop_again, job.is_in_call) = (false, false);
        }
        self.steps
    }

    /// Is the stop of the step in progress only a part of where its last step ended?
    pub(crate) fn stops_again(&mut self) -> bool {
        self.running_job().is_some_and(|job| mem::take(&mut job.may_stop_again))
    }

    /// Notes what the step in progress waits for, if it does.
    pub(crate) fn note_awaits(&mut self) {
        let noted = waits_for::take();
        let Some(job) = self.running_step().map(|step| step.job) else { return };
        let mut awaits = Vec::new();
        for waits_for in noted {
            match waits_for {
                WaitsFor::Event(made) => awaits.push(Awaited::Event(made)),
                WaitsFor::Time(time) => awaits.push(Awaited::Time(time)),
                WaitsFor::MachinesClock => awaits.push(Awaited::MachinesClock),
                WaitsFor::Access => awaits.push(Awaited::Access),
                WaitsFor::Stock => awaits.push(Awaited::Stock),
                WaitsFor::Jobs(latches) => {
                    let jobs = latches.iter().filter_map(|latch| self.job_of(*latch));
                    awaits.extend(jobs.map(Awaited::Job));
                }
            }
        }
        awaits.dedup();
        self.jobs[job].awaits = awaits;
    }

    /// The job whose latch has this address.
    pub(crate) fn job_of(&self, latch: usize) -> Option<usize> {
        self.jobs.iter().position(|job| {
            let handle = job.handle.as_ref();
            handle.is_some_and(|handle| handle.latch().address() == latch)
        })
    }

    /// A job can go on. Returns the job if it is to be dropped instead.
    #[must_use]
    pub(crate) fn put(&mut self, ready: Ready) -> Option<Ready> {
        if mem::take(&mut self.jobs[ready.number].is_to_be_dropped) {
            return Some(ready);
        }
        self.jobs[ready.number].is_active = true;
        let place = self.ready.partition_point(|other| other.number < ready.number);
        self.ready.insert(place, ready);
        None
    }

    /// The guest of the step in progress is about to call the host. If it `stops` first, the call is a part of its next step.
    pub(crate) fn calls_host(&mut self, call: HostCall, stops: bool) {
        let Some(step) = self.running_step() else { return };
        if !stops {
            step.notes.push(Note::Calls(call.to_string()));
        }
        let job = step.job;
        let known = &mut self.jobs[job];
        (known.is_before_call, known.is_in_call) = (stops, !stops);
        known.host_call = Some(call);
    }

    /// Where the guests are whose calls are not over, and what has happened to those that have failed.
    pub(crate) fn places(&self) -> Vec<String> {
        let place = |(number, job): (usize, &WorldJob)| {
            let label = job.label(number);
            if let Some(failure) = job.panic.as_ref().or(job.failure.as_ref()) {
                return Some(format!("{label} has failed: {failure}"));
            }
            let call = job.host_call.as_ref().filter(|_| !job.is_over())?;
            let mut text = match (&call.name, job.is_before_call) {
                (Some(name), true) => format!("{label} is about to call {name}"),
                (Some(name), false) => format!("{label} has called {name}"),
                (None, true) => format!("{label} is about to call the host"),
                (None, false) => format!("{label} has called the host"),
            };
            for frame in &call.frames {
                text.push_str("\n  in ");
                text.push_str(frame);
            }
            Some(text)
        };
        self.jobs.iter().enumerate().filter_map(place).collect()
    }

    /// Notes something in the line of the step in progress.
    pub(crate) fn note(&mut self, note: Note) {
        match self.running_step() {
            Some(step) => step.notes.push(note),
            None => self.lines.push(Line::Test(note)),
        }
    }
}
