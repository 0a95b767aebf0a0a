//! [`TakesRequest`]: the steps of a call that can be frozen. Each takes a request that is made to it, for its own store.

use crate::guest::freeze::frames::Saved;
use crate::guest::freeze::freezer::Freezes;
use crate::guest::freeze::request::{self, Encodes, Target};
use crate::guest::guest::Guest;
use crate::guest::limit::control::Control;
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The guest of a call, if the call can be frozen.
pub(crate) struct Freezable {
    of: Option<Arc<Freezes>>,
    encodes: Option<Arc<Encodes>>,
    /// The address of the store's data.
    store: usize,
}

impl Freezable {
    #[inline]
    pub(crate) fn of<S: 'static>(guest: &Guest<S>) -> Self {
        Self {
            of: guest.freezes.clone(),
            encodes: guest.saves.codec.clone().map(|codec| -> Arc<Encodes> {
                Arc::new(move |object| codec.encode(object).is_some())
            }),
            store: ptr::from_ref(guest.store.data()).addr(),
        }
    }

    /// What the guest, which has just returned, has saved. `None` if it was not asked to.
    #[inline]
    pub(crate) fn take_saved(&self) -> Option<Saved> {
        self.of.as_ref().and_then(|_| request::take_saved())
    }
}

pin_project! {
    pub(crate) struct TakesRequest<'a, F> {
        #[pin]
        call: F,
        freezable: &'a Freezable,
        control: &'a Arc<Control>,
    }
}

impl<'a, F> TakesRequest<'a, F> {
    #[inline]
    pub(crate) fn new(call: F, freezable: &'a Freezable, control: &'a Arc<Control>) -> Self {
        Self { call, freezable, control }
    }
}

impl<F: std::future::Future> std::future::Future for TakesRequest<'_, F> {
    type Output = F::Output;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Freezable { of, encodes, store } = this.freezable;
        let target = || {
            let (of, control) = (of.clone()?, this.control.clone());
            Some(Target { of, control, encodes: encodes.clone() })
        };
        let taken = request::is_wanted().then(|| request::take(*store, target));
        let polled = this.call.poll(context);
        drop(taken);
        polled
    }
}
