//! [`YieldBeforeHostCalls`]: a store's call hook that yields before each call of the host. wasmtime runs an asynchronous hook on the guest's
//! own stack, so it can suspend the guest whatever the host function is, a synchronous one too.

use crate::call::yield_now::yield_now;
use std::cell::Cell;
use std::pin::Pin;
use wasmtime::{CallHook, CallHookHandler, Result, StoreContextMut};

thread_local! {
    /// Whether a guest on this thread saves itself, which it does without a stop.
    static IS_UNWINDING: Cell<bool> = const { Cell::new(false) };
}

/// Sets whether a guest on this thread saves itself.
#[cfg(feature = "freeze")]
pub(crate) fn set_unwinding(is_unwinding: bool) {
    IS_UNWINDING.set(is_unwinding);
}

/// Runs the hook `H`, which does not wait, and then yields if the guest calls the host.
pub(crate) struct YieldBeforeHostCalls<H>(pub(crate) H);

impl<S, H> CallHookHandler<S> for YieldBeforeHostCalls<H>
where
    S: Send + 'static,
    H: Fn(StoreContextMut<'_, S>, CallHook) -> Result<()> + Send + Sync + 'static,
{
    // As `async_trait` writes it.
    fn handle_call_event<'hook, 'store, 'event>(
        &'hook self,
        store: StoreContextMut<'store, S>,
        hook: CallHook,
    ) -> Pin<Box<dyn std::future::Future<Output = Result<()>> + Send + 'event>>
    where
        'hook: 'event,
        'store: 'event,
        Self: 'event,
    {
        let outcome = (self.0)(store, hook);
        Box::pin(async move {
            outcome?;
            if matches!(hook, CallHook::CallingHost) && !IS_UNWINDING.get() {
                yield_now().await;
            }
            Ok(())
        })
    }
}
