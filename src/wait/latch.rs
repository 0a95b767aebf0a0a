//! [`Latch`]: one thread sets it, and many wait for it. The latch of a [`JobHandle`](crate::JobHandle) is set once, with the outcome of the
//! job; the latch of an [`Event`](crate::Event) can be reset.

use crate::outcome::JobOutcome;
use crate::sync::{AtomicU8, Mutex};
use crate::wait::ready::{gather, run_foreign};
use crate::wait::waiters::{Key, Waiters};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::task::{Context, Poll, Waker};

#[derive(Default)]
pub(crate) struct Latch {
    /// `UNSET`, or an outcome by its code. It is written under the lock of `subscribers`, and read without.
    state: AtomicU8,
    /// Zero; then `SETTLED`, once the latch is set and its waiters were notified. An observer that comes between the two makes it `AWAITED`.
    settled: AtomicU8,
    subscribers: Mutex<Subscribers>,
}

/// Not the code of any outcome.
const UNSET: u8 = 0;

const SETTLED: u8 = 1;
const AWAITED: u8 = 2;

#[derive(Default)]
struct Subscribers {
    list: Waiters<(), Subscriber>,
    /// The length of the list after the last pruning.
    after_pruning: usize,
}

enum Subscriber {
    Waker(Waker),
    Waiter(Arc<dyn Waiter>),
    /// A thread or a task that waits until the job of the latch is idle. In an `Arc`, so that it can be cloned under the lock: a waker's own
    /// clone is foreign code.
    Observer(Arc<Waker>),
}

/// Something that a latch notifies, and that is not a waker.
pub(crate) trait Waiter: Send + Sync {
    /// The latch is set. The latch calls this once, and holds no lock.
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
    /// The address, which tells this latch from others that exist.
    #[cfg(feature = "explore")]
    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Sets the latch of an event.
    pub(crate) fn set(&self) {
        self.complete(JobOutcome::Succeeded);
    }

    /// Sets the latch. This ends every wait that has begun, and each that begins before the latch is reset.
    pub(crate) fn complete(&self, outcome: JobOutcome) {
        let released = {
            let mut subscribers = self.subscribers.lock();
            self.state.store(outcome.code(), Release);
            if subscribers.list.len() == 0 {
                self.settled.store(SETTLED, Release);
            }
            subscribers.after_pruning = 0;
            subscribers.list.release(())
        };
        // Gathered, so that a job that is run for one subscriber does not block before the others are known to be ready.
        gather(|| {
            for subscriber in released {
                match subscriber {
                    Subscriber::Waker(waker) => run_foreign(|| waker.wake()),
                    Subscriber::Waiter(waiter) => waiter.notify(outcome),
                    Subscriber::Observer(waker) => run_foreign(|| waker.wake_by_ref()),
                }
            }
        });
        self.settle();
    }

    /// The waiters were notified, so a job that waited for this one is no longer idle. (Handles of several jobs may still have to be completed:
    /// inside another `gather` of this thread, that one completes them. The job that it ends is not settled before.)
    fn settle(&self) {
        // Relaxed: if nobody waited, this thread has stored it, in `complete`.
        if self.settled.load(Relaxed) == SETTLED {
            return;
        }
        // Release: pairs with `is_settled`. Acquire: pairs with the observer that waits for this, and is found then.
        if self.settled.swap(SETTLED, AcqRel) == AWAITED {
            let released = self.subscribers.lock().list.release(());
            for subscriber in released {
                if let Subscriber::Observer(waker) = subscriber {
                    run_foreign(|| waker.wake_by_ref());
                }
            }
        }
    }

    /// Is the latch of a job set, and were all who waited for it notified?
    pub(crate) fn is_settled(&self) -> bool {
        self.settled.load(Acquire) == SETTLED
    }

    /// Wakes the observers, because the job of the latch has begun to wait.
    pub(crate) fn wake_observers(&self) {
        let observers: Vec<_> = {
            let subscribers = self.subscribers.lock();
            let observer = |subscriber: &Subscriber| match subscriber {
                Subscriber::Observer(waker) => Some(waker.clone()),
                Subscriber::Waker(_) | Subscriber::Waiter(_) => None,
            };
            subscribers.list.iter().filter_map(observer).collect()
        };
        for waker in observers {
            run_foreign(move || waker.wake_by_ref());
        }
    }

    pub(crate) fn reset(&self) {
        let _subscribers = self.subscribers.lock();
        self.state.store(UNSET, Release);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.outcome().is_some()
    }

    /// The outcome that the latch was set with, if it is set.
    #[inline]
    pub(crate) fn outcome(&self) -> Option<JobOutcome> {
        JobOutcome::from_code(self.state.load(Acquire))
    }

