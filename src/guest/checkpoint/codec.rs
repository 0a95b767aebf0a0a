//! [`RefCodec`]: how objects of the host's that a guest refers to become bytes, and bytes become objects.

use std::any::Any;
use wasmtime::{ExternRef, Rooted, StoreContextMut};

/// Writes and reads the objects of the host's that a guest keeps as `externref` in its globals and tables. An instance gets it by
/// [`Instance::set_ref_codec`](crate::Instance::set_ref_codec), or by
/// [`Checkpoint::instantiate_with_ref_codec`](crate::Checkpoint::instantiate_with_ref_codec).
///
/// A [`Checkpoint`](crate::Checkpoint) holds bytes in the place of the objects. An object that the guest refers to in two places is written
/// twice, and becomes two objects.
///
/// ```
/// use std::any::Any;
/// use wasm_jobs::RefCodec;
/// use wasm_jobs::wasmtime::{self, ExternRef, Rooted, StoreContextMut};
///
/// /// The guest refers to textures of the host's, which are known by their names.
/// struct Textures;
///
/// impl<S: 'static> RefCodec<S> for Textures {
///     fn encode(&self, object: &(dyn Any + Send + Sync)) -> Option<Vec<u8>> {
///         object.downcast_ref::<String>().map(|name| name.clone().into_bytes())
///     }
///
///     fn decode(&self, bytes: &[u8], store: StoreContextMut<'_, S>) -> wasmtime::Result<Rooted<ExternRef>> {
///         ExternRef::new(store, String::from_utf8(bytes.to_vec())?)
///     }
/// }
/// ```
pub trait RefCodec<S: 'static>: Send + Sync + 'static {
    /// Writes an object. `None` says that it cannot be written: [`Instance::checkpoint`](crate::Instance::checkpoint) then fails with
    /// [`Error::CannotSave`](crate::Error::CannotSave).
    fn encode(&self, object: &(dyn Any + Send + Sync)) -> Option<Vec<u8>>;

    /// Makes an object from what [`encode`](Self::encode) has written. If the checkpoint was read from a file, the bytes may be anything.
    ///
    /// # Errors
    ///
    /// Any. The rollback then fails with [`Error::Wasmtime`](crate::Error::Wasmtime), which contains this error, and the instance is poisoned.
    fn decode(
        &self,
        bytes: &[u8],
        store: StoreContextMut<'_, S>,
    ) -> wasmtime::Result<Rooted<ExternRef>>;
}
