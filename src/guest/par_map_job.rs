//! [`ParMapJob`]: the calls of a `par_map` in progress. It collects the [parts](Part) of the instances into one list of results.

use crate::call::future::Future;
use crate::call::into_send::IntoSend;
use crate::call::owner::{LocalOwner, SendOwner};
use crate::error::Error;
use crate::pool::handle::JobHandle;
use crate::wait::block::{Sleeper, Wanted, help_or_sleep};
use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use sync_wrapper::SyncWrapper;

/// One instance's part of the results.
pub(crate) struct Part<R> {
    /// The results for the inputs that it took, each with its place.
    pub(crate) results: Vec<(usize, Result<R, Error>)>,
    /// Why it took no more inputs, if some were left.
    pub(crate) refusal: Option<Error>,
}

/// Many calls in progress on a pool, from [`ParMap::submit`](crate::ParMap::submit).
///
/// It is a std future too. Dropping it cancels the calls. As a [`Future`], it stays on its owner's thread, unless [`into_send`](Self::into_send)
/// lets it travel.
#[must_use = "dropping it cancels the calls"]
pub struct ParMapJob<R: Send + 'static, O = LocalOwner> {
    job: JobHandle,
    parts: Vec<Taking<R, O>>,
    count: usize,
}

/// The work of one instance, and its part of the results once that has ended.
struct Taking<R: Send + 'static, O> {
    call: Future<Part<R>, O>,
    part: SyncWrapper<Option<Result<Part<R>, Error>>>,
}

impl<R: Send + 'static> ParMapJob<R> {
    pub(crate) fn new(job: JobHandle, calls: Vec<Future<Part<R>>>, count: usize) -> Self {
        let taking = |call| Taking { call, part: SyncWrapper::new(None) };
        Self { job, parts: calls.into_iter().map(taking).collect(), count }
    }
}

impl<R: Send + 'static, O> ParMapJob<R, O> {
    /// Lets the owner travel: the calls are [`SendFuture`](crate::SendFuture)s from now on, and this is `Send` and `Sync`.
    pub fn into_send(self) -> ParMapJob<R, SendOwner> {
        let into_send =
            |Taking { call, part }: Taking<R, O>| Taking { call: call.into_send(), part };
        let parts = self.parts.into_iter().map(into_send).collect();
        ParMapJob { job: self.job, parts, count: self.count }
    }

    /// The handle of the jobs of all instances together. A call that fails does not make it fail.
    ///
    /// If the pool drops a job, [`wait`](Self::wait) and awaiting this run the rest of its calls. Waiting for the handle alone does
    /// not, and may then last for ever.
    #[must_use]
    pub fn handle(&self) -> &JobHandle {
        &self.job
    }

    /// Waits for all calls, and gives their results in the order of the inputs.
    ///
    /// If the pool has dropped a job, this runs the rest of its calls on this thread.
    ///
    /// An input for which no instance was left has the error of the last instance: [`Error::Poisoned`] if that could not be reset, or
    /// [`Error::CallInProgress`] if it was in use, or [`Error::GivenBack`] if it went back to its pool. If the handle was cancelled, all
    /// inputs of the instances that have not finished are [`Error::Cancelled`].
    #[must_use]
    pub fn wait(mut self) -> Vec<Result<R, Error>> {
        let sleeper = Sleeper::new();
        loop {
            match Pin::new(&mut self).poll(&mut Context::from_waker(sleeper.waker())) {
                Poll::Ready(results) => return results,
                Poll::Pending => help_or_sleep(&sleeper, Wanted::Any),
            }
        }
    }

    /// Puts the results in the order of the inputs. All parts have ended.
    fn take(&mut self) -> Vec<Result<R, Error>> {
        let mut results: Vec<_> = (0..self.count).map(|_| None).collect();
        let mut refusals = Vec::new();
        for part in self.parts.iter_mut().filter_map(|taking| taking.part.get_mut().take()) {
            match part {
                Ok(part) => {
                    refusals.extend(part.refusal);
                    for (place, result) in part.results {
                        results[place] = Some(result);
                    }
                }
                Err(error) => refusals.push(error),
            }
        }
        let missing = || match refusals.last() {
            Some(Error::Cancelled) => Error::Cancelled,
            Some(Error::CallInProgress) => Error::CallInProgress,
            Some(Error::GivenBack) => Error::GivenBack,
            Some(Error::ResultTaken) => Error::ResultTaken,
            _ => Error::Poisoned,
        };
        results.into_iter().map(|result| result.unwrap_or_else(|| Err(missing()))).collect()
    }
}

impl<R: Send + 'static, O> std::future::Future for ParMapJob<R, O> {
    type Output = Vec<Result<R, Error>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut is_ready = true;
        for Taking { call, part } in &mut self.parts {
            let part = part.get_mut();
            if part.is_none() {
                match Pin::new(call).poll(context) {
                    Poll::Ready(ended) => *part = Some(ended),
                    Poll::Pending => is_ready = false,
                }
            }
        }
        if is_ready { Poll::Ready(self.take()) } else { Poll::Pending }
    }
}

impl<R: Send + 'static, O, X> IntoSend for Result<ParMapJob<R, O>, X> {
    type Sent = Result<ParMapJob<R, SendOwner>, X>;

    fn into_send(self) -> Self::Sent {
        self.map(ParMapJob::into_send)
    }
}

/// Nothing in it is pinned, because the calls are in boxes.
impl<R: Send + 'static, O> Unpin for ParMapJob<R, O> {}

impl<R: Send + 'static, O> fmt::Debug for ParMapJob<R, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParMapJob").field("job", &self.job).finish_non_exhaustive()
    }
}
