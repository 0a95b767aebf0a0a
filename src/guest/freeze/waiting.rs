//! [`Waiting`]: what a guest waits for in a host function, apart from the guest's stack, so that it can outlive that.

use crate::guest::freeze::frames::{Pending, Purpose};
use crate::guest::freeze::request::{self, Waits};
use crate::guest::freeze::saving::save_here;
use std::future::poll_fn;
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll};
use wasmtime::{Caller, Val};

/// What a guest whose store has an `S` waits for in a host function.
pub(crate) trait Waiting<S: 'static>: Send + 'static {
    /// Ready when the wait is over. It is not polled again then.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// The host function, as data.
    fn pending(&self) -> Pending;

    /// Whether it may last. A yield does not.
    fn may_last(&self) -> bool;

    /// Whether the wait is over, and has given something that would be lost if the call were frozen.
    fn is_over(&self) -> bool {
        false
    }

    /// What was [kept](Kept), or this, if it was not.
    fn unwrapped(self: Box<Self>) -> Box<dyn Waiting<S>>;

    /// Ends the host function, once the wait is over, and writes its results.
    fn end(&mut self, caller: &mut Caller<'_, S>, results: &mut [Val]) -> wasmtime::Result<()>;
}

/// Begins to wait in a host function once more, for a call that was frozen.
pub(crate) type Again<S> = Arc<
    dyn Fn(&mut Caller<'_, S>, &Pending) -> wasmtime::Result<Box<dyn Waiting<S>>> + Send + Sync,
>;

impl<S: 'static> Waiting<S> for Box<dyn Waiting<S>> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        (**self).poll(context)
    }

    fn pending(&self) -> Pending {
        (**self).pending()
    }

    fn may_last(&self) -> bool {
        (**self).may_last()
    }

    fn is_over(&self) -> bool {
        (**self).is_over()
    }

    fn unwrapped(self: Box<Self>) -> Box<dyn Waiting<S>> {
        (*self).unwrapped()
    }

    fn end(&mut self, caller: &mut Caller<'_, S>, results: &mut [Val]) -> wasmtime::Result<()> {
        (**self).end(caller, results)
    }
}

/// What a call has begun to wait for before it was saved, and waits for again.
pub(crate) struct Kept<S: 'static> {
    waiting: Box<dyn Waiting<S>>,
    state: KeptState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeptState {
    /// The step ends here, even if the wait is over.
    Stops,
    Waits,
    Over,
}

impl<S: 'static> Kept<S> {
    /// The call stops there once more before it goes on.
    pub(crate) fn stops(waiting: Box<dyn Waiting<S>>) -> Self {
        Self { waiting, state: KeptState::Stops }
    }

    /// The wait is over.
    pub(crate) fn over(waiting: Box<dyn Waiting<S>>) -> Self {
        Self { waiting, state: KeptState::Over }
    }
}

impl<S: 'static> Waiting<S> for Kept<S> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self.state {
            KeptState::Over => Poll::Ready(()),
            KeptState::Waits => self.waiting.poll(context),
            KeptState::Stops => {
                self.state = KeptState::Waits;
                if self.waiting.poll(context).is_ready() {
                    self.state = KeptState::Over;
                    context.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    }

    fn pending(&self) -> Pending {
        self.waiting.pending()
    }

    fn may_last(&self) -> bool {
        self.waiting.may_last()
    }

    fn is_over(&self) -> bool {
        // A yield can begin anew: it has given nothing.
        self.state == KeptState::Over && self.waiting.may_last()
    }

    fn unwrapped(self: Box<Self>) -> Box<dyn Waiting<S>> {
        self.waiting
    }

    fn end(&mut self, caller: &mut Caller<'_, S>, results: &mut [Val]) -> wasmtime::Result<()> {
        self.waiting.end(caller, results)
    }
}

/// Waits in a host function, and gives back what the guest has waited for. `None` says that the call is being saved. The function then returns at once, whatever it
/// returns.
pub(crate) async fn wait<S: 'static, W: Waiting<S> + Unpin>(
    caller: &mut Caller<'_, S>,
    waiting: W,
) -> Option<W> {
    let store = store_address(caller);
    let mut waiting = Some(waiting);
    let mut waits = Waits::Begins;
    poll_fn(|context| {
        let Some(ours) = &mut waiting else { unreachable!("it is not polled once it is over") };
        let target = request::target(store);
        let is_asked = !ours.is_over()
            && target.as_ref().is_some_and(|target| target.purpose != Purpose::Park);
        if !is_asked && ours.poll(context).is_ready() {
            return Poll::Ready(waiting.take());
        }
        if let Some(target) = target
            && (is_asked || ours.may_last())
            && save_here(caller, &target, || ours.pending())
        {
            if target.purpose != Purpose::Freeze
                && let Some(ours) = waiting.take()
            {
                request::keep_waiting(Box::new(Box::new(ours).unwrapped()));
            }
            return Poll::Ready(None);
        }
        if is_asked && ours.poll(context).is_ready() {
            return Poll::Ready(waiting.take());
        }
        if ours.may_last() {
            request::note_waiting(store, waits);
            waits = Waits::Still;
        }
        Poll::Pending
    })
    .await
}

/// What tells the store of a guest from all others.
pub(crate) fn store_address<S: 'static>(caller: &Caller<'_, S>) -> usize {
    ptr::from_ref(caller.data()).addr()
}
