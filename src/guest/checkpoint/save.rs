//! How an [`Instance`] saves its guest as a [`Checkpoint`], and goes back to one.

use crate::error::Error;
use crate::guest::checkpoint::checkpoint::Checkpoint;
use crate::guest::checkpoint::codec::RefCodec;
use crate::guest::checkpoint::host_state::HostState;
use crate::guest::checkpoint::pages::PAGE;
use crate::guest::checkpoint::refs::no_codec;
use crate::guest::checkpoint::saved_guest::SavedGuest;
use crate::guest::checkpoint::state::Fit;
use crate::guest::guest::Guest;
use crate::guest::half_way::PoisonedUnlessDone;
use crate::guest::home::{Away, claim};
use crate::guest::instance::Instance;
use crate::guest::without_store::move_to_new_store;
use std::sync::Arc;

impl<S: Send + 'static> Instance<S> {
    /// Saves the guest as it is between two calls: its memories, globals and tables. Its module has to be [prepared](crate::prepare). The host's
    /// state is not saved: for that, there is [`checkpoint_with_state`](Self::checkpoint_with_state).
    ///
    /// The time depends on how many pages of memory the guest has ever touched, and on how many have changed since the last checkpoint or rollback
    /// (`checkpoint_save_4m` of the benchmark). On systems other than Linux, and on machines whose pages are not 4 KiB, all pages count as written.
    /// Globals and the elements of tables are read one by one.
    ///
    /// Changed pages are found by a hash of 128 bits, whose seed is a secret of this process. The instance keeps the pages of its last checkpoint.
    ///
    /// # Errors
    ///
    /// - [`Error::CallInProgress`] if a call, which goes on undisturbed, or a guard has the guest;
    /// - [`Error::Poisoned`] if an earlier call ended without returning;
    /// - [`Error::NotPrepared`] if the module was not prepared;
    /// - [`Error::CannotSave`] if a global or a table refers to something that cannot be saved: a function of another instance, an exception, or an
    ///   object of the host's that no [`RefCodec`] writes.
    pub fn checkpoint(&self) -> Result<Checkpoint, Error> {
        let mut guest: Away<S> = claim(&self.home)?;
        Ok(Checkpoint::new(guest.save(false)?, ()))
    }

    /// Saves the guest, and the host's state in its store, as [`HostState`] says. A state that is `Clone + Send + Sync` is cloned.
    ///
    /// # Errors
    ///
    /// As [`checkpoint`](Self::checkpoint), and those of [`HostState::save`].
    pub fn checkpoint_with_state(&self) -> Result<Checkpoint<S::Saved>, Error>
    where
        S: HostState,
    {
        let mut guest: Away<S> = claim(&self.home)?;
        let saved = guest.save(false)?;
        let state = guest.store.data_mut().save()?;
        Ok(Checkpoint::new(saved, state))
    }

    /// Brings the guest back to a checkpoint: of this instance, or of another one of the same module. The host's state stays as it is.
    ///
    /// A poisoned instance can be rolled back, and is fit afterwards. Each [`Func`](crate::Func) stays valid. The fuel stays as it is now.
    ///
    /// Memories and tables cannot shrink. If one has grown since the checkpoint, the guest gets a new store with the same state of the host
    /// and the same fuel. That takes about as long as a [`reset`](Self::reset). Anything else that the caller had set up in the old store, such as a
    /// limiter, is lost then. Handles of the old store that the host has kept, such as a [`Memory`](wasmtime::Memory) in its state, are of no more use.
    ///
    /// # Errors
    ///
    /// - [`Error::CallInProgress`] if a call, which goes on undisturbed, or a guard has the guest;
    /// - [`Error::OtherModule`] if the checkpoint is of a guest of another module, and [`Error::NotPrepared`] if this module was not prepared;
    /// - [`Error::InvalidCheckpoint`] if serde has read the checkpoint, and no guest of the module can be in its state;
    /// - [`Error::CannotRestore`] if the guest referred to an object of the host's, and this instance has no [codec](Self::set_ref_codec);
    /// - [`Error::Unsupported`] if the guest needs a new store, and imports a memory, a global, a table or a tag, which are of the old one;
    /// - [`Error::Wasmtime`] if the codec fails, or if the limits do not allow the memory or the table elements that the guest had; and
    ///   [`Error::TooManyInstances`] if another guest has taken the place in the engine's pool meanwhile. The instance is poisoned then. Roll it
    ///   back again, or reset it.
    ///
    /// # Panics
    ///
    /// If the guest needs a new store, and the destructor of an object in the old one panics. The host's state is lost with it. If the instance has a
    /// [function](Self::with_options) that makes states, this gives [`Error::Panic`] instead, and the instance is poisoned. If it has none, the instance is of no more use.
    pub fn rollback<H>(&self, to: &Checkpoint<H>) -> Result<(), Error> {
        let mut guest: Away<S> = claim(&self.home)?;
        self.bring(&mut guest, to.guest())
    }

    /// Brings the host's state back to a checkpoint, and then the guest, as [`rollback`](Self::rollback) does.
    ///
    /// # Errors
    ///
    /// - Those of [`HostState::restore`], which leave the guest as it was;
    /// - those of [`rollback`](Self::rollback). If the instance is poisoned then, the host's state is that of the checkpoint already.
    pub fn rollback_with_state(&self, to: &Checkpoint<S::Saved>) -> Result<(), Error>
    where
        S: HostState,
    {
        let mut guest: Away<S> = claim(&self.home)?;
        self.check(&guest, to.guest())?;
        guest.store.data_mut().restore(to.state())?;
        self.bring(&mut guest, to.guest())
    }

    /// Sets the codec that writes and reads the objects of the host's in the guest's globals and tables. It replaces an earlier codec, and it stays
    /// when the guest is reset.
    ///
    /// # Errors
    ///
    /// [`Error::CallInProgress`] if a call or a guard has the guest.
    pub fn set_ref_codec(&self, codec: impl RefCodec<S>) -> Result<(), Error> {
        let mut guest: Away<S> = claim(&self.home)?;
        let before = guest.saves.codec.replace(Arc::new(codec));
        drop(guest);
        drop(before);
        Ok(())
    }

    fn bring(&self, guest: &mut Away<S>, saved: &SavedGuest) -> Result<(), Error> {
        self.check(guest, saved)?;
        if guest.fit(saved)? == Fit::Grows {
            return guest.restore(saved, false);
        }
        let origin = self.recipe.origin.lock().clone();
        origin.check_instantiable_anew("a rollback to before a memory or a table has grown")?;
        let unless_made = PoisonedUnlessDone::new(&guest.control);
        move_to_new_store(guest, &origin, self.recipe.state.as_deref())?;
        guest.restore(saved, true)?;
        unless_made.done();
        Ok(())
    }

    /// Refuses a checkpoint that the guest cannot be brought to, before anything changes.
    fn check(&self, guest: &Guest<S>, saved: &SavedGuest) -> Result<(), Error> {
        // Cloned, so that nothing runs under the lock.
        let origin = self.recipe.origin.lock().clone();
        match origin.the_module() {
            Some(module) => saved.check_module(module)?,
            None => return Err(Error::NotPrepared { module: origin.name() }),
        }
        match guest.saves.codec.is_none() && saved.state.has_objects() {
            true => Err(no_codec()),
            false => Ok(()),
        }
    }
}

