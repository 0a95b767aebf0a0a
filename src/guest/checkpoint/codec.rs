//! [`RefCodec`]: how objects of the host's that a guest refers to become bytes, and bytes become objects.

use std::any::Any;
use wasmtime::{ExternRef, Rooted, StoreContextMut};

/// Writes and reads the objects of the host's that a guest keeps in its globals and tables as `externref`. An instance gets it by
/// [`Instance::set_ref_codec`](crate::Instance::set_ref_codec).
///
/// A [`Checkpoint`](crate::Checkpoint) holds bytes in the place of the objects. If a guest refers to one object in two places, two objects are made of it.
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
    /// Writes an object. With `None`, the checkpoint fails with [`Error::CannotSave`](crate::Error::CannotSave).
    fn encode(&self, object: &(dyn Any + Send + Sync)) -> Option<Vec<u8>>;

    /// Makes an object of what [`encode`](Self::encode) has written. The bytes may come from a file, and then may be anything.
    ///
    /// # Errors
    ///
    /// Any. The rollback fails with [`Error::Wasmtime`](crate::Error::Wasmtime), which has it.
    fn decode(
        &self,
        bytes: &[u8],
        store: StoreContextMut<'_, S>,
    ) -> wasmtime::Result<Rooted<ExternRef>>;
}
