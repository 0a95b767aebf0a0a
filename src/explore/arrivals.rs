//! How jobs come to a [`Run`], and how they are dropped.

use crate::call::turn::Job;
use crate::explore::job::{Ready, WorldJob};
use crate::explore::line::{Waker, Why};
use crate::explore::run::Run;
use crate::pool::handle::JobHandle;
use std::sync::Arc;
use std::thread;

impl Run {
    /// The number of a new job.
    pub(crate) fn new_job(&self) -> usize {
        let mut state = self.state.lock();
        state.jobs.push(WorldJob::default());
        state.jobs.len() - 1
    }

    /// A job of another pool is enqueued here, which may be one that has waited.
    pub(crate) fn enqueue(&self, job: Job) {
        let schedule = job.schedule().as_ref().map(Arc::downgrade);
        let known = schedule.as_ref().and_then(|schedule| {
            let state = self.state.lock();
            state.jobs.iter().position(|job| job.is_call_of(schedule))
        });
        match known {
            Some(number) => self.wake(number, job),
            None => {
                let number = self.new_job();
                self.state.lock().jobs[number].schedule = schedule;
                self.submit(number, job);
            }
        }
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
        let why = {
            let state = self.state.lock();
            match state.waker(thread::current().id() == self.thread) {
                Waker::Test if state.jobs[number].steps == 0 => Why::Submitted,
                waker => Why::WokenBy(waker),
            }
        };
        self.put(Ready { number, job, why });
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
            state.stop_because(format!(
                "{label} was woken by another thread, at a time that no schedule decides: use `World::clock` and `World::pool`"
            ));
        }
        let dropped = state.put(ready);
        drop(state);
        drop(dropped);
    }

    /// Drops a job that can go on; and one that cannot, as soon as it can.
    pub(crate) fn drop_job(&self, number: usize) {
        let dropped = {
            let mut state = self.state.lock();
            let place = state.ready.iter().position(|ready| ready.number == number);
            state.jobs[number].is_to_be_dropped = place.is_none();
            state.jobs[number].is_active &= place.is_none();
            state.touches_all = true;
            place.map(|place| state.ready.remove(place))
        };
        drop(dropped);
    }

    /// The number and the label of the job of a handle.
    pub(crate) fn job_of(&self, handle: &JobHandle) -> Option<(usize, String)> {
        let state = self.state.lock();
        let number = state.job_of(handle.latch().address())?;
        Some((number, state.jobs[number].label(number)))
    }

    /// Gives a job of the world's own a label.
    pub(crate) fn set_label(&self, number: usize, label: String) {
        self.state.lock().jobs[number].own_label = Some(label);
    }

    /// The job waits for these, if they are of this run.
    pub(crate) fn set_after(&self, number: usize, after: &[JobHandle]) {
        let mut state = self.state.lock();
        let latches = after.iter().flat_map(JobHandle::latches);
        state.jobs[number].after = latches.filter_map(|latch| state.job_of(latch)).collect();
    }
}
