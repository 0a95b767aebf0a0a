//! [`Crossings`]: tells a run when one of its guests calls the host, and when it returns to it.

use crate::explore::run::Run;
use crate::guest::limit::watch::{WatchGuest, WatchedGuest};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use wasmtime::{CallHook, Extern};

/// Tells the run of each crossing between a guest and the host.
///
/// To wasmtime, a guest whose slice of fuel has ended calls the host, too.
pub(crate) struct Crossings {
    run: Arc<Run>,
    /// Which of the guests it is, from zero.
    number: usize,
    /// Does the guest stop before it calls the host?
    stops: bool,
    /// The fuel that was left where the slice in progress began, which is where the guest was first entered in a step.
    fuel: AtomicU64,
    /// The number of that step.
    step: AtomicUsize,
    /// The exports by which states are told apart.
    exports: Mutex<Vec<Extern>>,
}

impl Crossings {
    pub(crate) fn new(run: Arc<Run>, number: usize, stops: bool) -> Self {
        let (fuel, step, exports) = (AtomicU64::new(0), AtomicUsize::new(0), Mutex::default());
        Self { run, number, stops, fuel, step, exports }
    }

    fn hash(&self, guest: &mut dyn WatchedGuest) {
        if self.run.settings.hashes_guests {
            let hash = guest.hash(&self.exports.lock());
            self.run.set_hash(self.number, hash);
        }
    }
}

impl WatchGuest for Crossings {
    fn crosses(&self, hook: CallHook, guest: &mut dyn WatchedGuest) {
        let fuel = guest.fuel().unwrap_or(0);
        if matches!(hook, CallHook::CallingWasm | CallHook::ReturningFromHost) {
            let step = self.run.enters_guest();
            if self.step.swap(step, Relaxed) != step {
                self.fuel.store(fuel, Relaxed);
            }
            return;
        }
        let used = self.fuel.load(Relaxed).saturating_sub(fuel);
        let has_ended = self.run.leaves_guest(self.number, used);
        if has_ended {
            self.fuel.store(fuel, Relaxed);
        }
        if matches!(hook, CallHook::CallingHost) && self.run.settings.explains {
            self.run.calls_host(&guest.backtrace(), self.stops, has_ended);
        }
        self.hash(guest);
    }

    fn begins(&self) {
        self.exports.lock().clear();
    }

    fn is_instantiated(&self, exports: Vec<Extern>, guest: &mut dyn WatchedGuest) {
        *self.exports.lock() = exports;
        self.hash(guest);
    }
}
