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
use std::task::Waker;

/// Runnables of woken coroutines, in the order of the wakes.
#[derive(Default)]
pub(crate) struct ReadyQueue {
    queue: Mutex<Queue>,
    /// Whether the queue has any. It is written under the lock; a frame with nothing to do reads it instead of locking.
    has_any: AtomicBool,
    pushed: Condvar,
}

#[derive(Default)]
struct Queue {
    runnables: VecDeque<Runnable>,
    /// Wakes the thread that sleeps until there is a runnable, in [`Coroutines::run`](crate::Coroutines::run).
    sleeper: Option<Waker>,
}

impl ReadyQueue {
    #[inline]
    pub(crate) fn push(&self, runnable: Runnable) {
        let mut queue = self.queue.lock();
        queue.runnables.push_back(runnable);
        // Relaxed: the lock orders the runnables. This orders nothing, and a frame that races with a wake may miss it.
        self.has_any.store(true, Relaxed);
        let sleeper = queue.sleeper.take();
        drop(queue);
        self.pushed.notify_one();
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    /// Moves all runnables to the end of `due`.
    #[inline]
    pub(crate) fn drain_into(&self, due: &mut VecDeque<Runnable>) {
        // Relaxed: a wake that happened before this frame is seen, because its store happened before this load.
        if self.has_any.load(Relaxed) {
            self.take(&mut self.queue.lock().runnables, due);
        }
    }

    /// Sleeps until there is a runnable, then moves all to the end of `due`.
    pub(crate) fn wait_and_drain_into(&self, due: &mut VecDeque<Runnable>) {
        let mut queue = self.queue.lock();
        self.pushed.wait_while(&mut queue, |queue| queue.runnables.is_empty());
        self.take(&mut queue.runnables, due);
    }

    /// Is there a runnable? If not, `sleeper` will be woken when there is. It must not be foreign code, because it is woken inside the
    /// wake of a coroutine.
    pub(crate) fn has_any_or_wakes(&self, sleeper: &Waker) -> bool {
        let mut queue = self.queue.lock();
        if queue.runnables.is_empty() {
            queue.sleeper = Some(sleeper.clone());
        }
        !queue.runnables.is_empty()
    }

    fn take(&self, runnables: &mut VecDeque<Runnable>, due: &mut VecDeque<Runnable>) {
        due.append(runnables);
        self.has_any.store(false, Relaxed);
    }
}
