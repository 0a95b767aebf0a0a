//! How an [`Instance`] gets a new guest: of the same module, by [`Instance::reset`], or of another, by [`Instance::reset_to`].

use crate::error::Error;
use crate::guest::home::{Away, claim};
use crate::guest::instance::Instance;
use crate::guest::linked::Linked;
use crate::guest::origin::Origin;
use std::mem;
use std::sync::atomic::Ordering::Relaxed;
use wasmtime::Store;

impl<S: Send + 'static, E: Send + Sync + 'static> Instance<S, E> {
    /// Replaces the guest by a new one in a new store, whose state the function given to [`with_options`](Self::with_options) makes.
    /// The old guest is dropped first, so that a full pool has room. Calls are refused meanwhile.
    ///
    /// # Errors
    ///
    /// - [`Error::CallInProgress`] if a call, which goes on undisturbed, or a guard has the guest;
    /// - [`Error::NoStateFactory`] if the instance was made with one state;
    /// - those of [`new`](Self::new). There is no guest then: the instance stays poisoned until a reset succeeds.
    pub fn reset(&self) -> Result<(), Error> {
        self.renew(None, self.store_factory()?)
    }

    /// Replaces the guest by a new one in a new store with this state, however the instance was made.
    ///
    /// Anything that the caller had set up in the old store, such as a limiter, is lost: see
    /// [`reset_with_store`](Self::reset_with_store).
    ///
    /// # Errors
    ///
    /// As [`reset`](Self::reset), but for [`Error::NoStateFactory`].
    pub fn reset_with(&self, state: S) -> Result<(), Error> {
        self.renew(None, || Store::new(&self.recipe.engine, state))
    }

    /// Replaces the guest by a new one in a store that the caller has made and set up, as for [`with_store`](Self::with_store).
    ///
    /// # Errors
    ///
    /// As [`reset_with`](Self::reset_with), and [`Error::OtherEngine`] if the store and the module have different engines, which
    /// leaves the guest as it was.
    pub fn reset_with_store(&self, store: Store<S>) -> Result<(), Error> {
        self.recipe.origin.lock().check_engine(store.engine())?;
        self.renew(None, || store)
    }

    /// Makes the store of a new guest.
    fn store_factory(&self) -> Result<impl FnOnce() -> Store<S>, Error> {
        let state = self.recipe.state.as_ref().ok_or(Error::NoStateFactory)?;
        Ok(|| Store::new(&self.recipe.engine, state()))
    }

    /// Replaces the guest by a new one, of `origin` if there is one.
    fn renew(
        &self,
        origin: Option<Origin<S, E>>,
        store: impl FnOnce() -> Store<S>,
    ) -> Result<(), Error> {
        let mut guest: Away<S, E> = claim(&self.home)?;
        // Before anything changes, because the function that makes the state may panic.
        let store = store();
        let is_other = origin.is_some();
        #[cfg(feature = "freeze")]
        let origin = origin
            .map(|origin| origin.with_park_after(self.recipe.control.park_after()))
            .transpose()?;
        let before = origin.map(|origin| self.replace_origin(origin)).transpose()?;
        // The old origin is dropped and the new one is cloned, so that no destructor and no start function runs under the lock.
        drop(before);
        let origin = self.recipe.origin.lock().clone();
        if is_other {
            // A pool that has lent this instance does not lend it again.
            self.recipe.is_discarded.store(true, Relaxed);
        }
        guest.renew(store, &origin)
    }

    /// Sets what the next guests are made of. The old origin is the caller's.
    fn replace_origin(&self, origin: Origin<S, E>) -> Result<Origin<S, E>, Error> {
        // Under the lock, so that no slice is set meanwhile that the new guest cannot have.
        let mut current = self.recipe.origin.lock();
        self.recipe.control.check(origin.stops())?;
        self.recipe.control.stopper().set_stops(origin.stops());
        Ok(mem::replace(&mut *current, origin))
    }
}

impl<S: Send + 'static> Instance<S> {
    /// Replaces the guest by a new one of another module, in a new store, whose state the function given to
    /// [`with_options`](Self::with_options) makes: hot reload. The limits stay. The old guest is dropped first, and so is its memory; to
    /// carry data over, read it through [`store`](Self::store) before, and write it after.
    ///
    /// A call that has not ended, even one that waits, refuses this. Let it end, or [cancel](crate::Future::cancel) it, which takes effect
    /// once [`Future::wait`](crate::Future::wait) or awaiting it returns. A [`Func`](crate::Func) stays valid: its next call looks the
    /// function up in the new guest.
    ///
    /// ```
    /// # use wasm_jobs::{EngineOptions, Instance, InstanceOptions, engine, wasmtime};
    /// # let engine = engine(&EngineOptions::default())?;
    /// # let linker = wasmtime::Linker::<()>::new(&engine);
    /// # let module = |version: i32| -> Result<_, Box<dyn std::error::Error>> {
    /// #     let text = format!(r#"(module (func (export "version") (result i32) i32.const {version}))"#);
    /// #     Ok(wasmtime::Module::new(&engine, wat::parse_str(text)?)?)
    /// # };
    /// let old = linker.instantiate_pre(&module(1)?)?; // its `version` gives 1
    /// let new = linker.instantiate_pre(&module(2)?)?;
    ///
    /// let instance = Instance::with_options(&old, InstanceOptions::default(), || ())?;
    /// let version = instance.func::<(), i32>("version")?;
    /// assert_eq!(version.call(())?.wait()?, 1);
    /// instance.reset_to(&new)?;
    /// assert_eq!(version.call(())?.wait()?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Error::OtherEngine`] if the module has another engine, and [`Error::NoStateFactory`] if the instance was made with one state;
    /// - [`Error::Unsupported`] if the instance has a timeout or a slice of time, and nothing [stops](Self::stops) the guests of the new module; or if its calls are
    ///   to be parked, and the new module is not freezable;
    /// - [`Error::CallInProgress`] if a call, which goes on undisturbed, or a guard has the guest;
    /// - those of [`new`](Self::new). The instance then has no guest, and is poisoned. [`reset`](Self::reset) tries the new module again, and
    ///   `reset_to` goes back to the old one.
    pub fn reset_to(&self, pre: &impl Linked<S>) -> Result<(), Error> {
        let origin = Origin::module(pre);
        origin.check_engine(&self.recipe.engine)?;
        self.recipe.control.check(origin.stops())?;
        self.renew(Some(origin), self.store_factory()?)
    }

    /// Replaces the guest by a new one of another module, in a new store with this state, however the instance was made. All else is as
    /// for [`reset_to`](Self::reset_to).
    ///
    /// # Errors
    ///
    /// As [`reset_to`](Self::reset_to), but for [`Error::NoStateFactory`].
    pub fn reset_to_with(&self, pre: &impl Linked<S>, state: S) -> Result<(), Error> {
        let origin = Origin::module(pre);
        origin.check_engine(&self.recipe.engine)?;
        self.recipe.control.check(origin.stops())?;
        self.renew(Some(origin), || Store::new(&self.recipe.engine, state))
    }
}
