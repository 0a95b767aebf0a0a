//! [`yield_now`]: makes the call that awaits it yield.

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
    YieldNow { yielded_in: None }
}

/// The future of [`yield_now`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct YieldNow {
    /// The step in which it was first polled.
    yielded_in: Option<StepNumber>,
}

impl std::future::Future for YieldNow {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let step = StepNumber::current();
        match self.yielded_in {
            None => self.yielded_in = Some(step),
            Some(yielded_in) if yielded_in.is_same(step) => {}
            Some(_) => return Poll::Ready(()),
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Identifies the step in which an event loop polls the tasks of a call. One step may poll a task several times, and [`YieldNow`] has to
/// stay pending until the next step. Steps without an event loop have no number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepNumber(#[cfg(feature = "wasi-p3-preview")] u64);

#[cfg(not(feature = "wasi-p3-preview"))]
impl StepNumber {
    #[inline(always)]
    pub(crate) fn current() -> Self {
        Self()
    }

    #[inline(always)]
    pub(crate) fn is_same(self, _: Self) -> bool {
        false
    }
}

#[cfg(feature = "wasi-p3-preview")]
mod numbered {
    use super::StepNumber;
    use crate::step::interrupt::depth;
    use std::cell::Cell;
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering::Relaxed;

    thread_local! {
        /// The innermost step with a number on this thread: its depth, and its number. The number is zero if there is none.
        static CURRENT: Cell<(u32, u64)> = const { Cell::new((0, 0)) };
    }

    impl StepNumber {
        #[inline]
        pub(crate) fn current() -> Self {
            let (at, number) = CURRENT.get();
            // A step inside that one, such as a call that a host function finishes, has none.
            Self(if at == depth() { number } else { 0 })
        }

        #[inline]
        pub(crate) fn is_same(self, other: Self) -> bool {
            self.0 == other.0 && self.0 != 0
        }

        /// Whether this thread is inside a step that has a number.
        pub(crate) fn is_inside_event_loop() -> bool {
            CURRENT.get().1 != 0
        }

        /// Runs a step under a new number.
        pub(crate) fn with_new<R>(step: impl FnOnce() -> R) -> R {
            static LAST: AtomicU64 = AtomicU64::new(0);
            // Relaxed: the numbers need only differ.
            let number = LAST.fetch_add(1, Relaxed) + 1;
            let _outer = Restore(CURRENT.replace((depth(), number)));
            step()
        }
    }

    /// Sets the number of the outer step again.
    struct Restore((u32, u64));

    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
}
