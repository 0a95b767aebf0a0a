//! [`Linked`]: a module that is linked, plain or prepared.

use crate::error::Error;
use crate::guest::limit::stops::Stops;
#[cfg(feature = "prepare")]
use crate::guest::prepared::pre::PreparedPre;
use std::sync::{Arc, LazyLock};
use wasmtime::{InstancePre, Module, Store};

/// A module that is linked, from which instances are made: wasmtime's [`InstancePre`], or a `PreparedPre`, which
/// `Prepared::instantiate_pre` makes with the feature `prepare`. It is sealed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no linked module for the state `{S}`",
    note = "`Linker::instantiate_pre` links a module, and `Prepared::instantiate_pre` a prepared one"
)]
pub trait Linked<S: 'static>: sealed::Linked<S> {}

impl<S: 'static> Linked<S> for InstancePre<S> {}

#[cfg(feature = "prepare")]
impl<S: 'static> Linked<S> for PreparedPre<S> {}

impl<S: 'static, L: Linked<S> + ?Sized> Linked<S> for &L {}

impl<S: 'static, L: Linked<S>> Linked<S> for Arc<L> {}

impl<S: 'static, L: Linked<S>> Linked<S> for LazyLock<L> {}

pub(crate) mod sealed {
    use super::LinkedModule;

    pub trait Linked<S: 'static> {
        #[expect(private_interfaces, reason = "the trait is sealed")]
        fn linked(&self) -> LinkedModule<S>;
    }
}

impl<S: 'static, L: sealed::Linked<S> + ?Sized> sealed::Linked<S> for &L {
    #[expect(private_interfaces, reason = "the trait is sealed")]
    fn linked(&self) -> LinkedModule<S> {
        (**self).linked()
    }
}

impl<S: 'static, L: sealed::Linked<S>> sealed::Linked<S> for Arc<L> {
    #[expect(private_interfaces, reason = "the trait is sealed")]
    fn linked(&self) -> LinkedModule<S> {
        (**self).linked()
    }
}

impl<S: 'static, L: sealed::Linked<S>> sealed::Linked<S> for LazyLock<L> {
    #[expect(private_interfaces, reason = "the trait is sealed")]
    fn linked(&self) -> LinkedModule<S> {
        (**self).linked()
    }
}

/// Either of the two.
pub(crate) enum LinkedModule<S: 'static> {
    Plain(InstancePre<S>),
    #[cfg(feature = "prepare")]
    Prepared(PreparedPre<S>),
}

impl<S: 'static> sealed::Linked<S> for InstancePre<S> {
    #[expect(private_interfaces, reason = "the trait is sealed")]
    fn linked(&self) -> LinkedModule<S> {
        LinkedModule::Plain(self.clone())
    }
}

#[cfg(feature = "prepare")]
impl<S: 'static> sealed::Linked<S> for PreparedPre<S> {
    #[expect(private_interfaces, reason = "the trait is sealed")]
    fn linked(&self) -> LinkedModule<S> {
        LinkedModule::Prepared(self.clone())
    }
}

#[cfg(feature = "macros")]
impl<S: 'static> sealed::Linked<S> for LinkedModule<S> {
    fn linked(&self) -> LinkedModule<S> {
        self.clone()
    }
}

#[cfg(feature = "macros")]
impl<S: 'static> Linked<S> for LinkedModule<S> {}

impl<S: 'static> LinkedModule<S> {
    pub(crate) fn module(&self) -> &Module {
        match self {
            Self::Plain(pre) => pre.module(),
            #[cfg(feature = "prepare")]
            Self::Prepared(pre) => pre.module(),
        }
    }

    /// What stops its guests.
    pub(crate) fn stops(&self) -> Stops {
        match self {
            Self::Plain(pre) => Stops::without_flag(pre.module().engine()),
            #[cfg(feature = "prepare")]
            Self::Prepared(pre) => pre.stops(),
        }
    }

    /// Whether the calls of a guest that are inside each other have to be counted.
    pub(crate) fn counts_calls(&self) -> bool {
        match self {
            #[cfg(feature = "freeze")]
            Self::Prepared(pre) => {
                let freezable = pre.prepared().freezable();
                freezable.is_some_and(|freezable| !freezable.frames.shows_host_calls)
            }
            _ => false,
        }
    }

    /// What wasmtime makes an instance of, in this store.
    #[cfg_attr(not(feature = "prepare"), expect(unused_variables, reason = "for flags"))]
    pub(crate) fn instance_pre(&self, store: &Store<S>) -> Result<&InstancePre<S>, Error> {
        match self {
            Self::Plain(pre) => Ok(pre),
            #[cfg(feature = "prepare")]
            Self::Prepared(pre) => pre.linked(store),
        }
    }
}

impl<S: 'static> Clone for LinkedModule<S> {
    fn clone(&self) -> Self {
        match self {
            Self::Plain(pre) => Self::Plain(pre.clone()),
            #[cfg(feature = "prepare")]
            Self::Prepared(pre) => Self::Prepared(pre.clone()),
        }
    }
}
