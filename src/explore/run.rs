//! [`Run`]: one run of a test. It has the jobs that can go on, has the strategy choose among them, and gives the chosen one a step.

use crate::call::turn::Job;
use crate::explore::choice::{Choice, Made};
use crate::explore::line::{End, Line, Note, StepLine, Waker, Why};
use crate::explore::quiet;
use crate::explore::strategy::Strategy;
use crate::outcome::JobOutcome;
use crate::pool::handle::{JobHandle, Rest};
use crate::wait::clock::{Clock, ManualClock};
use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::HashSet;
use std::mem;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::{self, ThreadId};

pub(crate) struct Run {
    pub(crate) clock: ManualClock,
    /// Does the strategy end steps by fuel?
    pub(crate) preempts: bool,
    thread: ThreadId,
    max_steps: usize,
    state: Mutex<State>,
}

/// Sets the slice of a guest's steps, in fuel; zero stands for none.
pub(crate) type Slicer = Box<dyn Fn(u32) + Send>;

type Hash = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What outlives a run.
pub(crate) struct Carried {
    pub(crate) strategy: Box<dyn Strategy>,
    /// The states that were seen.
    pub(crate) states: HashSet<u64>,
}

struct State {
    carried: Carried,
    jobs: Vec<Known>,
    /// The jobs that can go on, by their numbers, in ascending order.
    ready: Vec<Ready>,
    /// The numbers of these in the order for the strategy. Kept for its allocation.
    order: Vec<usize>,
    /// The lines of the steps in progress: those inside others last.
    running: Vec<usize>,
    /// The job that took the last step.
    last: Option<usize>,
    is_ticking: bool,
    made: Vec<Made>,
    lines: Vec<Line>,
    steps: usize,
    /// How often in succession nothing could be done.
    idle: u32,
    slicers: Vec<Slicer>,
    slice: u32,
    hash: Option<Hash>,
    /// Why the run was stopped.
    stop: Option<String>,
    is_closed: bool,
}

/// A job of this run.
#[derive(Default)]
struct Known {
    name: Option<String>,
    handle: Option<JobHandle>,
    steps: u32,
    /// The panic of a closure.
    panic: Option<String>,
}

struct Ready {
    number: usize,
    job: Job,
    why: Why,
}

/// What a run leaves behind.
pub(crate) struct Ended {
    pub(crate) carried: Carried,
    pub(crate) made: Vec<Made>,
    pub(crate) lines: Vec<Line>,
    pub(crate) labels: Vec<String>,
    pub(crate) steps: usize,
    pub(crate) stop: Option<String>,
    /// The panics of closures that were jobs.
    pub(crate) panics: Vec<String>,
    /// The label of a job that was not over at the end.
    pub(crate) unfinished: Option<String>,
}

/// The payload of the panic that ends a run which was stopped.
struct Stopped;

impl Known {
    fn label(&self, number: usize) -> String {
        format!("{}#{number}", self.name.as_deref().unwrap_or("job"))
    }

    fn is_over(&self) -> bool {
        self.handle.as_ref().is_none_or(JobHandle::is_complete)
    }
}

impl Run {
    pub(crate) fn new(carried: Carried, max_steps: usize, preempts: bool) -> Self {
        let state = State {
            carried,
            jobs: Vec::new(),
            ready: Vec::new(),
            order: Vec::new(),
            running: Vec::new(),
            last: None,
            is_ticking: false,
            made: Vec::new(),
            lines: Vec::new(),
            steps: 0,
            idle: 0,
            slicers: Vec::new(),
            slice: 0,
            hash: None,
            stop: None,
            is_closed: false,
        };
        Self {
            clock: ManualClock::new(),
            preempts,
            thread: thread::current().id(),
            max_steps,
            state: Mutex::new(state),
        }
    }

    // Jobs come.

    /// The number of a new job.
    pub(crate) fn new_job(&self) -> usize {
        let mut state = self.state.lock();
        state.jobs.push(Known::default());
        state.jobs.len() - 1
    }

    pub(crate) fn set_handle(&self, number: usize, handle: &JobHandle) {
        self.state.lock().jobs[number].handle = Some(handle.clone());
    }

    /// A job that is new can go on.
    pub(crate) fn submit(&self, number: usize, job: Job) {
        self.put(Ready { number, job, why: Why::Submitted });
    }

