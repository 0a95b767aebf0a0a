//! [`yield_now`]: makes the call that awaits it yield.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Makes the call that awaits this yield once. The call goes on at its next step.
///
/// ```
/// # use wasm_jobs::{Future, Step, yield_now};
/// let mut future = Future::new(async { Ok(yield_now().await) });
/// assert_eq!(future.resume()?, Step::Yielded);
/// # Ok::<(), wasm_jobs::Error>(())
/// ```
#[must_use = "futures do nothing unless awaited"]
pub fn yield_now() -> YieldNow {
    YieldNow { has_yielded: false }
}

/// The future of [`yield_now`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct YieldNow {
    has_yielded: bool,
}

impl std::future::Future for YieldNow {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if mem::replace(&mut self.has_yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