impl<S: Send + 'static> Guest<S> {
    /// `is_last` says that the guest most likely ends, so its pages are not hashed. If it is saved again, whole pages are compared.
    pub(crate) fn save(&mut self, is_last: bool) -> Result<Arc<SavedGuest>, Error> {
        self.refuse_if_poisoned()?;
        let instance = self.exports.ok_or(Error::Poisoned)?;
        let (tracked, codec) = self.saves.tracked(instance, &mut self.store)?;
        let (state, changed) = tracked.save(&mut self.store, codec, is_last)?;
        Ok(SavedGuest::new(state, changed * PAGE, tracked.plan().clone()))
    }

    /// Whether the guest can be brought to this state, which is one of its module's, in its store.
    pub(crate) fn fit(&mut self, saved: &SavedGuest) -> Result<Fit, Error> {
        // Without an instance, there has to be a new one.
        let Some(instance) = self.exports else { return Ok(Fit::TooLarge) };
        let (tracked, _) = self.saves.tracked(instance, &mut self.store)?;
        Ok(tracked.fit(&saved.state, &self.store))
    }

    /// Brings the guest to a state between two calls that fits. `is_new` says that none of the guest's code has run.
    pub(crate) fn restore(&mut self, saved: &SavedGuest, is_new: bool) -> Result<(), Error> {
        self.restore_state(saved, is_new)?;
        self.rest();
        Ok(())
    }

    /// Brings the guest to a state that fits, which may be in the middle of a call.
    pub(crate) fn restore_state(&mut self, saved: &SavedGuest, is_new: bool) -> Result<(), Error> {
        let instance = self.exports.ok_or(Error::Poisoned)?;
        let unless_restored = PoisonedUnlessDone::new(&self.control);
        self.saves.is_half_made |= is_new;
        // The codec may call the guest. If it panics, the guest is poisoned, and whatever makes it fit again has it heed its flag.
        self.ignore_flag();
        let (tracked, codec) = self.saves.tracked(instance, &mut self.store)?;
        let restored = tracked.restore(&saved.state, is_new, &mut self.store, codec);
        self.heed_flag();
        restored?;
        self.saves.is_half_made = false;
        self.control.poison().clear();
        unless_restored.done();
        Ok(())
    }
}