    /// A job that has waited can go on.
    pub(crate) fn wake(&self, number: usize, job: Job) {
        let waker = self.state.lock().waker(thread::current().id() == self.thread);
        self.put(Ready { number, job, why: Why::WokenBy(waker) });
    }

    fn put(&self, ready: Ready) {
        let is_own_thread = thread::current().id() == self.thread;
        let mut state = self.state.lock();
        if state.is_closed {
            drop(state);
            return drop(ready);
        }
        let known = &mut state.jobs[ready.number];
        if known.name.is_none() {
            known.name = ready.job.name();
        }
        if !is_own_thread {
            let label = state.jobs[ready.number].label(ready.number);
            state.stop.get_or_insert_with(|| {
                format!(
                    "{label} was woken by another thread, at a time that no schedule decides: use `World::clock` and `World::pool`"
                )
            });
        }
        let place = state.ready.partition_point(|other| other.number < ready.number);
        state.ready.insert(place, ready);
    }

    // Jobs run.

    /// What a thread of this run does instead of sleeping.
    pub(crate) fn help(&self) {
        if self.advance() {
            return;
        }
        // What this thread waits for may have come without a step. It looks, and comes back if not.
        let idle = {
            let mut state = self.state.lock();
            state.idle += 1;
            state.idle
        };
        if idle > 1 {
            self.stop_in_deadlock(true);
        }
    }

    pub(crate) fn run_all(&self) {
        while self.advance() {}
        if self.state.lock().jobs.iter().any(|job| !job.is_over()) {
            self.stop_in_deadlock(false);
        }
    }

    /// Gives one job a step, or moves the clock. False if there is neither a job that can go on nor a sleeper.
    ///
    /// # Panics
    ///
    /// If the run was stopped.
    fn advance(&self) -> bool {
        let mut state = self.state.lock();
        if state.ready.is_empty() && state.stop.is_none() {
            drop(state);
            return self.move_clock();
        }
        if state.steps == self.max_steps {
            let most = self.max_steps;
            state.stop.get_or_insert_with(|| {
                format!("there are more than {most} steps: a job goes on for ever, or `Explorer::max_steps` is too low")
            });
        }
        if state.stop.is_some() {
            drop(state);
            resume_unwind(Box::new(Stopped));
        }
        let (job, line) = state.begin_step();
        drop(state);
        let next = job.step();
        let mut state = self.state.lock();
        state.end_step(line, next);
        let hash = state.hash.clone();
        let is_stopped = state.stop.is_some();
        drop(state);
        if is_stopped {
            resume_unwind(Box::new(Stopped));
        }
        if let Some(hash) = hash {
            let hash = hash();
            self.state.lock().carried.states.insert(hash);
        }
        true
    }

    fn move_clock(&self) -> bool {
        let Some(deadline) = self.clock.next_deadline() else { return false };
        {
            let mut state = self.state.lock();
            state.lines.push(Line::Clock(deadline));
            state.is_ticking = true;
            state.idle = 0;
        }
        self.clock.tick(deadline.saturating_sub(self.clock.now()));
        self.state.lock().is_ticking = false;
        true
    }

    /// Stops the run, because nobody can go on.
    fn stop_in_deadlock(&self, test_waits: bool) -> ! {
        let mut state = self.state.lock();
        let mut text =
            String::from("deadlock: no job can go on, and none sleeps on the world's clock");
        if test_waits {
            text.push_str("\n  the test waits");
        }
        for (number, job) in state.jobs.iter().enumerate().filter(|(_, job)| !job.is_over()) {
            let rest = job.handle.as_ref().and_then(|handle| handle.completion().rest());
            let (label, steps) = (job.label(number), job.steps);
            text.push_str(&match rest {
                Some(Rest::Deferred) => format!("\n  {label} waits for jobs before it"),
                _ if state.running.iter().any(|line| state.line_is_of(*line, number)) => {
                    format!("\n  {label} blocks in its step {steps}")
                }
                _ => format!("\n  {label} waits since its step {steps}"),
            });
        }
        text.push_str(
            "\nwhat waits for another clock, pool or thread has to use `World::clock` and `World::pool`",
        );
        state.stop.get_or_insert(text);
        drop(state);
        resume_unwind(Box::new(Stopped));
    }

    // What the test and host functions ask.

    pub(crate) fn pick(&self, of: u32) -> u32 {
        let mut state = self.state.lock();
        if of == 1 {
            return 0;
        }
        let value = state.carried.strategy.pick(of);
        state.made.push(Made { choice: Choice { value, fuel: 0 }, of });
        state.note(Note::Chose { value, of });
        value
    }

