//! [`Home`]: where the guest of an instance is between its calls. A call [claims](claim) it and returns it when it ends; a
//! short [look](look) at it never refuses a call. The guest itself is in `guest`.

use crate::call::lease::{Lease, Leased};
use crate::error::Error;
use crate::guest::guest::Guest;
use parking_lot::Mutex;
use std::sync::Arc;

pub(crate) struct Home<S: 'static, E: 'static = wasmtime::Instance> {
    /// In a box, so that the guest comes and goes as one pointer.
    guest: Lease<Box<Guest<S, E>>>,
    /// Held for each [`look`], so that a claim that finds the guest away can tell a look from a call.
    looking: Mutex<()>,
}

/// The guest, away from home. `H` owns, or is, the home to return to.
pub(crate) type Away<S, E = wasmtime::Instance, H = Home<S, E>> = Leased<Box<Guest<S, E>>, H>;

impl<S: 'static, E> Home<S, E> {
    pub(crate) fn new(guest: Box<Guest<S, E>>) -> Arc<Self> {
        Arc::new(Self { guest: Lease::at_home(guest), looking: Mutex::new(()) })
    }
}

impl<S: 'static, E> AsRef<Self> for Home<S, E> {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl<S: 'static, E> AsRef<Lease<Box<Guest<S, E>>>> for Home<S, E> {
    fn as_ref(&self) -> &Lease<Box<Guest<S, E>>> {
        &self.guest
    }
}

/// Takes the guest, unless a call or a guard has it.
#[inline]
pub(crate) fn claim<S, E, H>(way: &Arc<H>) -> Result<Away<S, E, H>, Error>
where
    S: 'static,
    E: 'static,
    H: AsRef<Home<S, E>> + AsRef<Lease<Box<Guest<S, E>>>>,
{
    match Leased::try_take(way.clone()) {
        Some(guest) => Ok(guest),
        None => claim_after_looks(way),
    }
}

/// The guest is away: for a look, which this waits for, or for a call.
#[cold]
fn claim_after_looks<S, E, H>(way: &Arc<H>) -> Result<Away<S, E, H>, Error>
where
    S: 'static,
    E: 'static,
    H: AsRef<Home<S, E>> + AsRef<Lease<Box<Guest<S, E>>>>,
{
    let home: &Home<S, E> = (**way).as_ref();
    let _no_looks = home.looking.lock();
    Leased::try_take(way.clone()).ok_or(Error::CallInProgress)
}

/// Has the guest for a moment, in which claims wait. `look` must be short, and run no code of users or guests.
pub(crate) fn look<S, E, T>(
    home: &Arc<Home<S, E>>,
    look: impl FnOnce(&mut Guest<S, E>) -> Result<T, Error>,
) -> Result<T, Error>
where
    S: 'static,
    E: 'static,
{
    let _looking = home.looking.lock();
    let mut guest = Leased::try_take(home.clone()).ok_or(Error::CallInProgress)?;
    look(&mut guest)
}

impl<S: 'static, E> std::fmt::Debug for Home<S, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Home").finish_non_exhaustive()
    }
}
