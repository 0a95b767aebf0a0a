//! The synchronisation that the call layer is built on: the real one, or loom's, so that the models in `loom-tests/`
//! check this very code. What no model runs, rayon's pools, the alarm of the real clock and the payload of a panic, has its
//! own.

#[cfg(not(wasm_jobs_loom))]
mod real {
    #[cfg(feature = "wasm")]
    pub(crate) use crossbeam::atomic::AtomicCell;
    pub(crate) use crossbeam::sync::{Parker, Unparker};
    pub(crate) use parking_lot::Mutex;
    pub(crate) use std::sync::atomic::{AtomicU8, AtomicU64};
    use std::time::{Duration, Instant};

    macro_rules! const_thread_local {
        ($(#[$attr:meta])* static $name:ident: $type:ty = $init:expr;) => {
            std::thread_local! { $(#[$attr])* static $name: $type = const { $init }; }
        };
    }
    pub(crate) use const_thread_local;

    #[derive(Debug)]
    pub(crate) struct Stopwatch(Instant);

    impl Stopwatch {
        pub(crate) fn start() -> Self {
            Self(Instant::now())
        }

        pub(crate) fn elapsed(&self) -> Duration {
            self.0.elapsed()
        }
    }
}

#[cfg(wasm_jobs_loom)]
mod real {
    pub(crate) use loom::sync::atomic::{AtomicU8, AtomicU64};
    pub(crate) use loom::thread_local as const_thread_local;
    use std::sync::Arc;

    /// `parking_lot::Mutex`, as far as we use it: without poisoning: what may panic under
    /// a lock is caught there.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().expect("a model panicked while it held a lock")
        }
    }

    /// `crossbeam::atomic::AtomicCell`, as far as we use it.
    #[derive(Debug)]
    pub(crate) struct AtomicCell<T>(Mutex<T>);

    impl<T: Default> AtomicCell<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(Mutex::new(value))
        }

        pub(crate) fn take(&self) -> T {
            std::mem::take(&mut *self.0.lock())
        }

        pub(crate) fn store(&self, value: T) {
            let before = std::mem::replace(&mut *self.0.lock(), value);
            drop(before);
        }
    }

    /// A model must take the same path each time, so here the time is always up.
    #[derive(Debug)]
    pub(crate) struct Stopwatch;

    impl Stopwatch {
        pub(crate) fn start() -> Self {
            Self
        }

        pub(crate) fn elapsed(&self) -> std::time::Duration {
            std::time::Duration::MAX
        }
    }

    /// `crossbeam::sync::Parker`, as far as we use it.
    #[derive(Debug)]
    pub(crate) struct Parker(Unparker);

    #[derive(Clone, Debug)]
    pub(crate) struct Unparker(Arc<loom::sync::Notify>);

    impl Parker {
        pub(crate) fn new() -> Self {
            Self(Unparker(Arc::new(loom::sync::Notify::new())))
        }

        pub(crate) fn park(&self) {
            self.0.0.wait();
        }

        pub(crate) fn unparker(&self) -> &Unparker {
            &self.0
        }
    }

    impl Unparker {
        pub(crate) fn unpark(&self) {
            self.0.notify();
        }
    }
}

pub(crate) use real::*;

use std::sync::Arc;
use std::task::{Wake, Waker};

/// A thread that sleeps until its waker is woken. One per wait, not one per thread: a token that was meant for this
/// wait can then neither be taken by other code that parks the thread, nor be left behind for it.
#[derive(Debug)]
pub(crate) struct Sleeper {
    parker: Parker,
    waker: Waker,
}

#[derive(Debug)]
struct Unpark(Unparker);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

impl Sleeper {
    pub(crate) fn new() -> Self {
        let parker = Parker::new();
        let waker = Waker::from(Arc::new(Unpark(parker.unparker().clone())));
        Self { parker, waker }
    }

    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Blocks until the waker is woken; returns at once if it has been since the last sleep. It may also return for
    /// no reason, so the caller looks again at what it waits for.
    pub(crate) fn sleep(&self) {
        self.parker.park();
    }
}

/// Runs a future to its end on this thread, which sleeps while it waits.
#[cfg(feature = "wasm")]
pub(crate) fn block_on<F: std::future::Future>(future: F) -> F::Output {
    use std::task::{Context, Poll};

    let mut future = std::pin::pin!(future);
    // Most often it does not wait, and making a sleeper takes two allocations. Who does wait is asked again, with a waker.
    if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return output;
    }
    let sleeper = Sleeper::new();
    let mut context = Context::from_waker(sleeper.waker());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => sleeper.sleep(),
        }
    }
}
