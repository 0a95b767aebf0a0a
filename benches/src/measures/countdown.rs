//! Waits for the end of many tasks by hand, as our `JobHandle::all` does: the thread is woken once, by the last task.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Thread};

pub(super) struct Countdown {
    remaining: AtomicUsize,
    waits: Thread,
}

impl Countdown {
    /// This thread will wait.
    pub(super) fn new(tasks: usize) -> Arc<Self> {
        Arc::new(Self { remaining: tasks.into(), waits: thread::current() })
    }

    /// A task is about to end.
    pub(super) fn count(&self) {
        if self.remaining.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.waits.unpark();
        }
    }

    pub(super) fn wait(&self) {
        while self.remaining.load(Ordering::Acquire) > 0 {
            thread::park();
        }
    }
}
