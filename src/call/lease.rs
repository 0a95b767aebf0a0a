//! [`Lease`]: a home for one thing, which one holder at a time takes and brings back. A guest's home is its `Instance`: a call takes the
//! guest, and the guest returns however the call ends, by a result, a panic or being dropped.

use crate::sync::{AtomicCell, Mutex};
use std::fmt;
use std::mem::{self, ManuallyDrop};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// The home of an `X`. If `X` is one pointer, taking and returning it are one atomic instruction each.
pub struct Lease<X> {
    /// Without a destructor, so that returning the thing is a plain store. In place of that, [`Lease`] has one.
    home: AtomicCell<Option<ManuallyDrop<X>>>,
    /// `None` if the thing stays here for good.
    recall: Option<Recall<X>>,
}

/// The end of a [`Lease`]. While its lock is held, the thing neither comes home nor is recalled.
struct Recall<X>(Mutex<Destination<X>>);

enum Destination<X> {
    /// The thing comes home. Once it is recalled, it goes here.
    Home(Box<dyn FnOnce(X) + Send>),
    /// The thing was recalled while it was away. It goes here, and not home.
    Away(Box<dyn FnOnce(X) + Send>),
    /// The thing has gone.
    Gone,
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

    /// Makes a home that can be [recalled](Self::recall). The thing then goes to `deliver`.
    pub fn with_recall(thing: X, deliver: impl FnOnce(X) + Send + 'static) -> Self {
        let recall = Recall(Mutex::new(Destination::Home(Box::new(deliver))));
        Self { home: AtomicCell::new(Some(ManuallyDrop::new(thing))), recall: Some(recall) }
    }

    /// Ends the lease. If the thing is at home, it is delivered now; otherwise when its holder returns it. Nobody can take it any more.
    pub fn recall(&self) {
        let Some(Recall(destination)) = &self.recall else { return };
        let mut destination = destination.lock();
        if let Destination::Home(deliver) = mem::replace(&mut *destination, Destination::Gone) {
            match self.take() {
                Some(thing) => {
                    drop(destination);
                    deliver(thing);
                }
                None => *destination = Destination::Away(deliver),
            }
        }
    }

    /// Was the lease ended?
    #[cfg(feature = "wasm")]
    pub(crate) fn is_recalled(&self) -> bool {
        let is_home = |recall: &Recall<X>| matches!(*recall.0.lock(), Destination::Home(_));
        self.recall.as_ref().is_some_and(|recall| !is_home(recall))
    }

    /// The holder returns the thing. It is not at home, so this overwrites nothing.
    #[inline]
    fn put(&self, thing: X) {
        match &self.recall {
            None => self.home.store(Some(ManuallyDrop::new(thing))),
            Some(recall) => self.put_or_deliver(thing, recall),
        }
    }

    #[inline(never)]
    fn put_or_deliver(&self, thing: X, Recall(destination): &Recall<X>) {
        let mut destination = destination.lock();
        match mem::replace(&mut *destination, Destination::Gone) {
            Destination::Away(deliver) => {
                drop(destination);
                deliver(thing);
            }
            home_or_gone => {
                *destination = home_or_gone;
                self.home.store(Some(ManuallyDrop::new(thing)));
            }
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
            None => unreachable!("a thing that was taken out is put back before it is used"),
        }
    }

    /// Replaces the thing by what `replace` makes of it. If that panics, the thing is lost, and nothing comes home.
    #[cfg(feature = "checkpoint")]
    pub(crate) fn replace(&mut self, replace: impl FnOnce(X) -> X) {
        self.thing = self.thing.take().map(replace);
    }

    /// Takes the thing out, for a time. Until it is [put back](Self::put_back), there is nothing to use and nothing to return.
    #[cfg(feature = "freeze")]
    pub(crate) fn take_out(&mut self) -> Option<X> {
        self.thing.take()
    }

    /// Puts the thing back that was taken out, or one in its place.
    #[cfg(feature = "freeze")]
    pub(crate) fn put_back(&mut self, thing: X) {
        self.thing = Some(thing);
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
            None => unreachable!("a thing that was taken out is put back before it is used"),
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
            (*self.home).as_ref().put(thing);
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
