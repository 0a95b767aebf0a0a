//! How a guest comes to be in the middle of a call, in an instance with twins. [`go_back`](crate::guest::freeze::go_back) comes next.

use crate::call::lease::{Lease, Leased};
use crate::error::Error;
use crate::guest::checkpoint::state::Fit;
use crate::guest::freeze::frozen_call::FrozenCall;
use crate::guest::guest::{Guest, Start};
use crate::guest::limit::control::Control;
use crate::guest::origin::Origin;
use std::sync::Arc;

/// Brings any guest of the module to the state of a call, in an instance with twins.
pub(crate) fn bring_to<S, H>(
    guest: &mut Leased<Box<Guest<S>>, H>,
    call: &FrozenCall,
) -> Result<(), Error>
where
    S: Send + 'static,
    H: AsRef<Lease<Box<Guest<S>>>>,
{
    if has_twins(guest) && guest.fit(&call.guest)? == Fit::Grows {
        guest.restore_state(&call.guest, false)
    } else {
        renew(guest, call)
    }
}

/// Whether frozen calls can go on in the guest.
pub(crate) fn has_twins<S: 'static>(guest: &Guest<S>) -> bool {
    guest.freezes.as_ref().is_some_and(|freezes| freezes.freezer.has_twins)
}

/// Moves the guest to a new store, with the same state of the host.
fn renew<S, H>(guest: &mut Leased<Box<Guest<S>>, H>, call: &FrozenCall) -> Result<(), Error>
where
    S: Send + 'static,
    H: AsRef<Lease<Box<Guest<S>>>>,
{
    let pre = guest.pre.clone().ok_or(Error::Poisoned)?;
    let origin = Origin::module(pre.twins()?);
    origin.check_instantiable_anew("going on in another instance")?;
    let mut moved = Ok(());
    guest.replace(|guest| {
        let (left, ended) = guest.without_store(None);
        moved = ended;
        Box::new(left.with_new_store())
    });
    moved?;
    guest.instantiate(&origin, Start::GoOn)?;
    guest.restore_state(&call.guest, true)
}

/// Poisons the guest when it is dropped: until the guest is back where it was, it is half-way through its call, and nothing runs that would say so.
pub(crate) struct PoisonedUnlessBack(Option<Arc<Control>>);

impl PoisonedUnlessBack {
    pub(crate) fn new(control: &Arc<Control>) -> Self {
        Self(Some(control.clone()))
    }

    pub(crate) fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for PoisonedUnlessBack {
    fn drop(&mut self) {
        if let Some(control) = &self.0 {
            control.poison().set();
        }
    }
}
