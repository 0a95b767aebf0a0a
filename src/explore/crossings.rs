//! [`Crossings`]: tells a run when one of its guests calls the host, and when it returns to it.

use crate::explore::run::Run;
use crate::guest::limit::watch::{WatchGuest, WatchedGuest};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
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
    /// The fuel that was left when the guest was last entered.
    fuel: AtomicU64,
    /// The exports by which states are told apart.
    exports: Mutex<Vec<Extern>>,
}

impl Crossings {
    pub(crate) fn new(run: Arc<Run>, number: usize, stops: bool) -> Self {
        Self { run, number, stops, fuel: AtomicU64::new(0), exports: Mutex::default() }
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
        let fuel = guest.fuel();
        if matches!(hook, CallHook::CallingWasm | CallHook::ReturningFromHost) {
            self.fuel.store(fuel.unwrap_or(0), Relaxed);
            return self.run.enters_guest();
        }
        let used = fuel.map_or(0, |fuel| self.fuel.load(Relaxed).saturating_sub(fuel));
        let has_ended = self.run.leaves_guest(self.number, used);
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
