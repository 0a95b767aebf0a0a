//! [`Frozen`]: a suspended call as data, as users have it.

use crate::error::Error;
use crate::guest::checkpoint::checkpoint::Checkpoint;
use crate::guest::freeze::bytes;
use crate::guest::freeze::frozen_call::FrozenCall;
use crate::guest::limit::options::InstanceOptions;
use crate::guest::prepared::pre::PreparedPre;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A call that was suspended in the middle of its guest's functions, as data: from [`Future::freeze`](crate::Future::freeze). `T` is what the call will give.
///
/// It holds the guest, as a [`Checkpoint`] does, the functions that were on its stack with their values, the host function that it waits in with its arguments, and the
/// fuel that was left. It does not hold the state of the host, nor the limits of the instance.
///
/// A clone shares all of it. It refers to no instance: it outlives that, goes to other threads, and can be [thawed](Self::thaw) any number of times. Each future that comes of it goes
/// on in the same way.
///
/// See [`Future::freeze`](crate::Future::freeze) for an example.
pub struct Frozen<T> {
    call: Arc<FrozenCall>,
    result: PhantomData<fn() -> T>,
}

impl<T> Frozen<T> {
    pub(crate) fn new(call: Arc<FrozenCall>) -> Self {
        Self { call, result: PhantomData }
    }

    pub(crate) fn call(&self) -> &Arc<FrozenCall> {
        &self.call
    }

    /// The name of the export that was called.
    #[must_use]
    pub fn export(&self) -> &str {
        &self.call.export
    }

    /// The guest as it was in the middle of the call: its memories, globals and tables. It is for looking. An instance that is rolled back to it is fit for calls, but its stack
    /// pointer and whatever the call held stay as they were there.
    #[must_use]
    pub fn guest(&self) -> Checkpoint {
        Checkpoint::new(self.call.guest.clone(), ())
    }

    /// The call as bytes. The format has a version, and a version of this library that has another format refuses the bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        bytes::encode(&self.call)
    }

    /// Reads what [`to_bytes`](Self::to_bytes) has written. `pre` has to be of the same module, prepared with the same options; another engine or another process may
    /// have compiled it. That the call gives a `T` is checked when it is thawed.
    ///
    /// The bytes may come from a stranger. They are checked, and a guest that is made from them stays in its sandbox, as any other. They can claim as much memory as
    /// the module allows: see [`from_bytes_within`](Self::from_bytes_within).
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidFrozen`] and [`Error::InvalidCheckpoint`] if the bytes are cut off, were changed, or are of another version of the format;
    /// - [`Error::OtherModule`] if they are of a call of another module, or of one that was prepared with other options;
    /// - [`Error::NotFreezable`] if calls of the module of `pre` cannot be frozen.
    pub fn from_bytes<S: Send + 'static>(
        pre: &PreparedPre<S>,
        bytes: &[u8],
    ) -> Result<Self, Error> {
        Self::from_bytes_within(pre, &InstanceOptions::default(), bytes)
    }

    /// Reads bytes as [`from_bytes`](Self::from_bytes) does, and refuses a guest with more memory or more table elements than `options` allow. The other options
    /// change nothing here.
    ///
    /// # Errors
    ///
    /// As [`from_bytes`](Self::from_bytes), and [`Error::InvalidCheckpoint`] if the guest has more than `options` allow.
    pub fn from_bytes_within<S: Send + 'static>(
        pre: &PreparedPre<S>,
        options: &InstanceOptions,
        bytes: &[u8],
    ) -> Result<Self, Error> {
        bytes::decode(pre, options, bytes).map(|call| Self::new(Arc::new(call)))
    }
}

impl<T> Clone for Frozen<T> {
    fn clone(&self) -> Self {
        Self::new(self.call.clone())
    }
}

impl<T> fmt::Debug for Frozen<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frozen").field("export", &self.call.export).finish_non_exhaustive()
    }
}
