//! How a guest gets back into the functions of a call that is data.

use crate::error::Error;
use crate::guest::checkpoint::value::Value;
use crate::guest::freeze::frames::Reference;
use crate::guest::freeze::frozen_call::FrozenCall;
use crate::guest::freeze::reentry::{End, Reentry, Wait};
use crate::guest::freeze::rewind::Rewind;
use crate::guest::freeze::waiting::Waiting;
use crate::guest::guest::Guest;
use crate::guest::limit::control::Control;
use crate::guest::module_name::module_name;
use crate::guest::prepared::pre::PreparedPre;
use std::sync::Arc;
use wasmtime::{TypedFunc, WasmResults};

/// Refuses a call of another module.
pub(crate) fn check<S: Send + 'static>(
    call: &FrozenCall,
    pre: &PreparedPre<S>,
) -> Result<(), Error> {
    let module = pre.module();
    let Some(freezable) = pre.prepared().freezable() else {
        return Err(Error::NotFreezable { module: module_name(module) });
    };
    if freezable.hash != call.freezable.hash {
        return Err(Error::OtherModule { module: module_name(module) });
    }
    call.guest.check_module(module)
}

/// Makes the rewind of a guest into a call. The guest has twins, and is in the state of the call. It is rewound when the function is called that this gives, in a
/// [`Rewinding`](crate::guest::freeze::rewind::Rewinding) with the rewind.
///
/// The call then waits for what it has waited for, which is `waiting`. Without that, it begins to wait anew. It goes on with this `fuel`. If that is not known, it goes on with
/// what the store has now.
pub(crate) fn go_back<S, R>(
    guest: &mut Guest<S>,
    call: &Arc<FrozenCall>,
    waiting: Option<Box<dyn Waiting<S>>>,
    fuel: Option<u64>,
) -> Result<(TypedFunc<(), R>, Rewind), Error>
where
    S: Send + 'static,
    R: WasmResults,
{
    let Some(pre) = guest.pre.clone() else { return Err(Error::Poisoned) };
    let pending = &call.pending;
    let resumable = pre.resumable(&mut guest.store, &pending.module, &pending.name)?;
    let wait = match waiting {
        Some(waiting) => Wait::GoesOn(waiting),
        None => Wait::Begins(resumable.again.clone()),
    };
    let references = call.frames.references.iter().map(|value| live(guest, value));
    let references = references.collect::<Result<_, _>>()?;
    let instance = guest.exports.ok_or(Error::Poisoned)?;
    let of = guest.saving_plan.as_ref().ok_or(Error::Poisoned)?;
    let store = &mut guest.store;
    let reentry = guest.reentry.get_or_insert_with(|| Reentry::connect(instance, store, of));
    let fuel = guest.store.get_fuel().ok().map(|now| fuel.unwrap_or(now));
    let end = Box::new(End { wait, fuel, control: guest.control.clone() });
    let rewind = Rewind::new(call.clone(), references, reentry.last(), end);
    let function = reentry.begin(&rewind, of, &mut guest.store)?;
    let function = function.ok_or_else(|| invalid("it is in a function that never waits"))?;
    let function = function.typed(&guest.store);
    let function = function.map_err(|_| invalid("its results are of another type"))?;
    Ok((function, rewind))
}

/// The fuel of a call that is thawed: what it had, as far as the limit of the new instance allows.
pub(crate) fn fuel_within_limit(call: &FrozenCall, control: &Control) -> Option<u64> {
    call.fuel.into_iter().chain(control.fuel_of_a_call()).min()
}

/// A reference of a frame, in the store of a guest.
fn live<S: Send + 'static>(guest: &mut Guest<S>, value: &Value) -> Result<Reference, Error> {
    let instance = guest.exports.ok_or(Error::Poisoned)?;
    let (tracked, codec) = guest.saves.tracked(instance, &mut guest.store)?;
    tracked.reference_of(value, &mut guest.store, codec)
}

fn invalid(why: &str) -> Error {
    Error::InvalidFrozen { why: why.into() }
}
