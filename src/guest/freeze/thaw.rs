//! How a [`Frozen`] call goes on.

use crate::call::future::Future;
use crate::error::Error;
use crate::guest::checkpoint::codec::RefCodec;
use crate::guest::checkpoint::refs::no_codec;
use crate::guest::fiber;
use crate::guest::freeze::bring_to::bring_to;
use crate::guest::freeze::frozen::Frozen;
use crate::guest::freeze::go_back::{check, fuel_within_limit, go_back};
use crate::guest::freeze::output::CallOutput;
use crate::guest::guest::Start;
use crate::guest::half_way::PoisonedUnlessDone;
use crate::guest::home::{Away, claim};
use crate::guest::instance::Instance;
use crate::guest::limit::options::InstanceOptions;
use crate::guest::origin::Origin;
use crate::guest::prepared::pre::PreparedPre;
use std::mem;
use std::sync::Arc;
use wasmtime::Store;

impl<T> Frozen<T> {
    /// Makes an instance in which the call goes on, with `state` as the state of the host, and gives the future of the call. The host function that the call waits
    /// in waits again, and the guest goes on when that ends. Sleeps of the [kit](crate::guest_kit) and of WASI wait for the time that was left. `pre` has to be of the same module; its engine may be another one.
    ///
    /// The frozen call stays as it is, and can be thawed again.
    ///
    /// `state` is dropped if this fails, as by [`Instance::with_state`]. To keep it, make an instance that has it, and use [`Instance::thaw`], which leaves it there.
    ///
    /// The first time that a call of a module is thawed, this compiles the module with its twins: see [`PrepareOptions::freezable`](crate::PrepareOptions::freezable).
    ///
    /// A call that was made by [`Instance::try_call`] goes on as one, and its result has a trap as a value:
    ///
    /// ```
    /// use wasm_jobs::{EngineOptions, Frozen, Instance, PrepareOptions, Step, Trap, add_yield, engine, prepare_with, wasmtime};
    ///
    /// let engine = engine(&EngineOptions::default())?;
    /// let mut linker = wasmtime::Linker::<()>::new(&engine);
    /// add_yield(&mut linker, "env", "yield")?;
    /// let wasm = wat::parse_str(r#"(module
    ///     (import "env" "yield" (func $yield))
    ///     (func (export "divide") (param i32 i32) (result i32)
    ///         (call $yield)
    ///         (i32.div_s (local.get 0) (local.get 1))))"#)?;
    /// let pre = prepare_with(&engine, wasm, &PrepareOptions::default().freezable(true))?.instantiate_pre(&linker)?;
    /// let instance = Instance::new(&pre, ())?;
    ///
    /// let mut future = instance.try_call::<(i32, i32), i32>("divide", (1, 0))?;
    /// assert_eq!(future.resume()?, Step::Yielded);
    /// let frozen: Frozen<Result<i32, Trap>> = future.freeze()?;
    /// let trap = frozen.thaw(&pre, Default::default(), ())?.wait()?.expect_err("nothing can be divided by zero");
    /// assert_eq!(trap.code(), wasmtime::Trap::IntegerDivisionByZero);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - Those of [`Instance::with_state`] and of [`Instance::rollback`];
    /// - [`Error::NotFreezable`] if calls of `pre` cannot be frozen, and [`Error::OtherModule`] if it is of another module, or was prepared with other options;
    /// - [`Error::Prepare`] and [`Error::Wasmtime`] if the second module cannot be compiled, which the first thaw does;
    /// - [`Error::CannotRestore`] if the call has objects of the host's: use [`thaw_with_ref_codec`](Self::thaw_with_ref_codec);
    /// - [`Error::InvalidFrozen`] if the linker of `pre` has no [resumable](crate::func_wrap_resumable) function of the name of the one that the call waits in, or one of
    ///   another type; or if the results of the call are no `T`.
    pub fn thaw<S, How>(
        &self,
        pre: &PreparedPre<S>,
        options: InstanceOptions,
        state: S,
    ) -> Result<Future<T>, Error>
    where
        S: Send + 'static,
        T: CallOutput<How>,
    {
        self.make(pre, options, state, None).map(|(_, future)| future)
    }

