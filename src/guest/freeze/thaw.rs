//! How a [`Frozen`] call goes on.

use crate::call::future::Future;
use crate::error::Error;
use crate::guest::checkpoint::value::Value;
use crate::guest::fiber;
use crate::guest::freeze::frames::Reference;
use crate::guest::freeze::frozen::Frozen;
use crate::guest::freeze::frozen_call::FrozenCall;
use crate::guest::freeze::reentry::Reentry;
use crate::guest::guest::{Guest, Start};
use crate::guest::home::{Away, claim};
use crate::guest::instance::Instance;
use crate::guest::limit::options::InstanceOptions;
use crate::guest::module_name::module_name;
use crate::guest::origin::Origin;
use crate::guest::prepared::pre::PreparedPre;
use std::sync::Arc;
use wasm_jobs_transform::TWINS;
use wasmtime::{Store, TypedFunc, WasmResults};

impl<T: WasmResults + Sync + 'static> Frozen<T> {
    /// Makes an instance in which the call goes on, with `state` as the state of the host, and gives the future of the call. The host function that the call waits
    /// in begins to wait anew; the guest goes on when that ends. `pre` has to be of the same module; its engine may be another one.
    ///
    /// The frozen call stays as it is, and can be thawed again.
    ///
    /// The first time that a call of a module is thawed, this compiles the module with its twins: see [`PrepareOptions::freezable`](crate::PrepareOptions::freezable).
    ///
    /// # Errors
    ///
    /// - Those of [`Instance::with_state`] and of [`Instance::rollback`];
    /// - [`Error::InvalidFrozen`] if the linker of `pre` has no [resumable](crate::func_wrap_resumable) function of the name of the one that the call waits in, or one of
    ///   another type; or if the results of the call are no `T`.
    pub fn thaw<S: Send + 'static>(
        &self,
        pre: &PreparedPre<S>,
        options: InstanceOptions,
        state: S,
    ) -> Result<Future<T>, Error> {
        self.thaw_with_instance(pre, options, state).map(|(_, future)| future)
    }

    /// Thaws the call as [`thaw`](Self::thaw) does, and gives the instance as well, for calls after this one.
    ///
    /// # Errors
    ///
    /// As [`thaw`](Self::thaw).
    pub fn thaw_with_instance<S: Send + 'static>(
        &self,
        pre: &PreparedPre<S>,
        mut options: InstanceOptions,
        state: S,
    ) -> Result<(Instance<S>, Future<T>), Error> {
        let call = self.call();
        check(call, pre)?;
        let twins = pre.twins()?;
        // The table of twins is not the guest's.
        let table = twins.module().get_export(TWINS).and_then(|table| table.table().cloned());
        let more = table.map_or(0, |table| usize::try_from(table.minimum()).unwrap_or(usize::MAX));
        options.table_elements = options.table_elements.map(|limit| limit.saturating_add(more));
        let origin = Origin::module(twins);
        options.check(origin.engine(), origin.stops())?;
        let store = Store::new(origin.engine(), state);
        let instance = Instance::make(origin, store, options, None, Start::Skip, |guest| {
            guest.restore(&call.guest, true)
        })?;
        // The guests that a reset makes need no twins.
        *instance.recipe.origin.lock() = Origin::module(pre);
        let mut guest: Away<S> = claim(&instance.home)?;
        let function = go_back(&mut guest, call, twins)?;
        let future = fiber::thawed(guest, call.export.clone(), function);
        Ok((instance, future))
    }
}

/// Refuses a call of another module.
fn check<S: Send + 'static>(call: &FrozenCall, pre: &PreparedPre<S>) -> Result<(), Error> {
    let module = pre.module();
    let Some(freezer) = pre.prepared().freezer() else {
        return Err(Error::NotPrepared { module: module_name(module) });
    };
    if freezer.hash != call.freezer.hash {
        return Err(Error::OtherModule { module: module_name(module) });
    }
    call.guest.check_module(module)
}

/// Has a guest with twins go back into a call, whose state it has, as soon as the function is called that this gives.
fn go_back<S, R>(
    guest: &mut Guest<S>,
    call: &Arc<FrozenCall>,
    twins: &PreparedPre<S>,
) -> Result<TypedFunc<(), R>, Error>
where
    S: Send + 'static,
    R: WasmResults,
{
    let pending = &call.pending;
    let resumable = twins.resumable(&mut guest.store, &pending.module, &pending.name);
    let Some(again) = resumable else {
        let why = format!("no function {}.{} is resumable", pending.module, pending.name);
        return Err(Error::InvalidFrozen { why: why.into() });
    };
    let mut imports = twins.module().imports();
    let import = imports
        .find(|import| import.module() == &*pending.module && import.name() == &*pending.name);
    let Some(ty) = import.and_then(|import| import.ty().func().cloned()) else {
        return Err(invalid("it waits in a function that the module does not import"));
    };
    let references = call.frames.references.iter().map(|value| live(guest, value));
    let references = references.collect::<Result<_, _>>()?;
    let instance = guest.exports.ok_or(Error::Poisoned)?;
    let freezer = twins.prepared().freezer().ok_or(Error::Poisoned)?;
    let store = &mut guest.store;
    let connect = || Reentry::connect(instance, store, freezer);
    let reentry = guest.reentry.get_or_insert_with(connect);
    let results = ty.results();
    let function = reentry.begin(call.clone(), references, &again, results, &mut guest.store)?;
    let function = function.ok_or_else(|| invalid("it is in a function that never waits"))?;
    function.typed(&guest.store).map_err(|_| invalid("its results are of another type"))
}

/// A reference of a frame, in the store of a guest.
fn live<S: Send + 'static>(guest: &mut Guest<S>, value: &Value) -> Result<Reference, Error> {
    let instance = guest.exports.ok_or(Error::Poisoned)?;
    let (tracked, codec) = guest.saves.tracked(instance, &mut guest.store)?;
    tracked.find(value, &mut guest.store, codec)
}

fn invalid(why: &str) -> Error {
    Error::InvalidFrozen { why: why.into() }
}
