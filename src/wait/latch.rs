//! [`Latch`]: set by one, waited for by many. Behind a [`JobHandle`](crate::JobHandle) it is set once; behind an
//! [`Event`](crate::Event) it can be reset.

use crate::pool::after::{self, Dependent};
use crate::sync::{AtomicU8, Mutex};
use crate::unwind::ignore_panic;
use crate::wait::waiters::{Line, Place};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::task::{Context, Poll, Waker};

#[derive(Default)]
pub(crate) struct Latch {
    /// One of those below. It changes under the lock of the line, and can be read without.
    state: AtomicU8,
    line: Mutex<Line<Waiter>>,
}

const UNSET: u8 = 0;
const SET: u8 = 1;
/// Behind a job's handle: set by one that came to less than a value.
const FAILED: u8 = 2;

/// Of a job that is over: did it come to less than a value?
pub(crate) type HasFailed = bool;

enum Waiter {
    Waker(Waker),
    Dependent(Arc<dyn Dependent>),
}

impl AsRef<Latch> for Latch {
    fn as_ref(&self) -> &Latch {
        self
    }
}

/// One who waits for a latch, which `L` is or has.
pub(crate) struct Wait<L: AsRef<Latch> + ?Sized = Latch> {
    of: Arc<L>,
    /// There once it was polled.
    place: Option<Place>,
}

impl Latch {
    /// Ends every wait that has begun, and each that begins before it is reset.
    pub(crate) fn set(&self) {
        self.complete(false);
    }

    /// The same for a job that is over.
    pub(crate) fn complete(&self, has_failed: HasFailed) {
        let released = {
            let mut line = self.line.lock();
            self.state.store(if has_failed { FAILED } else { SET }, Release);
            line.release()
        };
        for waiter in released {
            ignore_panic(|| match waiter {
                Waiter::Waker(waker) => waker.wake(),
                Waiter::Dependent(dependent) => after::tell(dependent, has_failed),
            });
        }
    }

    pub(crate) fn reset(&self) {
        let _line = self.line.lock();
        self.state.store(UNSET, Release);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.is_over().is_some()
    }

    /// The same for a job: none if it is not over.
    pub(crate) fn is_over(&self) -> Option<HasFailed> {
        let state = self.state.load(Acquire);
        (state != UNSET).then_some(state == FAILED)
    }

    /// If it is not over, the dependent will be told.
    pub(crate) fn is_over_or_tell<D: Dependent>(&self, dependent: &Arc<D>) -> Option<HasFailed> {
        self.is_over().or_else(|| {
            let mut line = self.line.lock();
            let is_over = self.is_over();
            if is_over.is_none() {
                line.add(Waiter::Dependent(dependent.clone()));
            }
            is_over
        })
    }

    /// True if it is set, or was since the place was given; otherwise `waker` will be told, instead of the one that has the
    /// place.
    pub(crate) fn is_set_or_tell(&self, waker: &Waker, place: &mut Option<Place>) -> bool {
        if self.is_set() {
            return true;
        }
        let waiter = Waiter::Waker(waker.clone());
        let mut line = self.line.lock();
        if self.is_set() {
            drop(line);
            return true;
        }
        let Some(place) = *place else {
            *place = Some(line.add(waiter));
            return false;
        };
        let replaced = line.replace(place, waiter);
        drop(line);
        replaced.is_err()
    }

    fn forget(&self, place: Place) {
        // Out of the lock before it is dropped: it may be the last reference to anything.
        let forgotten = self.line.lock().forget(place);
        drop(forgotten);
    }
}

impl<L: AsRef<Latch> + ?Sized> Wait<L> {
    pub(crate) fn new(of: Arc<L>) -> Self {
        Self { of, place: None }
    }

    /// What is waited for.
    pub(crate) fn of(&self) -> &Arc<L> {
        &self.of
    }

    pub(crate) fn is_over_or_tell(&mut self, waker: &Waker) -> bool {
        (*self.of).as_ref().is_set_or_tell(waker, &mut self.place)
    }
}

impl<L: AsRef<Latch> + ?Sized> std::future::Future for Wait<L> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.is_over_or_tell(context.waker()) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<L: AsRef<Latch> + ?Sized> Drop for Wait<L> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            (*self.of).as_ref().forget(place);
        }
    }
}
