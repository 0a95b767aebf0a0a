//! A step is stopped by another thread, through the flag of its guest: no stop is lost, and to set the flag once is enough for each.
//!
//! A guest looks again and again. In a model it looks once while the others run, and once after them. A stop is lost if the first look takes the
//! flag and not the reason: then the second one finds no flag.
#![cfg(wasm_jobs_loom)]

use loom::sync::atomic::AtomicU32;
use loom::sync::atomic::Ordering::Relaxed;
use loom::sync::{Condvar, Mutex};
use loom::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;
use wasm_jobs::model::{Interrupter, Interruptible, Setters, YieldRequests, is_cancelled, reasons};
use wasm_jobs::{Error, JobPool};
use wasm_jobs_loom_tests::{Pool, Watch};

/// The flag of a guest. In the library, it is a word of a memory that the guest shares with the host.
#[derive(Debug)]
struct Flag {
    word: AtomicU32,
    setters: Setters,
}

impl Flag {
    fn new() -> Self {
        Self { word: AtomicU32::new(0), setters: Setters::new() }
    }

    /// Sets it, as another thread does that has written its reason.
    ///
    /// In the library, this is a store. For loom, a store that comes after an exchange may stand before it in the order of modifications, if
    /// nothing else orders the two, and then it would never be found.
    fn set(&self) {
        self.setters.raise(|| {
            self.word.swap(1, Relaxed);
        });
    }

    /// Looks at the flag, and takes it if it is set, as the code of a prepared guest does. The exchange is weaker than the guest's, which is
    /// sequentially consistent.
    fn take(&self) -> bool {
        self.word.load(Relaxed) != 0 && self.word.swap(0, Relaxed) != 0
    }
}

/// A guest that runs, and those who ask it to yield.
struct Running {
    flag: Flag,
    requests: YieldRequests,
    /// How often all guests were asked.
    to_all: AtomicU32,
}

impl Running {
    fn new() -> Arc<Self> {
        let running =
            Self { flag: Flag::new(), requests: YieldRequests::new(), to_all: AtomicU32::new(0) };
        running.requests.forget(0);
        Arc::new(running)
    }

    fn request(&self) {
        self.requests.request();
        self.flag.set();
    }

    fn request_of_all(&self) {
        self.to_all.fetch_add(1, Relaxed);
        self.flag.set();
    }

    fn spawn(self: &Arc<Self>, ask: fn(&Self)) -> thread::JoinHandle<()> {
        let running = self.clone();
        thread::spawn(move || ask(&running))
    }

    /// Looks, and returns whether it is to yield.
    fn yields(&self) -> bool {
        self.flag.take() && reasons(|| self.requests.take(self.to_all.load(Relaxed).into()))
    }
}

/// Mistakes: the request is not ordered before the flag, or is read before it.
#[test]
fn a_guest_is_asked_to_yield_while_it_looks() {
    for ask in [Running::request as fn(&Running), Running::request_of_all] {
        loom::model(move || {
            let running = Running::new();
            // The flag of an earlier stop, for which there is no reason any more.
            running.flag.set();
            let asking = running.spawn(ask);
            let yielded = running.yields();
            asking.join().unwrap();
            assert!(yielded || running.yields(), "the request is lost");
        });
    }
}

/// Mistakes: as above. That the two take turns to set the flag is not modelled: see `Flag::set`.
#[test]
fn a_guest_is_asked_to_yield_alone_and_with_all_others() {
    loom::model(|| {
        let running = Running::new();
        let asking = [Running::request as fn(&Running), Running::request_of_all]
            .map(|ask| running.spawn(ask));
        running.yields();
        for asking in asking {
            asking.join().unwrap();
        }
        running.yields();
        let is_left = running.requests.take(running.to_all.load(Relaxed).into());
        assert!(!is_left, "a request is left, and no flag");
    });
}

/// The flag of a guest whose call is cancelled, and whether it was set for that.
struct Cancelled {
    flag: Flag,
    is_set: Mutex<bool>,
    has_been_set: Condvar,
    /// A ghost: how many steps have missed that their call was cancelled.
    missed: AtomicUsize,
}

loom::lazy_static! {
    static ref CANCELLED: Cancelled = Cancelled {
        flag: Flag::new(),
        is_set: Mutex::new(false),
        has_been_set: Condvar::new(),
        missed: AtomicUsize::new(0),
    };
}

/// Sets the flag of the guest once when its call is cancelled during a step, and never again.
struct FlagInterrupter;

impl Interrupter for FlagInterrupter {
    fn interrupt(&'static self, _: Arc<dyn Interruptible>) {
        CANCELLED.flag.set();
        *CANCELLED.is_set.lock().unwrap() = true;
        CANCELLED.has_been_set.notify_all();
    }
}

impl Cancelled {
    fn looks(&self) -> bool {
        self.flag.take() && reasons(is_cancelled)
    }

    /// The body of a step: looks once, and again after the flag was set.
    fn run_until_cancelled(&self) {
        if self.looks() {
            return;
        }
        let mut is_set = self.is_set.lock().unwrap();
        while !*is_set {
            is_set = self.has_been_set.wait(is_set).unwrap();
        }
        drop(is_set);
        if !self.looks() {
            self.missed.fetch_add(1, SeqCst);
        }
    }
}

/// Mistakes: the step is interrupted before its call is marked as cancelled; the mark is not ordered before the flag.
#[test]
fn a_call_is_cancelled_while_its_guest_looks() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::interrupted_by(&FlagInterrupter));
        let mut future = watch.call(|_| {
            CANCELLED.run_until_cancelled();
            Poll::Pending
        });
        // The flag of an earlier call.
        CANCELLED.flag.set();
        let _handle = pool.submit(future.to_job().unwrap());
        let worker = pool.spawn_worker();
        future.cancel();
        assert!(matches!(future.wait(), Err(Error::Cancelled)));
        worker.join().unwrap();
        assert_eq!(
            CANCELLED.missed.load(SeqCst),
            0,
            "the step did not see that its call was cancelled"
        );
        watch.assert_is_over();
    });
}