    pub(crate) fn touches(&self, what: Cow<'static, str>) {
        self.state.lock().note(Note::Touches(what));
    }

    pub(crate) fn add_slicer(&self, slicer: Slicer) {
        self.state.lock().slicers.push(slicer);
    }

    pub(crate) fn hash_by(&self, hash: Hash) {
        let other = self.state.lock().hash.replace(hash);
        drop(other);
    }

    // The run ends.

    /// The label of a job that is not over.
    pub(crate) fn unfinished(&self) -> Option<String> {
        let state = self.state.lock();
        let (number, job) = state.jobs.iter().enumerate().find(|(_, job)| !job.is_over())?;
        Some(job.label(number))
    }

    /// Ends the run. Jobs that are left go back to their owners.
    pub(crate) fn close(&self, carried: Carried, unfinished: Option<String>) -> Ended {
        let mut state = self.state.lock();
        state.is_closed = true;
        let left = (mem::take(&mut state.ready), mem::take(&mut state.slicers), state.hash.take());
        drop(state);
        drop(left);
        let mut state = self.state.lock();
        let jobs = mem::take(&mut state.jobs);
        let ended = Ended {
            carried: mem::replace(&mut state.carried, carried),
            made: mem::take(&mut state.made),
            lines: mem::take(&mut state.lines),
            labels: jobs.iter().enumerate().map(|(number, job)| job.label(number)).collect(),
            steps: state.steps,
            stop: state.stop.take(),
            panics: jobs.iter().filter_map(|job| job.panic.clone()).collect(),
            unfinished,
        };
        drop(state);
        drop(jobs);
        ended
    }
}

impl State {
    /// What wakes a job now.
    fn waker(&self, is_own_thread: bool) -> Waker {
        if !is_own_thread {
            return Waker::Thread;
        }
        match self.running.last().map(|line| &self.lines[*line]) {
            _ if self.is_ticking => Waker::Clock,
            Some(Line::Step(step)) => Waker::Job(step.job),
            _ => Waker::Test,
        }
    }

    fn line_is_of(&self, line: usize, job: usize) -> bool {
        matches!(&self.lines[line], Line::Step(step) if step.job == job)
    }

    /// Takes the job out that the strategy chooses, and begins the line of its step.
    fn begin_step(&mut self) -> (Job, usize) {
        self.order.clear();
        let last = self.last.filter(|last| self.ready.iter().any(|ready| ready.number == *last));
        self.order.extend(last);
        let numbers = self.ready.iter().map(|ready| ready.number);
        self.order.extend(numbers.filter(|number| Some(*number) != last));
        let choice = self.carried.strategy.next(&self.order);
        if self.order.len() > 1 {
            let of = u32::try_from(self.order.len()).unwrap_or(u32::MAX);
            self.made.push(Made { choice, of });
        }
        let chosen = self.order[choice.value as usize];
        let place = self.ready.partition_point(|ready| ready.number < chosen);
        let Ready { number, job, why } = self.ready.remove(place);
        if self.slice != choice.fuel {
            self.slice = choice.fuel;
            self.slicers.iter().for_each(|slicer| slicer(choice.fuel));
        }
        self.steps += 1;
        self.idle = 0;
        self.jobs[number].steps += 1;
        let (notes, end) = (Vec::new(), End::Never);
        let step = self.jobs[number].steps;
        let line = StepLine { job: number, step, why, notes, fuel: choice.fuel, end };
        self.lines.push(Line::Step(line));
        self.running.push(self.lines.len() - 1);
        (job, self.lines.len() - 1)
    }

    /// Ends the step of this line. `next` is the job, if it has yielded.
    fn end_step(&mut self, line: usize, next: Option<Job>) {
        self.running.pop();
        let Line::Step(step) = &mut self.lines[line] else { return };
        let known = &mut self.jobs[step.job];
        let outcome = known.handle.as_ref().and_then(JobHandle::outcome);
        step.end = match (&next, outcome) {
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
            let place = self.ready.partition_point(|other| other.number < number);
            self.ready.insert(place, Ready { number, job, why: Why::Yielded });
        }
    }

    /// Notes something in the line of the step in progress.
    fn note(&mut self, note: Note) {
        match self.running.last().map(|line| &mut self.lines[*line]) {
            Some(Line::Step(step)) => step.notes.push(note),
            _ => self.lines.push(Line::Test(note)),
        }
    }
}
