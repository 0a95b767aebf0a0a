//! [`YieldBeforeHostCalls`]: a store's call hook that yields before each call of the host. wasmtime runs an asynchronous hook on the guest's
//! own stack, so it can suspend the guest whatever the host function is, a synchronous one too.

use crate::call::yield_now::yield_now;
use std::pin::Pin;
use wasmtime::{CallHook, CallHookHandler, Result, StoreContextMut};

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
            if matches!(hook, CallHook::CallingHost) {
                yield_now().await;
            }
            Ok(())
        })
    }
}
