//! [`Native`]: a job that is no call, a closure. It has one turn, and nobody to give a result to.

use crate::pool::after::{After, Countdown, Dependent};
use crate::pool::handle::{Over, Submitted};
use crate::pool::{Job, JobPool, Spawn, Turn, on_this_stack};
use crate::step::interrupt::in_step;
use crate::sync::Mutex;
use crate::trace::{Ending, Traced};
use crate::unwind::{drop_payload, ignore_panic};
use crate::wait::latch::{HasFailed, Latch};
use std::ptr;
use std::sync::Arc;

/// What it waits for is an `A`: nothing, or other jobs. All that belongs to a job is in one allocation, for there are many.
pub(crate) struct Native<F, A = ()> {
    /// There until it is run, or given up.
    work: Mutex<Option<F>>,
    latch: Latch,
    traced: Traced,
    after: A,
}

impl<F: FnOnce() + Send + 'static, A: Send + Sync + 'static> Native<F, A> {
    pub(crate) fn new(work: F, after: A) -> Arc<Self> {
        let native = Self {
            traced: Traced::closure(&work),
            work: Mutex::new(Some(work)),
            latch: Latch::default(),
            after,
        };
        native.traced.submitted();
        Arc::new(native)
    }

    fn take(&self) -> Option<F> {
        self.work.lock().take()
    }

    fn give_up(&self, ending: Ending) {
        if let Some(work) = self.take() {
            ignore_panic(|| drop(work));
            self.traced.ended(ending);
            self.latch.complete(true);
        }
    }
}

impl<F: FnOnce() + Send + 'static, A: Send + Sync + 'static> Turn for Native<F, A> {
    fn turn(self: Arc<Self>) -> Option<Job> {
        if let Some(work) = self.take() {
            let outcome = self.traced.step(|| on_this_stack(|| in_step(work)));
            let (has_failed, ending) = (outcome.is_err(), Ending::of_closure(&outcome));
            drop_payload(outcome);
            self.traced.ended(ending);
            self.latch.complete(has_failed);
        }
        None
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
}

impl<F: FnOnce() + Send + 'static, P: JobPool> Dependent for Native<F, After<P>> {
    fn countdown(&self) -> &Countdown {
        &self.after.countdown
    }

    fn go_on(self: Arc<Self>, has_failed: HasFailed) {
        self.after.release(Job::new(self.clone()), has_failed);
    }
}

impl<F, A> AsRef<Latch> for Native<F, A> {
    fn as_ref(&self) -> &Latch {
        &self.latch
    }
}

impl<F: FnOnce() + Send + 'static, A: Send + Sync + 'static> Over for Native<F, A> {
    fn cancel(&self) {
        self.give_up(Ending::cancelled());
    }

    fn is_of(&self, turns: &Arc<dyn Turn>) -> bool {
        ptr::addr_eq(Arc::as_ptr(turns), self)
    }
}
