//! [`Latch`]: set by one, waited for by many. Behind a [`JobHandle`](crate::JobHandle) it is set once, with the outcome of the job; behind
//! an [`Event`](crate::Event) it can be reset.

use crate::outcome::JobOutcome;
use crate::sync::{AtomicU8, Mutex};
use crate::unwind::ignore_panic;
use crate::wait::waiters::{Key, Waiters};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::task::{Context, Poll, Waker};

#[derive(Default)]
pub(crate) struct Latch {
    /// `UNSET`, or an outcome by its code. It changes under the lock of the line, and can be read without.
    state: AtomicU8,
    line: Mutex<Line>,
}

/// No outcome.
const UNSET: u8 = 0;

#[derive(Default)]
struct Line {
    subscribers: Waiters<(), Subscriber>,
    /// How many subscribers there were after the last pruning.
    after_pruning: usize,
}

enum Subscriber {
    Waker(Waker),
    Waiter(Arc<dyn Waiter>),
}

/// What a latch notifies, if not a waker.
pub(crate) trait Waiter: Send + Sync {
    /// The latch is set. It is called once, without the latch's lock.
    fn notify(self: Arc<Self>, outcome: JobOutcome);

    /// Does it still wait? If not, the latch may forget it.
    fn still_waits(&self) -> bool;
}

impl AsRef<Latch> for Latch {
    fn as_ref(&self) -> &Latch {
        self
    }
}

impl Latch {
    /// Sets the latch of an event.
    pub(crate) fn set(&self) {
        self.complete(JobOutcome::Succeeded);
    }

    /// Ends every wait that has begun, and each that begins before the latch is reset.
    pub(crate) fn complete(&self, outcome: JobOutcome) {
        let released = {
            let mut line = self.line.lock();
            self.state.store(outcome.code(), Release);
            line.after_pruning = 0;
            line.subscribers.release(())
        };
        for subscriber in released {
            ignore_panic(|| match subscriber {
                Subscriber::Waker(waker) => waker.wake(),
                Subscriber::Waiter(waiter) => waiter.notify(outcome),
            });
        }
    }

    pub(crate) fn reset(&self) {
        let _line = self.line.lock();
        self.state.store(UNSET, Release);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.outcome().is_some()
    }

    /// The outcome of a job that is over.
    pub(crate) fn outcome(&self) -> Option<JobOutcome> {
        JobOutcome::from_code(self.state.load(Acquire))
    }

    /// The outcome, if the latch is set; otherwise the waiter will be notified.
    pub(crate) fn subscribe<W: Waiter + 'static>(&self, waiter: &Arc<W>) -> Option<JobOutcome> {
        self.outcome().or_else(|| {
            let mut line = self.line.lock();
            let outcome = self.outcome();
            if outcome.is_none() {
                line.subscribers.add((), Subscriber::Waiter(waiter.clone()));
                let pruned = line.prune_if_grown();
                drop(line);
                drop(pruned);
            }
            outcome
        })
    }

    /// True if the latch is set, or was set since the key was given; otherwise `waker` will be woken, instead of the one that has this key.
    fn is_set_or_wakes(&self, waker: &Waker, key: &mut Option<Key<()>>) -> bool {
        if self.is_set() {
            return true;
        }
        let subscriber = Subscriber::Waker(waker.clone());
        let mut line = self.line.lock();
        if self.is_set() {
            drop(line);
            return true;
        }
        let Some(key) = *key else {
            *key = Some(line.subscribers.add((), subscriber));
            return false;
        };
        let replaced = line.subscribers.replace(key, subscriber);
        drop(line);
        replaced.is_err()
    }

    fn remove(&self, key: Key<()>) {
        // Out of the lock before it is dropped: it may be the last reference to anything.
        let removed = self.line.lock().subscribers.remove(key);
        drop(removed);
    }
}

impl Line {
    /// Takes out the waiters that no longer wait, such as jobs that were cancelled, each time that the line has doubled. So it never holds
    /// more than twice as many as wait, and looking for them costs each one that is added a constant.
    fn prune_if_grown(&mut self) -> Vec<Subscriber> {
        const LEAST: usize = if cfg!(wasm_jobs_loom) { 2 } else { 16 };
        if self.subscribers.len() < (2 * self.after_pruning).max(LEAST) {
            return Vec::new();
        }
        let pruned = self.subscribers.prune(|subscriber| match subscriber {
            Subscriber::Waker(_) => true,
            Subscriber::Waiter(waiter) => waiter.still_waits(),
        });
        self.after_pruning = self.subscribers.len();
        pruned
    }
}

/// One wait for a latch, which `L` is or has.
pub(crate) struct Wait<L: AsRef<Latch> + ?Sized = Latch> {
    on: Arc<L>,
    /// There once this was polled.
    key: Option<Key<()>>,
}

impl<L: AsRef<Latch> + ?Sized> Wait<L> {
    pub(crate) fn new(on: Arc<L>) -> Self {
        Self { on, key: None }
    }

    /// What is waited for.
    pub(crate) fn on(&self) -> &Arc<L> {
        &self.on
    }

    /// Is the wait over? Otherwise `waker` will be woken when it is.
    pub(crate) fn is_over_or_wakes(&mut self, waker: &Waker) -> bool {
        (*self.on).as_ref().is_set_or_wakes(waker, &mut self.key)
    }
}

impl<L: AsRef<Latch> + ?Sized> std::future::Future for Wait<L> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.is_over_or_wakes(context.waker()) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<L: AsRef<Latch> + ?Sized> Drop for Wait<L> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            (*self.on).as_ref().remove(key);
        }
    }
}
