//! [`Lease`]: a home for one thing, which one holder at a time takes and brings back. A guest's home is its `Instance`: a call takes the
//! guest, and the guest returns however the call ends, by a result, a panic or being dropped.

use crate::sync::{AtomicCell, Mutex};
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// The home of an `X`. If `X` is one pointer, taking and returning it are one atomic instruction each.
pub struct Lease<X> {
    /// Without a destructor, so that returning the thing is a plain store. In place of that, [`Lease`] has one.
    home: AtomicCell<Option<ManuallyDrop<X>>>,
    /// `None` if the thing stays here for good.
    recall: Option<Recall<X>>,
}

/// Where the thing of a [`Lease`] goes in the end.
struct Recall<X> {
    is_recalled: Mutex<bool>,
    /// Called once, with the thing.
    take: Box<dyn Fn(X) + Send + Sync>,
}

/// The `X`, away from home. Dropping this returns it. `H` leads home: it is the home itself, or a value that has it.
pub struct Leased<X, H: AsRef<Lease<X>> = Lease<X>> {
    /// `None` once this is dropped, or [`via`](Self::via) has moved the thing.
    thing: Option<X>,
    home: Arc<H>,
}

impl<X> Lease<X> {
    /// Makes a home of its own, with its `X` in it.
    #[cfg(wasm_jobs_loom)]
    pub fn new(thing: X) -> Arc<Self> {
        Arc::new(Self::at_home(thing))
    }

    /// Makes a home with its `X` in it, as a part of a value that will be in an [`Arc`].
    pub(crate) fn at_home(thing: X) -> Self {
        Self { home: AtomicCell::new(Some(ManuallyDrop::new(thing))), recall: None }
    }

    /// Makes a home that gives its `X` to `take` once it is [recalled](Self::recall), or as soon as the thing is at home after that.
    pub fn with_recall(thing: X, take: impl Fn(X) + Send + Sync + 'static) -> Self {
        let recall = Recall { is_recalled: Mutex::new(false), take: Box::new(take) };
        Self { home: AtomicCell::new(Some(ManuallyDrop::new(thing))), recall: Some(recall) }
    }

    /// Ends the lease: the thing goes where it was to go in the end, now or when it returns.
    pub fn recall(&self) {
        if let Some(recall) = &self.recall {
            *recall.is_recalled.lock() = true;
            self.send_on(recall);
        }
    }

    /// Was the lease ended?
    #[cfg(feature = "wasm")]
    pub(crate) fn is_recalled(&self) -> bool {
        self.recall.as_ref().is_some_and(|recall| *recall.is_recalled.lock())
    }

    /// The thing has come home.
    #[cold]
    fn returned(&self, recall: &Recall<X>) {
        // The lock is taken after the thing is at home, and in `recall` before the look for it. So one of the two finds the other.
        if *recall.is_recalled.lock() {
            self.send_on(recall);
        }
    }

    /// Sends the thing where it is to go, if it is at home.
    fn send_on(&self, recall: &Recall<X>) {
        if let Some(thing) = self.take() {
            (recall.take)(thing);
        }
    }

    /// Takes the thing, if it is at home.
    #[inline]
    pub(crate) fn take(&self) -> Option<X> {
        self.home.take().map(ManuallyDrop::into_inner)
    }
}

impl<X> Drop for Lease<X> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl<X> AsRef<Lease<X>> for Lease<X> {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl<X, H: AsRef<Lease<X>>> Leased<X, H> {
    /// Takes the thing from its home, which `home` is or has; `None` if it is not there.
    pub fn try_take(home: Arc<H>) -> Option<Self> {
        let thing = (*home).as_ref().take()?;
        Some(Self { thing: Some(thing), home })
    }

    /// The thing, and the way home.
    pub(crate) fn parts(&mut self) -> (&mut X, &H) {
        match &mut self.thing {
            Some(thing) => (thing, &self.home),
            None => unreachable!("only `drop` and `via` take it out"),
        }
    }

    /// Replaces the way home: `home` is, or has, the same home.
    #[cfg(feature = "wasm")]
    pub(crate) fn via<I: AsRef<Lease<X>>>(mut self, home: Arc<I>) -> Leased<X, I> {
        Leased { thing: self.thing.take(), home }
    }
}

impl<X, H: AsRef<Lease<X>>> Deref for Leased<X, H> {
    type Target = X;

    fn deref(&self) -> &X {
        match &self.thing {
            Some(thing) => thing,
            None => unreachable!("only `drop` and `via` take it out"),
        }
    }
}

impl<X, H: AsRef<Lease<X>>> DerefMut for Leased<X, H> {
    fn deref_mut(&mut self) -> &mut X {
        self.parts().0
    }
}

impl<X, H: AsRef<Lease<X>>> Drop for Leased<X, H> {
    fn drop(&mut self) {
        if let Some(thing) = self.thing.take() {
            // It is not at home, so this overwrites nothing.
            let lease = (*self.home).as_ref();
            lease.home.store(Some(ManuallyDrop::new(thing)));
            if let Some(recall) = &lease.recall {
                lease.returned(recall);
            }
        }
    }
}

impl<X> fmt::Debug for Lease<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}

impl<X, H: AsRef<Lease<X>>> fmt::Debug for Leased<X, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leased").finish_non_exhaustive()
    }
}
