//! [`OwnedRef`]: a reference that keeps its object alive until it is dropped, and no longer. A `TableGuard` gives and takes it.

use crate::error::Error;
use wasmtime::{AnyRef, AsContextMut, ExnRef, ExternRef, Func, OwnedRooted, Ref};

/// A reference to a function or an object of a guest's store.
///
/// It differs from wasmtime's [`Ref`] in how long it keeps the object alive. The [`Rooted`](wasmtime::Rooted) of a `Ref` does so until
/// its [`RootScope`](wasmtime::RootScope) ends, and outside of scopes until the store is dropped. An [`OwnedRooted`] does so until
/// it is dropped itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum OwnedRef {
    /// A function; `None` for a null reference.
    Func(Option<Func>),
    /// An object of the host; `None` for a null reference.
    Extern(Option<OwnedRooted<ExternRef>>),
    /// An object of the guest: a struct, an array or an `i31`; `None` for a null reference.
    Any(Option<OwnedRooted<AnyRef>>),
    /// An exception; `None` for a null reference.
    Exn(Option<OwnedRooted<ExnRef>>),
}

impl OwnedRef {
    /// Makes an owned reference to the object of wasmtime's reference.
    ///
    /// # Errors
    ///
    /// [`Error::Wasmtime`] if the scope of the reference has ended.
    pub fn from_ref(mut store: impl AsContextMut, reference: &Ref) -> Result<Self, Error> {
        Ok(match reference {
            Ref::Func(func) => Self::Func(*func),
            Ref::Extern(None) => Self::Extern(None),
            Ref::Extern(Some(object)) => Self::Extern(Some(object.to_owned_rooted(&mut store)?)),
            Ref::Any(None) => Self::Any(None),
            Ref::Any(Some(object)) => Self::Any(Some(object.to_owned_rooted(&mut store)?)),
            Ref::Exn(None) => Self::Exn(None),
            Ref::Exn(Some(object)) => Self::Exn(Some(object.to_owned_rooted(&mut store)?)),
        })
    }

    /// The reference of wasmtime, rooted in the innermost [`RootScope`](wasmtime::RootScope) of `store`.
    ///
    /// # Panics
    ///
    /// If the object is of another store.
    pub fn to_ref(&self, mut store: impl AsContextMut) -> Ref {
        match self {
            Self::Func(func) => Ref::Func(*func),
            Self::Extern(object) => {
                Ref::Extern(object.as_ref().map(|object| object.to_rooted(&mut store)))
            }
            Self::Any(object) => {
                Ref::Any(object.as_ref().map(|object| object.to_rooted(&mut store)))
            }
            Self::Exn(object) => {
                Ref::Exn(object.as_ref().map(|object| object.to_rooted(&mut store)))
            }
        }
    }

    /// The function, if this is a reference to one that is not null.
    #[must_use]
    pub fn func(&self) -> Option<&Func> {
        match self {
            Self::Func(func) => func.as_ref(),
            _ => None,
        }
    }

    /// Whether this is a null reference.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Func(None) | Self::Extern(None) | Self::Any(None) | Self::Exn(None))
    }
}

macro_rules! from {
    ($($variant:ident: $object:ty;)*) => {$(
        impl From<$object> for OwnedRef {
            fn from(object: $object) -> Self {
                Self::$variant(Some(object))
            }
        }

        impl From<Option<$object>> for OwnedRef {
            fn from(object: Option<$object>) -> Self {
                Self::$variant(object)
            }
        }
    )*};
}

from! {
    Func: Func;
    Extern: OwnedRooted<ExternRef>;
    Any: OwnedRooted<AnyRef>;
    Exn: OwnedRooted<ExnRef>;
}