    /// Thaws the call as [`thaw`](Self::thaw) does, and gives the instance as well, for calls after this one.
    ///
    /// # Errors
    ///
    /// As [`thaw`](Self::thaw).
    pub fn thaw_with_instance<S, How>(
        &self,
        pre: &PreparedPre<S>,
        options: InstanceOptions,
        state: S,
    ) -> Result<(Instance<S>, Future<T>), Error>
    where
        S: Send + 'static,
        T: CallOutput<How>,
    {
        self.make(pre, options, state, None)
    }

    /// Thaws the call as [`thaw_with_instance`](Self::thaw_with_instance) does, for a guest that refers to objects of the host's: in its globals and tables, or in locals and
    /// operands of the functions on its stack. `codec` makes these objects, and is the instance's [codec](Instance::set_ref_codec) from then on.
    ///
    /// # Errors
    ///
    /// As [`thaw`](Self::thaw), and [`Error::Wasmtime`] if the codec fails.
    pub fn thaw_with_ref_codec<S, How>(
        &self,
        pre: &PreparedPre<S>,
        options: InstanceOptions,
        state: S,
        codec: impl RefCodec<S>,
    ) -> Result<(Instance<S>, Future<T>), Error>
    where
        S: Send + 'static,
        T: CallOutput<How>,
    {
        self.make(pre, options, state, Some(Arc::new(codec)))
    }

    fn make<S, How>(
        &self,
        pre: &PreparedPre<S>,
        options: InstanceOptions,
        state: S,
        codec: Option<Arc<dyn RefCodec<S>>>,
    ) -> Result<(Instance<S>, Future<T>), Error>
    where
        S: Send + 'static,
        T: CallOutput<How>,
    {
        let call = self.call();
        check(call, pre)?;
        if codec.is_none() && call.has_objects() {
            return Err(Error::CannotRestore {
                what: "an object of the host's".into(),
                why: "there is no codec for it: use `Frozen::thaw_with_ref_codec`".into(),
            });
        }
        let origin = Origin::module(pre);
        options.check(origin.engine(), origin.stops())?;
        // The guests that a reset makes need no twins.
        let next = origin.with_park_after(options.park_after)?;
        let twins = pre.twins()?;
        let origin = Origin::module(twins);
        let mut store = Store::new(origin.engine(), state);
        twins.resumable(&mut store, &call.pending.module, &call.pending.name)?;
        let instance = Instance::make(origin, store, options, None, Start::Skip, |guest| {
            guest.saves.codec = codec;
            guest.restore_state(&call.guest, true)
        })?;
        let before = mem::replace(&mut *instance.recipe.origin.lock(), next);
        drop(before);
        let mut guest: Away<S> = claim(&instance.home)?;
        let back = PoisonedUnlessDone::new(&guest.control);
        let fuel = fuel_within_limit(call, &guest.control);
        let (function, rewind) = go_back(&mut guest, call, None, fuel)?;
        let future = fiber::thawed(guest, call.export.clone(), function, (rewind, back));
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
    /// - [`Error::NotFreezable`] if calls of the instance's module cannot be frozen, [`Error::OtherModule`] if the call is of another module, [`Error::CannotRestore`] if it has objects of the host's and the instance has no
    ///   [codec](Self::set_ref_codec), and [`Error::InvalidFrozen`] if it waits in a function that is not [resumable](crate::func_wrap_resumable) here. The guest stays as it was;
    /// - the others of [`Frozen::thaw`]. The instance may be poisoned then.
    pub fn thaw<T, How>(&self, frozen: &Frozen<T>) -> Result<Future<T>, Error>
    where
        T: CallOutput<How>,
    {
        let call = frozen.call();
        let mut guest: Away<S> = claim(&self.home)?;
        let pre = guest.pre.clone().ok_or_else(|| self.not_freezable())?;
        check(call, &pre)?;
        if guest.saves.codec.is_none() && call.has_objects() {
            return Err(no_codec());
        }
        pre.resumable(&mut guest.store, &call.pending.module, &call.pending.name)?;
        let back = PoisonedUnlessDone::new(&guest.control);
        bring_to(&mut guest, call)?;
        let fuel = fuel_within_limit(call, &guest.control);
        let (function, rewind) = go_back(&mut guest, call, None, fuel)?;
        Ok(fiber::thawed(guest, call.export.clone(), function, (rewind, back)))
    }

    fn not_freezable(&self) -> Error {
        Error::NotFreezable { module: self.recipe.origin.lock().name() }
    }
}
