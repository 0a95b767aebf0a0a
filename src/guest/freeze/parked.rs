//! [`park`]: a call without a guest. What is left of the guest is its state as bytes, the state of the host, and what the call waits for.

use crate::call::lease::{Lease, Leased};
use crate::error::Error;
use crate::error::cannot_freeze::CannotFreeze;
use crate::guest::freeze::bytes::{decode, encode};
use crate::guest::freeze::frames::Purpose;
use crate::guest::freeze::frozen_call::FrozenCall;
use crate::guest::freeze::request;
use crate::guest::freeze::waiting::Waiting;
use crate::guest::guest::{Guest, Start};
use crate::guest::limit::limited::Limited;
use crate::guest::limit::options::InstanceOptions;
use crate::guest::origin::Origin;
use crate::guest::trap::{Attempt, Begun, timed_out};
use crate::guest::without_store::WithoutStore;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// How long a call is parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Until it has what it waits for.
    HasWaited,
    /// Until there is a place for its guest.
    HasPlace,
}

/// Parks a call. Then its guest is there again, with twins, and in the state that it had. Gives back the call, and what it waits for.
pub(crate) async fn park<S, H>(
    guest: &mut Leased<Box<Guest<S>>, H>,
    export: &str,
    call: Arc<FrozenCall>,
    waiting: Box<dyn Waiting<S>>,
    until: Until,
) -> Result<(Arc<FrozenCall>, Box<dyn Waiting<S>>), Box<Error>>
where
    S: Send + 'static,
    H: AsRef<Lease<Box<Guest<S>>>> + Send + Sync + 'static,
{
    let control = guest.control.clone();
    let bytes = encode(&call).into_boxed_slice();
    drop(call);
    let mut parked = Parked::new(guest, bytes, waiting, until)?;
    let back = Limited::new(poll_fn(|context| parked.poll(context).map(Ok)), &control).await;
    match (back, control.timed_out()) {
        (Ok(Ok(call)), None) => Ok((call, parked.end()?)),
        (Ok(Err(error)), None) => Err(error),
        (_, Some(limit)) => {
            Err(Box::new(timed_out(limit, &control, Attempt::Export(export), Begun::Yes)))
        }
        (Err(error), None) => Err(Box::new(Error::Wasmtime(error))),
    }
}

/// A parked call. If it is dropped, its instance has a guest that is half-way through a call, and is nowhere.
struct Parked<'a, S: Send + 'static, H: AsRef<Lease<Box<Guest<S>>>>> {
    home: &'a mut Leased<Box<Guest<S>>, H>,
    /// `Some` until the guest is there again.
    left: Option<WithoutStore<S>>,
    bytes: Box<[u8]>,
    waiting: Option<Box<dyn Waiting<S>>>,
    until: Until,
}

impl<'a, S: Send + 'static, H: AsRef<Lease<Box<Guest<S>>>>> Parked<'a, S, H> {
    fn new(
        home: &'a mut Leased<Box<Guest<S>>, H>,
        bytes: Box<[u8]>,
        waiting: Box<dyn Waiting<S>>,
        until: Until,
    ) -> Result<Self, Box<Error>> {
        let guest = home.take_out().ok_or(Error::Poisoned)?;
        let (left, ended) = guest.without_store(None);
        let (left, waiting) = (Some(left), Some(waiting));
        let parked = Self { home, left, bytes, waiting, until };
        ended?;
        Ok(parked)
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Arc<FrozenCall>, Box<Error>>> {
        if self.until == Until::HasWaited {
            if let Some(purpose) = request::accept_wanted() {
                request::deliver(Arc::new(self.call()?));
                if purpose == Purpose::Freeze {
                    return Poll::Ready(Err(Box::new(Error::Cancelled)));
                }
            }
            let Some(waiting) = &mut self.waiting else { return Poll::Pending };
            ready!(waiting.poll(context));
            self.until = Until::HasPlace;
        }
        match self.wake() {
            // Other guests have all places of the engine's pool. Until one is free, the call yields.
            Err(error) if matches!(*error, Error::TooManyInstances { .. }) => {
                if request::accept_wanted().is_some() {
                    // What the call has got would be lost.
                    request::answer_refused(CannotFreeze::Running);
                }
                context.waker().wake_by_ref();
                Poll::Pending
            }
            woken => Poll::Ready(woken),
        }
    }

    /// The call as data, with what it waits for as it is now.
    fn call(&self) -> Result<FrozenCall, Box<Error>> {
        let pre = self.left.as_ref().and_then(|left| left.pre.as_ref());
        let pre = pre.ok_or(Error::Poisoned)?;
        let call = decode(pre, &InstanceOptions::default(), &self.bytes)?;
        let Some(waiting) = &self.waiting else { return Ok(call) };
        Ok(FrozenCall { pending: waiting.pending(), ..call })
    }

    /// Makes the guest again.
    fn wake(&mut self) -> Result<Arc<FrozenCall>, Box<Error>> {
        let pre = self.left.as_ref().and_then(|left| left.pre.clone()).ok_or(Error::Poisoned)?;
        let origin = Origin::module(pre.twins()?);
        let Some(left) = self.left.take() else { return Err(Box::new(Error::Poisoned)) };
        let mut guest: Box<Guest<S>> = Box::new(left.with_new_store());
        match guest.instantiate(&origin, Start::GoOn) {
            Err(error @ Error::TooManyInstances { .. }) => {
                self.left = Some(guest.without_store(None).0);
                return Err(Box::new(error));
            }
            made => {
                self.home.put_back(guest);
                made?;
            }
        }
        let call = Arc::new(decode(&pre, &InstanceOptions::default(), &self.bytes)?);
        self.home.restore_state(&call.guest, true)?;
        Ok(call)
    }

    /// What the call has waited for, once the guest is there again.
    fn end(mut self) -> Result<Box<dyn Waiting<S>>, Box<Error>> {
        Ok(self.waiting.take().ok_or(Error::Poisoned)?)
    }
}

impl<S: Send + 'static, H: AsRef<Lease<Box<Guest<S>>>>> Drop for Parked<'_, S, H> {
    fn drop(&mut self) {
        if let Some(left) = self.left.take() {
            left.control.poison().set();
            self.home.put_back(Box::new(left.with_new_store()));
        }
    }
}
