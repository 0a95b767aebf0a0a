//! `poll_oneoff`: waits for the first of the guest's subscriptions to times and descriptors, which are in `polled`.

#[cfg(feature = "freeze")]
use crate::error::cannot_freeze::CannotFreeze;
#[cfg(feature = "freeze")]
use crate::guest::freeze::frames::Pending;
#[cfg(feature = "freeze")]
use crate::guest::freeze::plain::sealed::{Params, Results as _};
#[cfg(feature = "freeze")]
use crate::guest::freeze::request;
#[cfg(feature = "freeze")]
use crate::guest::freeze::resumable::{other_parameters, pending_in};
#[cfg(feature = "freeze")]
use crate::guest::freeze::waiting::{Again, Waiting, store_address, wait};
use crate::guest::wasi::ctx::WasiCtx;
use crate::guest::wasi::failure::Failure;
#[cfg(feature = "freeze")]
use crate::guest::wasi::failure::errno;
#[cfg(feature = "freeze")]
use crate::guest::wasi::polled::Request;
use crate::guest::wasi::polled::{Parameters, Polled};
#[cfg(feature = "freeze")]
use std::future::{Future, poll_fn};
#[cfg(feature = "freeze")]
use std::pin::{Pin, pin};
#[cfg(feature = "freeze")]
use std::sync::Arc;
#[cfg(feature = "freeze")]
use std::task::{Context, Poll};
use std::time::Duration;
use wasmtime::Caller;
#[cfg(feature = "freeze")]
use wasmtime::Val;

/// The module and the name that guests import this function by.
pub(crate) const MODULE: &str = "wasi_snapshot_preview1";
pub(crate) const POLL_ONEOFF: &str = "poll_oneoff";

pub(crate) async fn poll_oneoff<S: 'static>(
    caller: &mut Caller<'_, S>,
    ctx: impl Fn(&mut S) -> &mut WasiCtx,
    parameters: Parameters,
) -> Result<(), Failure> {
    let (request, polled) = Polled::begin(caller, &ctx, parameters, Duration::ZERO)?;
    if polled.waits_for_times() {
        #[cfg(feature = "freeze")]
        return match wait(caller, TimesWait::new(request, polled)).await {
            Some(over) => over.write(caller),
            // The call is being saved, and what this returns means nothing.
            None => Ok(()),
        };
        #[cfg(not(feature = "freeze"))]
        {
            let passed = polled.first_time(request.clock().clone()).await;
            return request.write_passed(caller, passed);
        }
    }
    #[cfg(feature = "freeze")]
    let store = store_address(caller);
    let first = polled.first(request.clock(), ctx(caller.data_mut()).p1());
    #[cfg(feature = "freeze")]
    let first = cannot_be_saved(store, first);
    let happened = first.await?;
    request.write(caller, happened)
}

/// Waits for what is no data. The call cannot be saved meanwhile.
#[cfg(feature = "freeze")]
async fn cannot_be_saved<F: Future>(store: usize, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        if request::target(store).is_some() {
            let import = format!("{MODULE}.{POLL_ONEOFF}").into();
            let what = "a file or a stream";
            request::refuse(CannotFreeze::Waiting { import, what });
        }
        future.as_mut().poll(context)
    })
    .await
}

/// A guest that waits for times alone.
#[cfg(feature = "freeze")]
struct TimesWait {
    request: Request,
    first: Pin<Box<dyn Future<Output = Vec<u64>> + Send>>,
    may_last: bool,
    /// Once the wait is over, the subscriptions whose times have passed.
    passed: Vec<u64>,
}

#[cfg(feature = "freeze")]
impl TimesWait {
    fn new(request: Request, polled: Polled) -> Self {
        let may_last = !polled.has_passed(request.clock());
        let first = Box::pin(polled.first_time(request.clock().clone()));
        Self { request, first, may_last, passed: Vec::new() }
    }

    fn write<S: 'static>(self, caller: &mut Caller<'_, S>) -> Result<(), Failure> {
        self.request.write_passed(caller, self.passed)
    }
}

#[cfg(feature = "freeze")]
impl<S: 'static> Waiting<S> for TimesWait {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.first.as_mut().poll(context).map(|passed| self.passed = passed)
    }

    fn pending(&self) -> Pending {
        pending_in((MODULE, POLL_ONEOFF), self.request.parameters(), self.request.waited())
    }

    fn may_last(&self) -> bool {
        self.may_last
    }

    fn unwrapped(self: Box<Self>) -> Box<dyn Waiting<S>> {
        self
    }

    fn end(&mut self, caller: &mut Caller<'_, S>, results: &mut [Val]) -> wasmtime::Result<()> {
        errno(self.request.write_passed(caller, self.passed.split_off(0)))?.write(results)
    }
}

/// The wait of a call that was frozen.
#[cfg(feature = "freeze")]
pub(crate) fn again<S: 'static>(
    ctx: impl Fn(&mut S) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> Again<S> {
    Arc::new(move |caller, pending| {
        let parameters = Params::from_values(&pending.params).ok_or_else(other_parameters)?;
        match Polled::begin(caller, &ctx, parameters, pending.waited) {
            Ok((request, polled)) if polled.waits_for_times() => {
                Ok(Box::new(TimesWait::new(request, polled)))
            }
            // It was frozen where it waited for times, and its memory is as it was then.
            _ => Err(other_parameters()),
        }
    })
}
