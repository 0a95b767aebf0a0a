//! `poll_oneoff` for calls that can be saved: what a guest waits for that waits for times alone.

use crate::error::cannot_freeze::CannotFreeze;
use crate::guest::freeze::frames::Pending;
use crate::guest::freeze::plain::sealed::{Params, Results as _};
use crate::guest::freeze::request;
use crate::guest::freeze::resumable::{other_parameters, pending_in};
use crate::guest::freeze::waiting::{Again, Waiting, wait};
use crate::guest::wasi::ctx::WasiCtx;
use crate::guest::wasi::failure::{Failure, errno};
use crate::guest::wasi::polled::{MODULE, POLL_ONEOFF, Polled, Request};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use wasmtime::{Caller, Val};

/// Waits for what is no data. The call cannot be saved meanwhile.
pub(crate) async fn cannot_be_saved<F: Future>(store: usize, future: F) -> F::Output {
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

/// Waits for times alone, and tells the guest which have passed.
pub(crate) async fn wait_for_times<S: 'static>(
    caller: &mut Caller<'_, S>,
    request: Request,
    polled: Polled,
) -> Result<(), Failure> {
    match wait(caller, TimesWait::new(request, polled)).await {
        Some(over) => over.request.write_passed(caller, over.passed),
        // The call is being saved, and what this returns means nothing.
        None => Ok(()),
    }
}

/// A guest that waits for times alone.
struct TimesWait {
    request: Request,
    first: Pin<Box<dyn Future<Output = Vec<u64>> + Send>>,
    may_last: bool,
    /// Once the wait is over, the subscriptions whose times have passed.
    passed: Vec<u64>,
}

impl TimesWait {
    fn new(request: Request, polled: Polled) -> Self {
        let may_last = !polled.has_passed(request.clock());
        let first = Box::pin(polled.first_time(request.clock().clone()));
        Self { request, first, may_last, passed: Vec::new() }
    }
}

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
