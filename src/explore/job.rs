//! [`WorldJob`]: what a run knows of one of its jobs.

use crate::call::turn::{Job, Schedule};
use crate::explore::host_names::HostCall;
use crate::explore::line::{Awaited, Note, Why};
use crate::outcome::JobOutcome;
use crate::pool::handle::JobHandle;
use std::mem;
use std::sync::Weak;

#[derive(Default)]
pub(crate) struct WorldJob {
    pub(crate) name: Option<String>,
    /// The label of a job of the world's own.
    pub(crate) own_label: Option<String>,
    /// `None` if another pool has made the job, and enqueues it here.
    pub(crate) handle: Option<JobHandle>,
    /// How the call gets into the queue, if it has no handle here.
    pub(crate) schedule: Option<Weak<dyn Schedule>>,
    /// Can it go on, or is it in a step?
    pub(crate) is_active: bool,
    /// The jobs before it.
    pub(crate) after: Vec<usize>,
    pub(crate) is_closure: bool,
    pub(crate) steps: u32,
    /// The panic that it has ended with, and the place of that.
    pub(crate) panic: Option<String>,
    /// The failure of a call, with the functions of the guest if it has trapped.
    pub(crate) failure: Option<String>,
    /// The last call of the host, if the run is to be explained.
    pub(crate) host_call: Option<HostCall>,
    /// Has that call not begun yet?
    pub(crate) is_before_call: bool,
    /// Has that call begun, and not returned?
    pub(crate) is_in_call: bool,
    pub(crate) awaits: Vec<Awaited>,
    /// Did its last step end with its slice of fuel, before the guest was to call the host? wasmtime calls the host for that, so the guest may
    /// stop again there.
    pub(crate) may_stop_again: bool,
    /// Is it to be dropped when it can go on?
    pub(crate) is_to_be_dropped: bool,
    /// Was its end seen?
    pub(crate) is_known_to_be_over: bool,
}

/// A job that can go on.
pub(crate) struct Ready {
    pub(crate) number: usize,
    pub(crate) job: Job,
    pub(crate) why: Why,
}

impl WorldJob {
    pub(crate) fn label(&self, number: usize) -> String {
        match &self.own_label {
            Some(label) => label.clone(),
            None => format!("{}#{number}", self.name.as_deref().unwrap_or("job")),
        }
    }

    /// How it has ended. A closure that was enqueued by another pool has, once it was run.
    pub(crate) fn outcome(&self) -> Option<JobOutcome> {
        match (&self.handle, &self.schedule) {
            (Some(handle), _) => handle.outcome(),
            (None, Some(_)) => None,
            (None, None) => (!self.is_active).then_some(JobOutcome::Succeeded),
        }
    }

    /// Notes in which host function it goes on, if that is known.
    pub(crate) fn call_note(&mut self) -> Option<Note> {
        let call = self.host_call.as_ref()?.to_string();
        if mem::take(&mut self.is_before_call) {
            self.is_in_call = true;
            return Some(Note::Calls(call));
        }
        self.is_in_call.then_some(Note::IsIn(call))
    }

    /// The panic that it has ended with, and the name of the call; `None` for a closure.
    pub(crate) fn panic(&self) -> Option<(Option<String>, String)> {
        let name = if self.is_closure { None } else { Some(self.name.clone()?) };
        Some((name, self.panic.clone()?))
    }

    pub(crate) fn is_over(&self) -> bool {
        match (&self.handle, &self.schedule) {
            (Some(handle), _) => handle.is_complete(),
            (None, _) if self.is_active => false,
            (None, Some(call)) => call.upgrade().is_none_or(|call| call.latch().is_set()),
            (None, None) => true,
        }
    }

    /// Is it the call that gets into the queue in this way?
    pub(crate) fn is_call_of(&self, schedule: &Weak<dyn Schedule>) -> bool {
        self.schedule.as_ref().is_some_and(|own| Weak::ptr_eq(own, schedule))
    }
}
