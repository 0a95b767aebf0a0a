//! How a [`Checkpoint`] becomes another instance.

use crate::error::Error;
use crate::guest::checkpoint::checkpoint::Checkpoint;
use crate::guest::checkpoint::codec::RefCodec;
use crate::guest::guest::Start;
use crate::guest::instance::Instance;
use crate::guest::limit::options::InstanceOptions;
use crate::guest::linked::Linked;
use crate::guest::origin::Origin;
use std::sync::Arc;
use wasmtime::Store;

impl<H> Checkpoint<H> {
    /// Makes an instance that goes on from this checkpoint, with `state` as the state of the host. Its start function does not run, because it has
    /// run before the checkpoint.
    ///
    /// What the checkpoint holds of the host's [state](Self::state) is not used. To use it, call
    /// [`HostState::restore`](crate::HostState::restore) on `state` before.
    ///
    /// A [reset](Instance::reset_with) makes a new guest that has run its start function alone. To get the guest of the checkpoint again,
    /// [roll the instance back](Instance::rollback).
    ///
    /// # Errors
    ///
    /// Those of [`Instance::new`] and of [`Instance::rollback`]. A guest that refers to objects of the host's needs
    /// [`instantiate_with_ref_codec`](Self::instantiate_with_ref_codec).
    pub fn instantiate<S: Send + 'static>(
        &self,
        pre: &impl Linked<S>,
        state: S,
    ) -> Result<Instance<S>, Error> {
        self.guest().check_module(pre.linked().module())?;
        let origin = Origin::module(pre);
        let store = Store::new(origin.engine(), state);
        Instance::make(origin, store, InstanceOptions::default(), None, Start::Skip, |guest| {
            guest.restore(self.guest(), true)
        })
    }

    /// Makes an instance as [`instantiate`](Self::instantiate) does, within limits. `state` makes the state of the host, for this guest and for each
    /// new guest that [`reset`](Instance::reset) makes.
    ///
    /// # Errors
    ///
    /// Those of [`Instance::with_options`] and of [`Instance::rollback`].
    pub fn instantiate_with_options<S: Send + 'static>(
        &self,
        pre: &impl Linked<S>,
        options: InstanceOptions,
        state: impl Fn() -> S + Send + Sync + 'static,
    ) -> Result<Instance<S>, Error> {
        self.make(pre, options, state, None)
    }

    /// Makes an instance as [`instantiate_with_options`](Self::instantiate_with_options) does, for a guest that refers to objects of the host's.
    /// `codec` makes these objects, and is the instance's [codec](Instance::set_ref_codec) from then on.
    ///
    /// # Errors
    ///
    /// As [`instantiate_with_options`](Self::instantiate_with_options).
    pub fn instantiate_with_ref_codec<S: Send + 'static>(
        &self,
        pre: &impl Linked<S>,
        options: InstanceOptions,
        state: impl Fn() -> S + Send + Sync + 'static,
        codec: impl RefCodec<S>,
    ) -> Result<Instance<S>, Error> {
        self.make(pre, options, state, Some(Arc::new(codec)))
    }

    fn make<S: Send + 'static>(
        &self,
        pre: &impl Linked<S>,
        options: InstanceOptions,
        state: impl Fn() -> S + Send + Sync + 'static,
        codec: Option<Arc<dyn RefCodec<S>>>,
    ) -> Result<Instance<S>, Error> {
        self.guest().check_module(pre.linked().module())?;
        let (origin, state) = (Origin::module(pre), Arc::new(state));
        options.check(origin.engine(), origin.stops())?;
        let store = Store::new(origin.engine(), state());
        Instance::make(origin, store, options, Some(state), Start::Skip, |guest| {
            guest.saves.codec = codec;
            guest.restore(self.guest(), true)
        })
    }
}
