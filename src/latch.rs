//! [`Latch`]: set by one, waited for by many. Behind a [`JobHandle`](crate::JobHandle) it is set once; behind an
//! [`Event`](crate::Event) it can be reset.

use crate::sync::Mutex;
use crate::waiters::{Ticket, Waiters, wake_all};
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
    waiters: Waiters<()>,
}

/// One who waits for a latch.
#[derive(Debug)]
pub(crate) struct Wait {
    latch: Arc<Latch>,
    /// There once it was polled.
    ticket: Option<Ticket<()>>,
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
            inside.waiters.release(())
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

    /// True if it is set, or was since the ticket was given; otherwise `waker` will be told, in the place of the one that
    /// has the ticket.
    pub(crate) fn is_set_or_tell(&self, waker: &Waker, ticket: &mut Option<Ticket<()>>) -> bool {
        let waker = waker.clone();
        let mut inside = self.0.lock();
        if inside.is_set {
            drop(inside);
            return true;
        }
        let Some(ticket) = *ticket else {
            *ticket = Some(inside.waiters.add((), waker));
            return false;
        };
        let replaced = inside.waiters.replace(ticket, waker);
        drop(inside);
        replaced.is_err()
    }

    fn forget(&self, ticket: Ticket<()>) {
        // Out of the lock before it is dropped: it may be the last reference to anything.
        let forgotten = self.0.lock().waiters.forget(ticket);
        drop(forgotten);
    }
}

impl Wait {
    pub(crate) fn new(latch: Arc<Latch>) -> Self {
        Self { latch, ticket: None }
    }

    pub(crate) fn latch(&self) -> &Arc<Latch> {
        &self.latch
    }

    pub(crate) fn is_over_or_tell(&mut self, waker: &Waker) -> bool {
        self.latch.is_set_or_tell(waker, &mut self.ticket)
    }
}

impl std::future::Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.is_over_or_tell(context.waker()) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.latch.forget(ticket);
        }
    }
}
