//! One holder at a time of a thing that lives somewhere. A guest lives in its `Instance`; a call takes it, and however
//! the call ends, by a result, a panic or being dropped, the guest goes home.

use crate::sync::Mutex;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// The home of an `X`.
pub struct Lease<X> {
    home: Mutex<Option<X>>,
}

/// The `X`, away from home. Dropping this brings it back.
pub struct Leased<X> {
    /// There until this is dropped.
    thing: Option<X>,
    lease: Arc<Lease<X>>,
}

impl<X> Lease<X> {
    /// A home with its `X` in it.
    pub fn new(thing: X) -> Arc<Self> {
        Arc::new(Self {
            home: Mutex::new(Some(thing)),
        })
    }

    /// Takes the thing, unless somebody has it.
    pub fn try_take(self: &Arc<Self>) -> Option<Leased<X>> {
        let thing = self.home.lock().take()?;
        Some(Leased {
            thing: Some(thing),
            lease: self.clone(),
        })
    }
}

impl<X> Deref for Leased<X> {
    type Target = X;

    fn deref(&self) -> &X {
        match &self.thing {
            Some(thing) => thing,
            None => unreachable!("only `drop` takes it out"),
        }
    }
}

impl<X> DerefMut for Leased<X> {
    fn deref_mut(&mut self) -> &mut X {
        match &mut self.thing {
            Some(thing) => thing,
            None => unreachable!("only `drop` takes it out"),
        }
    }
}

impl<X> Drop for Leased<X> {
    fn drop(&mut self) {
        *self.lease.home.lock() = self.thing.take();
    }
}

impl<X> fmt::Debug for Lease<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("home", &self.home.lock().is_some())
            .finish()
    }
}

impl<X> fmt::Debug for Leased<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leased").finish_non_exhaustive()
    }
}
