//! [`Run`]: one run of a test. It has the jobs that can go on, has the strategy choose among them, and gives the chosen one a step.

use crate::call::turn::Job;
use crate::explore::choice::{Choice, print};
use crate::explore::deadlock::deadlock;
use crate::explore::footprint::Footprint;
use crate::explore::guest::Guest;
use crate::explore::host_names::HostCall;
use crate::explore::job::WorldJob;
use crate::explore::line::{Line, Note};
use crate::explore::settings::Settings;
use crate::explore::state::{Begun, Carried, Hash, Left, State, Stop};
use crate::unwind::ignore_panic;
use crate::wait::block::Wanted;
use crate::wait::clock::{Clock, ManualClock};
use parking_lot::Mutex;
use std::hash::{Hash as _, Hasher};
use std::mem;
use std::panic::resume_unwind;
use std::thread::{self, ThreadId};
use std::time::Duration;
use twox_hash::XxHash3_64;
use wasmtime::WasmBacktrace;

pub(crate) struct Run {
    pub(crate) clock: ManualClock,
    pub(crate) settings: Settings,
    pub(crate) thread: ThreadId,
    pub(crate) state: Mutex<State>,
}

/// What a run leaves behind.
pub(crate) struct Ended {
    pub(crate) carried: Carried,
    pub(crate) choices: Vec<Choice>,
    pub(crate) lines: Vec<Line>,
    pub(crate) labels: Vec<String>,
    pub(crate) steps: usize,
    pub(crate) stop: Option<Stop>,
    pub(crate) is_redundant: bool,
    /// The panics of jobs, each with the name of the call; `None` for a closure.
    pub(crate) panics: Vec<(Option<String>, String)>,
    /// The label of a job that was not over at the end.
    pub(crate) unfinished: Option<String>,
    /// Where the guests are whose calls were not over or have failed.
    pub(crate) places: Vec<String>,
}

/// The payload of the panic that ends a run which was stopped.
struct Stopped;

impl Run {
    pub(crate) fn new(carried: Carried, settings: Settings) -> Self {
        let state = Mutex::new(State::new(carried, settings.fuel));
        Self { clock: ManualClock::new(), settings, thread: thread::current().id(), state }
    }

    // Jobs run.

