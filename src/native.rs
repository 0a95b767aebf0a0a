//! [`Native`]: a job that is no call, a closure. It has one turn, and nobody to give a result to.

use crate::interrupt::{Interrupter, enter};
use crate::job::{JobHandle, Over, Submitted};
use crate::latch::Latch;
use crate::pool::{Job, Spawn, Turn, on_this_stack};
use crate::sync::Mutex;
use crate::task::{forgo, quietly};
use crate::trace::{Ending, Traced};
use std::ptr;
use std::sync::Arc;

pub(crate) struct Native<F> {
    /// There until it is run, or given up.
    work: Mutex<Option<F>>,
    latch: Latch,
    traced: Traced,
}

impl<F: FnOnce() + Send + 'static> Native<F> {
    pub(crate) fn job(work: F) -> (Job, JobHandle) {
        let native = Arc::new(Self {
            traced: Traced::closure(&work),
            work: Mutex::new(Some(work)),
            latch: Latch::default(),
        });
        native.traced.submitted();
        (Job::new(native.clone()), JobHandle::new(native))
    }

    fn take(&self) -> Option<F> {
        self.work.lock().take()
    }

    fn give_up(&self, ending: Ending) {
        if let Some(work) = self.take() {
            quietly(|| drop(work));
            self.traced.ended(ending);
            self.latch.complete(true);
        }
    }
}

impl<F: FnOnce() + Send + 'static> Turn for Native<F> {
    fn turn(self: Arc<Self>) -> bool {
        if let Some(work) = self.take() {
            let outcome = self.traced.step(|| on_this_stack(|| enter(work)));
            let (has_failed, ending) = (outcome.is_err(), Ending::of_closure(&outcome));
            forgo(outcome);
            self.traced.ended(ending);
            self.latch.complete(has_failed);
        }
        false
    }

    fn spawn(&self) -> Option<Spawn> {
        None
    }

    fn give_back(&self) {
        self.give_up(Ending::cancelled());
    }

    fn cancel(self: Arc<Self>, _: &Submitted) {
        self.give_up(Ending::cancelled());
    }

    fn refuse(self: Arc<Self>) {
        self.give_up(Ending::refused());
    }

    fn is_cancelled(&self) -> bool {
        false
    }

    fn has_ended(&self) -> bool {
        self.latch.is_set()
    }

    fn interrupted_by(&self) -> Option<Interrupter> {
        None
    }
}

impl<F> AsRef<Latch> for Native<F> {
    fn as_ref(&self) -> &Latch {
        &self.latch
    }
}

impl<F: FnOnce() + Send + 'static> Over for Native<F> {
    fn cancel(&self) {
        self.give_up(Ending::cancelled());
    }

    fn is_of(&self, turns: &Arc<dyn Turn>) -> bool {
        ptr::addr_eq(Arc::as_ptr(turns), self)
    }
}
