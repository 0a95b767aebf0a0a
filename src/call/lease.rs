//! One holder at a time of a thing that lives somewhere. A guest lives in its `Instance`; a call takes it, and however
//! the call ends, by a result, a panic or being dropped, the guest goes home.

use crate::sync::AtomicCell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// The home of an `X`. Best with an `X` that is one pointer: it then comes and goes by one atomic instruction.
pub struct Lease<X> {
    home: AtomicCell<Option<X>>,
}

/// The `X`, away from home. Dropping this brings it back. `H` is what is kept to find the way: the home itself, or
/// whatever has it.
pub struct Leased<X, H: AsRef<Lease<X>> = Lease<X>> {
    /// There until this is dropped, or is another.
    thing: Option<X>,
    home: Arc<H>,
}

impl<X> Lease<X> {
    /// A home by itself, with its `X` in it.
    #[cfg(wasm_jobs_loom)]
    pub fn new(thing: X) -> Arc<Self> {
        Arc::new(Self::at_home(thing))
    }

    /// A home with its `X` in it, to be a part of something that an [`Arc`] has.
    pub(crate) fn at_home(thing: X) -> Self {
        Self { home: AtomicCell::new(Some(thing)) }
    }
}

impl<X> AsRef<Lease<X>> for Lease<X> {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl<X, H: AsRef<Lease<X>>> Leased<X, H> {
    /// Takes the thing from its home, which `home` is or has, unless somebody has it.
    pub fn try_take(home: Arc<H>) -> Option<Self> {
        let thing = (*home).as_ref().home.take()?;
        Some(Self { thing: Some(thing), home })
    }

    /// The thing, and what has its home.
    pub(crate) fn parts(&mut self) -> (&mut X, &H) {
        match &mut self.thing {
            Some(thing) => (thing, &self.home),
            None => unreachable!("only `drop` and `via` take it out"),
        }
    }

    /// The same lease, that finds the way by something else.
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
            (*self.home).as_ref().home.store(Some(thing));
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
