//! [`Checkpoint`]: the state of a guest between two calls, as data that belongs to no instance.

use crate::error::Error;
use crate::guest::checkpoint::bytes;
#[cfg(feature = "serde")]
use crate::guest::checkpoint::bytes::Limits;
use crate::guest::checkpoint::saved_guest::SavedGuest;
#[cfg(feature = "serde")]
use crate::guest::checkpoint::serde_bytes::Bytes;
use crate::guest::limit::options::InstanceOptions;
use crate::guest::linked::Linked;
use std::fmt;
use std::sync::Arc;

/// The whole state of a guest between two calls, from [`Instance::checkpoint`](crate::Instance::checkpoint): its memories, globals and tables,
/// and which of its segments it has dropped. `H` is what
/// [`Instance::checkpoint_with_state`](crate::Instance::checkpoint_with_state) has saved of the host's state.
///
/// The guest's module has to be [prepared](crate::prepare).
///
/// A clone shares the guest's state, and clones the `H`. Checkpoints of one instance that follow each other share the pages of memory that did
/// not change between them. None holds a page that is as in a new guest. A checkpoint does not refer to the instance: it outlives it, goes to
/// other threads, and can be used any number of times. No limit of the guest counts the memory that its checkpoints take.
///
/// A checkpoint does not hold the limits, the slice, the fuel and the time used: they belong to the instance.
/// [`InstanceOptions`](crate::InstanceOptions) sets them for a new one. An instance that is rolled back keeps its own, and its fuel is not given
/// back.
///
/// ```
/// use wasm_jobs::{Checkpoint, EngineOptions, Instance, engine, prepare, wasmtime};
///
/// let engine = engine(&EngineOptions::default())?;
/// let module = prepare(&engine, wat::parse_str(r#"(module
///     (global $n (mut i32) (i32.const 0)) ;; not even an export
///     (func (export "next") (result i32)
///         (global.set $n (i32.add (global.get $n) (i32.const 1)))
///         (global.get $n)))"#)?)?;
/// let pre = module.instantiate_pre(&wasmtime::Linker::new(&engine))?;
/// let instance = Instance::new(&pre, ())?;
///
/// assert_eq!(instance.call::<(), i32>("next", ())?.wait()?, 1);
/// let here = instance.checkpoint()?;
/// assert_eq!(instance.call::<(), i32>("next", ())?.wait()?, 2);
/// instance.rollback(&here)?; // as often as one likes
/// assert_eq!(instance.call::<(), i32>("next", ())?.wait()?, 2);
///
/// let twin = here.instantiate(&pre, ())?; // another instance that goes on from there
/// assert_eq!(twin.call::<(), i32>("next", ())?.wait()?, 2);
///
/// let bytes = here.to_bytes(); // for a file, or another process
/// let loaded = Checkpoint::from_bytes(&pre, &bytes)?;
/// assert_eq!(loaded.hash(), here.hash());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Checkpoint<H = ()> {
    guest: Arc<SavedGuest>,
    state: H,
}

/// How many bytes a [`Checkpoint`] holds, from [`Checkpoint::size`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointSize {
    /// The bytes of memory pages. Globals, tables and the host's state are not counted.
    pub bytes: usize,
    /// How many of these bytes other checkpoints, or an instance, hold too. Clones of this checkpoint do not count as others.
    pub shared: usize,
    /// The bytes of the pages that had changed since the instance was last saved or rolled back, which is what this checkpoint added. For one that was
    /// read from bytes, all.
    pub changed: usize,
}

