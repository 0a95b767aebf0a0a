//! [`Home`]: where the guest of an instance is between its calls. A call [claims](claim) it and returns it when it ends. A
//! [short use](with_guest) of it refuses no call: the call waits. The guest itself is in `guest`.

use crate::call::lease::{Lease, Leased};
use crate::error::Error;
use crate::guest::guest::Guest;
use parking_lot::Mutex;
use std::sync::Arc;

pub(crate) struct Home<S: 'static, E: 'static = wasmtime::Instance> {
    /// In a box, so that a lease moves one pointer.
    guest: Lease<Box<Guest<S, E>>>,
    /// Held during [`with_guest`], so that a claim that finds the guest away can tell a short use from a call.
    short_use: Mutex<()>,
}

/// The guest, away from home. `H` is the home that it returns to, or owns that.
pub(crate) type Away<S, E = wasmtime::Instance, H = Home<S, E>> = Leased<Box<Guest<S, E>>, H>;

impl<S: 'static, E> Home<S, E> {
    pub(crate) fn new(guest: Box<Guest<S, E>>) -> Arc<Self> {
        Self::of(Lease::at_home(guest))
    }

    /// A home for a time: once it is [recalled](Lease::recall), the guest goes to `take`.
    pub(crate) fn with_recall(
        guest: Box<Guest<S, E>>,
        take: impl Fn(Box<Guest<S, E>>) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::of(Lease::with_recall(guest, take))
    }

    fn of(guest: Lease<Box<Guest<S, E>>>) -> Arc<Self> {
        Arc::new(Self { guest, short_use: Mutex::new(()) })
    }

    /// Why the guest is not at home.
    fn refusal(&self) -> Error {
        if self.guest.is_recalled() { Error::GivenBack } else { Error::CallInProgress }
    }

    /// Lets the guest go from this home, now or when it returns.
    pub(crate) fn recall(&self) {
        self.guest.recall();
    }

    /// Takes the guest out of a home that nobody else knows; `None` if somebody does, and has the guest.
    pub(crate) fn into_guest(home: Arc<Self>) -> Option<Box<Guest<S, E>>> {
        home.guest.take()
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

/// Takes the guest, unless a call or a guard has it. `owner` is the home, or owns it.
#[inline]
pub(crate) fn claim<S, E, H>(owner: &Arc<H>) -> Result<Away<S, E, H>, Error>
where
    S: 'static,
    E: 'static,
    H: AsRef<Home<S, E>> + AsRef<Lease<Box<Guest<S, E>>>>,
{
    match Leased::try_take(owner.clone()) {
        Some(guest) => Ok(guest),
        None => claim_after_short_use(owner),
    }
}

/// Claims a guest that was away: after a short use, which this waits for, but not from a call.
#[cold]
fn claim_after_short_use<S, E, H>(owner: &Arc<H>) -> Result<Away<S, E, H>, Error>
where
    S: 'static,
    E: 'static,
    H: AsRef<Home<S, E>> + AsRef<Lease<Box<Guest<S, E>>>>,
{
    let home: &Home<S, E> = (**owner).as_ref();
    let _no_short_use = home.short_use.lock();
    Leased::try_take(owner.clone()).ok_or_else(|| home.refusal())
}

/// Uses the guest for a moment, in which claims wait. `short_use` must be short, and run no code of users or guests.
pub(crate) fn with_guest<S, E, T>(
    home: &Arc<Home<S, E>>,
    short_use: impl FnOnce(&mut Guest<S, E>) -> Result<T, Error>,
) -> Result<T, Error>
where
    S: 'static,
    E: 'static,
{
    let _in_use = home.short_use.lock();
    let mut guest = Leased::try_take(home.clone()).ok_or_else(|| home.refusal())?;
    short_use(&mut guest)
}

impl<S: 'static, E> std::fmt::Debug for Home<S, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Home").finish_non_exhaustive()
    }
}