    /// Returns the outcome, if the latch is set; otherwise adds a waiter, to be notified when it is.
    pub(crate) fn subscribe<W: Waiter + 'static>(&self, waiter: &Arc<W>) -> Option<JobOutcome> {
        self.outcome().or_else(|| {
            let mut subscribers = self.subscribers.lock();
            let outcome = self.outcome();
            if outcome.is_none() {
                subscribers.list.add((), Subscriber::Waiter(waiter.clone()));
                let pruned = subscribers.prune_if_grown();
                drop(subscribers);
                drop(pruned);
            }
            outcome
        })
    }

    /// Returns true if the latch is set, or was set since the wait with this key began. Otherwise `waker` will be woken, in the place of the
    /// wait's earlier one.
    fn is_set_or_wakes(&self, waker: &Waker, key: &mut Option<Key<()>>) -> bool {
        if self.is_set() {
            return true;
        }
        let subscriber = Subscriber::Waker(waker.clone());
        let mut subscribers = self.subscribers.lock();
        if self.is_set() {
            drop(subscribers);
            return true;
        }
        let Some(key) = *key else {
            *key = Some(subscribers.list.add((), subscriber));
            return false;
        };
        let replaced = subscribers.list.replace(key, subscriber);
        drop(subscribers);
        replaced.is_err()
    }

    /// Is the latch [settled](Self::is_settled)? If not, `waker` will be woken when it is, and whenever the job begins to wait, in the place of
    /// the wait's earlier one.
    fn is_settled_or_wakes(&self, waker: &Waker, key: &mut Option<Key<()>>) -> bool {
        if self.is_settled() {
            return true;
        }
        let observer = Subscriber::Observer(Arc::new(waker.clone()));
        let mut subscribers = self.subscribers.lock();
        // If the latch is set, `complete` has released the list already. `AWAITED` has `settle` release this entry.
        let awaited = || self.settled.compare_exchange(0, AWAITED, AcqRel, Acquire);
        if self.is_set() && awaited() == Err(SETTLED) {
            drop(subscribers);
            return true;
        }
        let (place, replaced) = match *key {
            None => (subscribers.list.add((), observer), None),
            Some(known) => match subscribers.list.replace(known, observer) {
                Ok(replaced) => (known, Some(replaced)),
                Err(observer) => (subscribers.list.add((), observer), None),
            },
        };
        *key = Some(place);
        drop(subscribers);
        drop(replaced);
        false
    }

    fn remove(&self, key: Key<()>) {
        // Dropped without the lock, because a waker may be the last reference to anything.
        let removed = self.subscribers.lock().list.remove(key);
        drop(removed);
    }
}

impl Subscribers {
    /// Takes out the waiters that no longer wait, such as jobs that were cancelled, each time that the list has doubled. This bounds the
    /// list, and costs each waiter that is added a constant time.
    fn prune_if_grown(&mut self) -> Vec<Subscriber> {
        const LEAST: usize = if cfg!(wasm_jobs_loom) { 2 } else { 16 };
        if self.list.len() < (2 * self.after_pruning).max(LEAST) {
            return Vec::new();
        }
        let pruned = self.list.prune(|subscriber| match subscriber {
            Subscriber::Waker(_) | Subscriber::Observer(_) => true,
            Subscriber::Waiter(waiter) => waiter.still_waits(),
        });
        self.after_pruning = self.list.len();
        pruned
    }
}

/// One wait for a latch. `L` is the latch, or has it.
pub(crate) struct Wait<L: AsRef<Latch> + ?Sized = Latch> {
    on: Arc<L>,
    /// `None` until the wait is first polled and finds the latch not set.
    key: Option<Key<()>>,
}

impl<L: AsRef<Latch> + ?Sized> Wait<L> {
    pub(crate) fn new(on: Arc<L>) -> Self {
        Self { on, key: None }
    }

    /// The latch that this waits for, or what has it.
    pub(crate) fn on(&self) -> &Arc<L> {
        &self.on
    }

    /// Is the wait over? If not, `waker` will be woken when it is.
    pub(crate) fn is_over_or_wakes(&mut self, waker: &Waker) -> bool {
        (*self.on).as_ref().is_set_or_wakes(waker, &mut self.key)
    }

    /// Is the job over, and was everyone notified? If not, `waker` will be woken when that is so, and when the job begins to wait. A wait is
    /// used for this or for the other function, not for both.
    pub(crate) fn is_settled_or_wakes(&mut self, waker: &Waker) -> bool {
        (*self.on).as_ref().is_settled_or_wakes(waker, &mut self.key)
    }

    /// From now on, nothing is woken.
    pub(crate) fn forget(&mut self) {
        if let Some(key) = self.key.take() {
            (*self.on).as_ref().remove(key);
        }
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
