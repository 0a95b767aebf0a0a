//! [`Latch`]: set by one, waited for by many. Behind a [`JobHandle`](crate::JobHandle) it is set once; behind an
//! [`Event`](crate::Event) it can be reset.

use crate::sync::Mutex;
use crate::waiters::{Line, Place, wake_all};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

#[derive(Debug, Default)]
pub(crate) struct Latch(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    is_set: bool,
    /// Behind a job's handle: whether it came to less than a value.
    has_failed: bool,
    waiters: Line,
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
    pub(crate) fn complete(&self, has_failed: bool) {
        let released = {
            let mut inside = self.0.lock();
            inside.is_set = true;
            inside.has_failed = has_failed;
            inside.waiters.release()
        };
        wake_all(released);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.0.lock().has_failed
    }

    pub(crate) fn reset(&self) {
        self.0.lock().is_set = false;
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.lock().is_set
    }

    /// True if it is set, or was since the place was given; otherwise `waker` will be told, instead of the one that has the
    /// place.
    pub(crate) fn is_set_or_tell(&self, waker: &Waker, place: &mut Option<Place>) -> bool {
        let waker = waker.clone();
        let mut inside = self.0.lock();
        if inside.is_set {
            drop(inside);
            return true;
        }
        let Some(place) = *place else {
            *place = Some(inside.waiters.add(waker));
            return false;
        };
        let replaced = inside.waiters.replace(place, waker);
        drop(inside);
        replaced.is_err()
    }

    fn forget(&self, place: Place) {
        // Out of the lock before it is dropped: it may be the last reference to anything.
        let forgotten = self.0.lock().waiters.forget(place);
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