impl Checkpoint {
    /// Reads what [`to_bytes`](Self::to_bytes) has written. `pre` has to be of the guest's module; another engine or another process may have
    /// compiled it.
    ///
    /// The bytes may come from a stranger. They are checked, and a guest that is made from them stays in its sandbox, as any other. They can claim
    /// as much memory as the module allows, and then reading them takes as much of the host's memory. For bytes from a stranger, use
    /// [`from_bytes_within`](Self::from_bytes_within), which sets a smaller bound.
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidCheckpoint`] if the bytes are cut off, were changed, or are of another version of the format;
    /// - [`Error::OtherModule`] if they are of a guest of another module;
    /// - [`Error::NotPrepared`] if the module was not prepared.
    pub fn from_bytes<S: 'static>(pre: &impl Linked<S>, bytes: &[u8]) -> Result<Self, Error> {
        Self::from_bytes_within(pre, &InstanceOptions::default(), bytes)
    }

    /// Reads bytes as [`from_bytes`](Self::from_bytes) does, and refuses a guest with more memory or more table elements than `options` allow. The
    /// other options change nothing here.
    ///
    /// # Errors
    ///
    /// As [`from_bytes`](Self::from_bytes), and [`Error::InvalidCheckpoint`] if the guest has more than `options` allow.
    pub fn from_bytes_within<S: 'static>(
        pre: &impl Linked<S>,
        options: &InstanceOptions,
        bytes: &[u8],
    ) -> Result<Self, Error> {
        let guest = SavedGuest::from_bytes(pre.linked().module(), options, bytes)?;
        Ok(Self { guest: Arc::new(guest), state: () })
    }
}

impl<H> Checkpoint<H> {
    pub(crate) fn new(guest: Arc<SavedGuest>, state: H) -> Self {
        Self { guest, state }
    }

    pub(crate) fn guest(&self) -> &SavedGuest {
        &self.guest
    }

    /// What was saved of the host's state. To bring a new state to it, call [`HostState::restore`](crate::HostState::restore).
    #[must_use]
    pub fn state(&self) -> &H {
        &self.state
    }

    /// A checkpoint of the same guest, with this state of the host. [`to_bytes`](Self::to_bytes) writes the guest alone: a program that keeps both
    /// in a file puts them together again by this function.
    #[must_use]
    pub fn with_state<I>(&self, state: I) -> Checkpoint<I> {
        Checkpoint { guest: self.guest.clone(), state }
    }

    /// A hash of the guest's state, by XXH3. With one version of this library, it is the same for all guests of a module that are in the same state,
    /// on every machine. Two players of a game compare theirs to see whether their simulations still agree. The host's state is not in the hash. It
    /// is no protection against someone who looks for two states with the same hash.
    ///
    /// The pages of memory were hashed when they were saved. This function hashes the globals and the tables.
    ///
    /// Bits of a NaN that a processor chooses may differ from machine to machine:
    /// [`Config::cranelift_nan_canonicalization`](wasmtime::Config::cranelift_nan_canonicalization) makes them the same.
    #[must_use]
    pub fn hash(&self) -> u128 {
        bytes::hash(self.guest.layout, &self.guest.state)
    }

    /// How many bytes of memory pages the checkpoint holds.
    #[must_use]
    pub fn size(&self) -> CheckpointSize {
        let (mut bytes, mut shared) = (0, 0);
        for memory in &self.guest.state.memories {
            let (of_memory, of_these) = memory.size();
            bytes += of_memory;
            shared += of_these;
        }
        CheckpointSize { bytes, shared, changed: self.guest.changed }
    }

    /// The guest's state as bytes. The host's state is not among them: see [`state`](Self::state) and [`with_state`](Self::with_state), or the
    /// feature `serde`.
    ///
    /// The bytes have the pages that differ from the module's initial memory, without longer runs of zeros. The format has a version, and a
    /// version of this library that has another format refuses the bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.guest.to_bytes()
    }
}

impl<H: Clone> Clone for Checkpoint<H> {
    fn clone(&self) -> Self {
        Self { guest: self.guest.clone(), state: self.state.clone() }
    }
}

impl<H> fmt::Debug for Checkpoint<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint").field("size", &self.size()).finish_non_exhaustive()
    }
}

/// Writes a pair: the bytes of [`to_bytes`](Checkpoint::to_bytes), as bytes, and the host's state.
#[cfg(feature = "serde")]
impl<H: serde::Serialize> serde::Serialize for Checkpoint<H> {
    fn serialize<T: serde::Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        (Bytes(self.to_bytes()), &self.state).serialize(serializer)
    }
}

/// Checks the bytes, but without limits: for bytes from a stranger, use [`from_bytes_within`](Checkpoint::from_bytes_within). The function that uses
/// the checkpoint checks whether it is of the guest's module.
#[cfg(feature = "serde")]
impl<'de, H: serde::Deserialize<'de>> serde::Deserialize<'de> for Checkpoint<H> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (Bytes(bytes), state) = <(Bytes, H)>::deserialize(deserializer)?;
        let guest = SavedGuest::read(&bytes, Limits { memory: None, elements: None });
        Ok(Self { guest: Arc::new(guest.map_err(serde::de::Error::custom)?), state })
    }
}
