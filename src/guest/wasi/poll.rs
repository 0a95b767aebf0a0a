//! `poll_oneoff`: waits for the first of the guest's subscriptions to times and descriptors, which are in `polled`. With the feature `freeze`, the call can be saved where it
//! waits for times alone: see `poll_saved`.

#[cfg(feature = "freeze")]
use crate::guest::freeze::waiting::store_address;
use crate::guest::wasi::ctx::WasiCtx;
use crate::guest::wasi::failure::Failure;
#[cfg(feature = "freeze")]
use crate::guest::wasi::poll_saved::{cannot_be_saved, wait_for_times};
use crate::guest::wasi::polled::{Parameters, Polled};
use std::time::Duration;
use wasmtime::Caller;

pub(crate) async fn poll_oneoff<S: 'static>(
    caller: &mut Caller<'_, S>,
    ctx: impl Fn(&mut S) -> &mut WasiCtx,
    parameters: Parameters,
) -> Result<(), Failure> {
    let (request, polled) = Polled::begin(caller, &ctx, parameters, Duration::ZERO)?;
    if polled.waits_for_times() {
        #[cfg(feature = "freeze")]
        return wait_for_times(caller, request, polled).await;
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