    /// What a thread of this run does instead of sleeping. It does not help if what it waits for has woken it since it looked.
    pub(crate) fn help(&self, wanted: Wanted, was_woken: bool) {
        if was_woken {
            self.state.lock().idle = 0;
            return;
        }
        if self.advance(false, wanted) {
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
        while self.advance(true, Wanted::Any) {}
        if self.state.lock().jobs.iter().any(|job| !job.is_over()) {
            self.stop_in_deadlock(false);
        }
    }

    /// Gives one job a step, or moves the clock. False if there is neither a job that can go on nor a sleeper. Unless the step is `alone`, what comes
    /// right after it, before the next step, may touch anything.
    /// If turns of calls are `wanted`, no closure begins while a call can go on.
    ///
    /// # Panics
    ///
    /// If the run was stopped.
    fn advance(&self, alone: bool, wanted: Wanted) -> bool {
        let mut state = self.state.lock();
        let is_unwinding = thread::panicking();
        if is_unwinding && state.steps > 2 * self.settings.max_steps {
            drop(state);
            self.stop_in_deadlock(true);
        }
        if state.ready.is_empty() && (state.stop.is_none() || is_unwinding) {
            drop(state);
            let deadline = self.clock.next_deadline();
            return deadline.map(|deadline| self.move_clock(deadline)).is_some();
        }
        if state.steps == self.settings.max_steps {
            let most = self.settings.max_steps;
            state.stop_because(format!(
                "there are more than {most} steps: a job goes on for ever, or `Explorer::max_steps` is too low"
            ));
        }
        if state.guests.iter().flatten().any(|guest| guest.has_time_slice()) {
            let why =
                "a guest has a slice of time, whose end no schedule decides: use `Slice::Fuel`";
            state.stop_because(why.into());
        }
        let deadline =
            if self.settings.steps_take_time { self.clock.next_deadline() } else { None };
        let begun = state.begin_step(&self.settings, wanted, deadline);
        let (job, line) = match begun {
            Begun::Step(job, line) => (job, line),
            Begun::Clock(deadline) => {
                drop(state);
                self.move_clock(deadline);
                let mut state = self.state.lock();
                if state.carried.strategy.wants_footprints() {
                    state.carried.strategy.stepped(Footprint::All);
                }
                return true;
            }
            Begun::Nothing => {
                state.is_unwinding = true;
                drop(state);
                resume_unwind(Box::new(Stopped));
            }
        };
        // The strategy knows nothing of steps after a stop.
        let is_chosen = !state.is_stopped();
        drop(state);
        let schedule = job.schedule();
        let next = self.step(job);
        let outcome = schedule.and_then(|schedule| schedule.latch().outcome());
        let mut state = self.state.lock();
        let dropped = match state.end_step(line, next, outcome) {
            Some(ready) => state.put(ready),
            None => None,
        };
        if is_chosen && state.carried.strategy.wants_footprints() {
            let footprint = if alone { state.footprint(line) } else { Footprint::All };
            state.carried.strategy.stepped(footprint);
        }
        let hash = state.hash.clone();
        if self.settings.explains {
            state.note_ends(line);
            state.places = state.places();
        }
        let is_stopped = state.is_stopped();
        drop(state);
        drop(dropped);
        // A destructor that waits while the test unwinds may not unwind. It gets what it waits for.
        if is_stopped && !thread::panicking() {
            resume_unwind(Box::new(Stopped));
        }
        if self.settings.hashes_guests || hash.is_some() {
            let hash = hash.map(|hash| hash());
            let mut state = self.state.lock();
            let mut hasher = XxHash3_64::new();
            (hash, &state.hashes).hash(&mut hasher);
            state.carried.states.insert(hasher.finish());
        }
        true
    }

    /// Runs a job to its first stop.
    fn step(&self, job: Job) -> Option<Job> {
        let next = job.step()?;
        if self.state.lock().stops_again() { next.step() } else { Some(next) }
    }

    fn move_clock(&self, deadline: Duration) {
        {
            let mut state = self.state.lock();
            state.lines.push(Line::Clock(deadline));
            state.is_ticking = true;
            state.idle = 0;
        }
        self.clock.tick(deadline.saturating_sub(self.clock.now()));
        self.state.lock().is_ticking = false;
    }

    /// Stops the run, because nobody can go on.
    fn stop_in_deadlock(&self, test_waits: bool) -> ! {
        let mut state = self.state.lock();
        state.note_awaits();
        let stop = deadlock(&state, test_waits);
        if thread::panicking() {
            // A destructor waits for ever, and the process will abort, because a destructor may not unwind.
            let lines: Vec<_> = state.stop.iter().map(|stop| &*stop.text).collect();
            let schedule = print(&state.choices);
            eprintln!(
                "{}\nwhile the test unwinds: {}\nthe schedule: {schedule}",
                lines.join("\n"),
                stop.text
            );
        }
        state.stop.get_or_insert(stop);
        if self.settings.explains {
            state.places = state.places();
        }
        state.is_unwinding = true;
        drop(state);
        resume_unwind(Box::new(Stopped));
    }

    // What the test and host functions ask.

    pub(crate) fn pick(&self, of: u32) -> u32 {
        let mut state = self.state.lock();
        if of == 1 || state.is_stopped() {
            return 0;
        }
        let value = state.carried.strategy.pick(of);
        state.choices.push(Choice { value, fuel: 0 });
        state.note(Note::Chose { value, of });
        value
    }

    pub(crate) fn note(&self, note: Note) {
        self.state.lock().note(note);
    }

    /// The number of a new guest.
    pub(crate) fn new_guest(&self) -> usize {
        let mut state = self.state.lock();
        state.guests.push(None);
        state.hashes.push(0);
        state.guests.len() - 1
    }

    /// Its slice is not that of the step in progress, but the usual one until the next step begins: what makes the guest may note the slice that it
    /// has, as a pool of instances does.
    pub(crate) fn set_guest(&self, number: usize, guest: Box<dyn Guest>) {
        guest.set_fuel(self.settings.fuel);
        let mut state = self.state.lock();
        if let Some(place) = state.guests.get_mut(number) {
            *place = Some(guest);
        }
    }

    // What guests do.

    /// A guest is entered. Returns the number of the step.
    pub(crate) fn enters_guest(&self) -> usize {
        self.state.lock().enters_guest()
    }

    /// A guest is left, after it has used this fuel of its slice.
    pub(crate) fn leaves_guest(&self, number: usize, used: u64) -> Left {
        self.state.lock().leaves_guest(number, used)
    }

    /// The guest that runs is about to call the host. If it `stops` first, the call is a part of its next step. If its slice of fuel
    /// `has_ended`, there may be no call.
    pub(crate) fn calls_host(&self, backtrace: &WasmBacktrace, stops: bool, has_ended: bool) {
        if let Some(call) = HostCall::new(&self.settings.names, backtrace, has_ended) {
            self.state.lock().calls_host(call, stops);
        }
    }

    pub(crate) fn set_hash(&self, guest: usize, hash: u64) {
        if let Some(place) = self.state.lock().hashes.get_mut(guest) {
            *place = hash;
        }
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
        let left = (mem::take(&mut state.ready), mem::take(&mut state.guests), state.hash.take());
        drop(state);
        ignore_panic(|| drop(left));
        let mut state = self.state.lock();
        let jobs = mem::take(&mut state.jobs);
        let ended = Ended {
            carried: mem::replace(&mut state.carried, carried),
            choices: mem::take(&mut state.choices),
            lines: mem::take(&mut state.lines),
            labels: jobs.iter().enumerate().map(|(number, job)| job.label(number)).collect(),
            steps: state.steps,
            stop: state.stop.take(),
            is_redundant: state.is_redundant,
            panics: jobs.iter().filter_map(WorldJob::panic).collect(),
            unfinished,
            places: mem::take(&mut state.places),
        };
        drop(state);
        drop(jobs);
        ended
    }
}
