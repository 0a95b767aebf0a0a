//! How a guest comes to be in the middle of a call, in an instance with twins. [`go_back`](crate::guest::freeze::go_back) comes next.

use crate::call::lease::{Lease, Leased};
use crate::error::Error;
use crate::guest::checkpoint::state::Fit;
use crate::guest::freeze::frozen_call::FrozenCall;
use crate::guest::guest::Guest;
use crate::guest::origin::Origin;
use crate::guest::without_store::move_to_new_store;

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
    guest.saving_plan.as_ref().is_some_and(|saving_plan| saving_plan.freezable.has_twins)
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
    move_to_new_store(guest, &origin, None)?;
    guest.restore_state(&call.guest, true)
}
