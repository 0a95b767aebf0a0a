//! The primitives that the layers use: the real ones, or loom's, so that the models in `loom-tests/` run the layers' code unchanged.
//! Code that no model runs uses the real ones directly: rayon's own pools, the thread of the real clock, the payload of a panic.

#[cfg(not(wasm_jobs_loom))]
mod real {
    #[cfg(feature = "wasm")]
    pub(crate) use crossbeam::atomic::AtomicCell;
    #[cfg(feature = "rayon")]
    pub(crate) use crossbeam::queue::SegQueue;
    pub(crate) use crossbeam::sync::{Parker, Unparker};
    pub(crate) use parking_lot::Mutex;
    #[cfg(any(feature = "rayon", feature = "wasm"))]
    pub(crate) use std::sync::atomic::AtomicBool;
    pub(crate) use std::sync::atomic::{AtomicU8, AtomicU64, fence};
    use std::time::{Duration, Instant};

    macro_rules! const_thread_local {
        ($(#[$attr:meta])* static $name:ident: $type:ty = $init:expr;) => {
            std::thread_local! { $(#[$attr])* static $name: $type = const { $init }; }
        };
    }
    pub(crate) use const_thread_local;

    /// A value that one thread at a time touches, because something else excludes the others. The lock is always free.
    #[derive(Debug)]
    pub(crate) struct Exclusive<T>(Mutex<T>);

    impl<T> Exclusive<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(Mutex::new(value))
        }

        #[inline]
        pub(crate) fn access(&self) -> parking_lot::MutexGuard<'_, T> {
            self.0.lock()
        }
    }

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
mod mocked {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, fence};
    pub(crate) use loom::thread_local as const_thread_local;
    use std::collections::VecDeque;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::sync::Arc;
    use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

    /// `parking_lot::Mutex`, as far as it is used here. It has no poisoning, because nothing panics while it is locked.
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

    /// A value that one thread at a time touches, because something else excludes the others. A model fails if that something does not
    /// exclude, or does not synchronise: loom sees the accesses to the cell, and does not see the mutex, which would order them.
    #[derive(Debug)]
    pub(crate) struct Exclusive<T> {
        value: std::sync::Mutex<T>,
        /// In a mutex, because the cell is not `Sync`.
        accesses: std::sync::Mutex<loom::cell::UnsafeCell<()>>,
    }

    impl<T> Exclusive<T> {
        pub(crate) fn new(value: T) -> Self {
            Self { value: std::sync::Mutex::new(value), accesses: Default::default() }
        }

        pub(crate) fn access(&self) -> std::sync::MutexGuard<'_, T> {
            use std::io::Write;

            let payload = match catch_unwind(AssertUnwindSafe(|| self.try_access())) {
                Ok(value) => return value,
                Err(payload) => payload,
            };
            if std::thread::panicking() {
                resume_unwind(payload);
            }
            // Not a panic: a job's turn would catch it, and the model could pass. Not `eprintln`: a test would keep the message.
            let message = payload.downcast_ref::<String>().map_or("it is in use", |text| text);
            let current = std::thread::current();
            let model = current.name().unwrap_or_default();
            let _ = writeln!(
                std::io::stderr(),
                "{model}: two threads touch an exclusive value: {message}"
            );
            std::process::abort();
        }

        fn try_access(&self) -> std::sync::MutexGuard<'_, T> {
            use std::sync::TryLockError;

            match self.accesses.lock() {
                Ok(accesses) => accesses.with_mut(|_| ()),
                Err(poisoned) => poisoned.into_inner().with_mut(|_| ()),
            }
            match self.value.try_lock() {
                Ok(value) => value,
                // A panic in here has failed the model already.
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => panic!("two threads touch an exclusive value"),
            }
        }
    }

    /// `crossbeam::atomic::AtomicCell`, as far as it is used here.
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

    /// `crossbeam::queue::SegQueue`, as far as it is used here, and weaker than that: loom lets a thread take the queue for empty unless
    /// something else orders its look after the push, and a pop comes after the push of its own value, not after others.
    #[derive(Debug)]
    pub(crate) struct SegQueue<T> {
        length: loom::sync::atomic::AtomicUsize,
        /// Each push releases in one of these, and the pop of its value acquires there. A few, so that the models see a short queue.
        pushes: [loom::sync::atomic::AtomicUsize; 4],
        /// Loom does not see this. It changes with the length, in one.
        values: std::sync::Mutex<VecDeque<(usize, T)>>,
        next_push: std::sync::atomic::AtomicUsize,
    }

    impl<T> Default for SegQueue<T> {
        fn default() -> Self {
            Self {
                length: loom::sync::atomic::AtomicUsize::new(0),
                pushes: std::array::from_fn(|_| loom::sync::atomic::AtomicUsize::new(0)),
                values: Default::default(),
                next_push: std::sync::atomic::AtomicUsize::new(0),
            }
        }
    }

    impl<T> SegQueue<T> {
        pub(crate) fn push(&self, value: T) {
            let push = self.next_push.fetch_add(1, Relaxed) % self.pushes.len();
            self.pushes[push].fetch_add(1, Release);
            self.length.fetch_add(1, Relaxed);
            self.values.lock().expect("nothing panics here").push_back((push, value));
        }

        pub(crate) fn pop(&self) -> Option<T> {
            let mut length = self.length.load(Relaxed);
            while length > 0 {
                match self.length.compare_exchange(length, length - 1, Relaxed, Relaxed) {
                    Ok(_) => {
                        let popped = self.values.lock().expect("nothing panics here").pop_front();
                        let (push, value) = popped?;
                        // A read-modify-write, to read the last one.
                        self.pushes[push].fetch_add(0, Acquire);
                        return Some(value);
                    }
                    Err(now) => length = now,
                }
            }
            None
        }

        pub(crate) fn len(&self) -> usize {
            self.length.load(Relaxed)
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.len() == 0
        }
    }

    /// A model must take the same path each time, so here any time has always passed.
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

    /// `crossbeam::sync::Parker`, as far as it is used here.
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

#[cfg(wasm_jobs_loom)]
pub(crate) use mocked::*;
#[cfg(not(wasm_jobs_loom))]
pub(crate) use real::*;

/// Sets a thread-local while `code` runs, also if that panics. Returns what `code` returns, and what the thread-local is then.
#[cfg(feature = "explore")]
pub(crate) fn set_while<T: 'static, R>(
    local: &'static std::thread::LocalKey<std::cell::RefCell<Option<T>>>,
    value: T,
    code: impl FnOnce() -> R,
) -> (R, Option<T>) {
    struct Restore<T: 'static>(
        &'static std::thread::LocalKey<std::cell::RefCell<Option<T>>>,
        Option<T>,
    );
    impl<T> Drop for Restore<T> {
        fn drop(&mut self) {
            self.0.set(self.1.take());
        }
    }

    let _restore = Restore(local, local.replace(Some(value)));
    let result = code();
    (result, local.take())
}
