//! [`collect`]: makes a [`FrozenCall`] of what a guest has saved, and of its state.

use crate::error::Error;
use crate::guest::checkpoint::value::Value;
use crate::guest::freeze::frames::{Frames, Purpose, Reference, Saved};
use crate::guest::freeze::frozen_call::FrozenCall;
use crate::guest::freeze::saving::end_saving;
use crate::guest::freeze::waiting::Waiting;
use crate::guest::guest::Guest;
use std::sync::Arc;
use wasmtime::Ref;

/// A call as data, and what it waits for, if it is to go on.
pub(crate) type Collected<S> = (Arc<FrozenCall>, Option<Box<dyn Waiting<S>>>);

/// The functions of a guest no longer save themselves, and what they have used for that is given back.
pub(crate) fn end_unwinding<S: Send + 'static>(guest: &mut Guest<S>, fuel: Option<u64>) {
    if let Some(instance) = guest.exports {
        end_saving(instance, &mut guest.store);
    }
    if let Some(fuel) = fuel {
        // The engine counts fuel.
        let _ = guest.store.set_fuel(fuel);
        guest.control.set_fuel(fuel);
    }
}

/// Makes data of a call whose functions have saved themselves, and of its guest.
pub(crate) fn collect<S: Send + 'static>(
    guest: &mut Guest<S>,
    saved: Saved,
    export: &Arc<str>,
) -> Result<Collected<S>, Error> {
    let freezable = guest.saving_plan.as_ref().ok_or(Error::Poisoned)?.freezable.clone();
    let Saved { purpose, pending, fuel, expected, frames, waiting } = saved;
    if !frames.points().eq(expected) {
        let why = "functions have saved themselves that the backtrace did not show".into();
        return Err(Error::CannotSave { what: "the stack".into(), why });
    }
    // A guest that is to be parked has no store, and gets a new one.
    let state = guest.save(purpose != Purpose::Checkpoint)?;
    let Frames { starts, words, references } = frames;
    let references = references.into_iter().map(|reference| data_of(guest, reference));
    let references = references.collect::<Result<_, _>>()?;
    let frames = Frames { starts, words, references };
    // The host function that has kept it is one of this store.
    let waiting = waiting.and_then(|waiting| waiting.downcast().ok()).map(|waiting| *waiting);
    let export = export.clone();
    let call = FrozenCall { export, guest: state, frames, pending, fuel, freezable };
    Ok((Arc::new(call), waiting))
}

/// A reference as data.
fn data_of<S: Send + 'static>(guest: &mut Guest<S>, reference: Reference) -> Result<Value, Error> {
    let reference: Ref = match reference {
        Reference::Null => return Ok(Value::Null),
        Reference::Function(function) => function.into(),
        Reference::Object(object) => object.to_rooted(&mut guest.store).into(),
    };
    let instance = guest.exports.ok_or(Error::Poisoned)?;
    let (tracked, codec) = guest.saves.tracked(instance, &mut guest.store)?;
    tracked.data_of(reference, "a value of a function", &mut guest.store, codec)
}
