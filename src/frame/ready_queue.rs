//! [`ReadyQueue`]: the runnables of woken coroutines. Any thread pushes, when it wakes a coroutine; the loop's thread takes them out,
//! at the beginning of each frame.
//!
//! It is a deque under a lock and not a lock-free queue. Taking an entry out of a `SegQueue` spins while the thread that pushes
//! that entry is preempted; if the loop's thread has real-time priority on the same core, it would spin for ever. A lock and a
//! condition variable put the loop's thread to sleep instead.

use async_task::Runnable;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Runnables of woken coroutines, in the order of the wakes.
#[derive(Default)]
pub(crate) struct ReadyQueue {
    runnables: Mutex<VecDeque<Runnable>>,
    /// Whether `runnables` has any. It is written under the lock; a frame with nothing to do reads it instead of locking.
    has_any: AtomicBool,
    pushed: Condvar,
}

impl ReadyQueue {
    #[inline]
    pub(crate) fn push(&self, runnable: Runnable) {
        let mut runnables = self.runnables.lock();
        runnables.push_back(runnable);
        // Relaxed: the lock orders the runnables. This orders nothing, and a frame that races with a wake may miss it.
        self.has_any.store(true, Relaxed);
        drop(runnables);
        self.pushed.notify_one();
    }

    /// Moves all runnables to the end of `due`.
    #[inline]
    pub(crate) fn drain_into(&self, due: &mut VecDeque<Runnable>) {
        // Relaxed: a wake that happened before this frame is seen, because its store happened before this load.
        if self.has_any.load(Relaxed) {
            self.take(&mut self.runnables.lock(), due);
        }
    }

    /// Sleeps until there is a runnable, then moves all to the end of `due`.
    pub(crate) fn wait_and_drain_into(&self, due: &mut VecDeque<Runnable>) {
        let mut runnables = self.runnables.lock();
        self.pushed.wait_while(&mut runnables, |runnables| runnables.is_empty());
        self.take(&mut runnables, due);
    }

    fn take(&self, runnables: &mut VecDeque<Runnable>, due: &mut VecDeque<Runnable>) {
        due.append(runnables);
        self.has_any.store(false, Relaxed);
    }
}
