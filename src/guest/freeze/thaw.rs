//! How a [`Frozen`] call goes on.

use crate::call::future::Future;
use crate::error::Error;
use crate::guest::checkpoint::refs::no_codec;
use crate::guest::fiber;
use crate::guest::freeze::bring_to::bring_to;
use crate::guest::freeze::frozen::Frozen;
use crate::guest::freeze::go_back::{check, fuel_within_limit, go_back};
use crate::guest::guest::Start;
use crate::guest::half_way::PoisonedUnlessDone;
use crate::guest::home::{Away, claim};
use crate::guest::instance::Instance;
use crate::guest::limit::options::InstanceOptions;
use crate::guest::origin::Origin;
use crate::guest::prepared::pre::PreparedPre;
use std::mem;
use wasmtime::{Store, WasmResults};

impl<T: WasmResults + Sync + 'static> Frozen<T> {
    /// Makes an instance in which the call goes on, with `state` as the state of the host, and gives the future of the call. The host function that the call waits
    /// in waits again, and the guest goes on when that ends. Sleeps of the [kit](crate::guest_kit) and of WASI wait for the time that was left. `pre` has to be of the same module; its engine may be another one.
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
        options: InstanceOptions,
        state: S,
    ) -> Result<(Instance<S>, Future<T>), Error> {
        let call = self.call();
        check(call, pre)?;
        let twins = pre.twins()?;
        let origin = Origin::module(twins);
        options.check(origin.engine(), origin.stops())?;
        let parks = options.park_after;
        let store = Store::new(origin.engine(), state);
        let instance = Instance::make(origin, store, options, None, Start::Skip, |guest| {
            guest.restore_state(&call.guest, true)
        })?;
        // The guests that a reset makes need no twins.
        let next = Origin::module(pre).with_park_after(parks)?;
        let before = mem::replace(&mut *instance.recipe.origin.lock(), next);
        drop(before);
        let mut guest: Away<S> = claim(&instance.home)?;
        let back = PoisonedUnlessDone::new(&guest.control);
        let fuel = fuel_within_limit(call, &guest.control);
        let (function, way) = go_back(&mut guest, call, None, fuel)?;
        let future = fiber::thawed(guest, call.export.clone(), function, (way, back));
        Ok((instance, future))
    }
}

impl<S: Send + 'static> Instance<S> {
    /// Brings the guest to the middle of a call that was [frozen](Future::freeze), or of which there is a [checkpoint](Future::checkpoint), and gives the future of the call. The host's
    /// state stays as it is.
    ///
    /// A poisoned instance can be brought there, too. The first time, the guest gets a new store with the same state of the host: anything else that the caller has set up in the
    /// old store, such as a limiter, is lost then.
    ///
    /// See [`Future::checkpoint`] for an example.
    ///
    /// # Errors
    ///
    /// - [`Error::CallInProgress`] if a call or a guard has the guest;
    /// - those of [`Frozen::thaw`]. The instance may be poisoned then.
    pub fn thaw<T: WasmResults + Sync + 'static>(
        &self,
        frozen: &Frozen<T>,
    ) -> Result<Future<T>, Error> {
        let call = frozen.call();
        let mut guest: Away<S> = claim(&self.home)?;
        let pre = guest.pre.clone().ok_or_else(|| self.not_prepared())?;
        check(call, &pre)?;
        if guest.saves.codec.is_none() && call.has_objects() {
            return Err(no_codec());
        }
        let back = PoisonedUnlessDone::new(&guest.control);
        bring_to(&mut guest, call)?;
        let fuel = fuel_within_limit(call, &guest.control);
        let (function, way) = go_back(&mut guest, call, None, fuel)?;
        Ok(fiber::thawed(guest, call.export.clone(), function, (way, back)))
    }

    fn not_prepared(&self) -> Error {
        Error::NotPrepared { module: self.recipe.origin.lock().name() }
    }
}
