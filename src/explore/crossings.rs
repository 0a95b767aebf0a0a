//! [`Crossings`]: tells a run when one of its guests calls the host, and when it returns to it.

use crate::explore::run::Run;
use crate::guest::limit::watch::{WatchGuest, WatchedGuest};
use parking_lot::Mutex;
use std::sync::Arc;
use wasmtime::{CallHook, Extern};

/// Tells the run of each crossing between a guest and the host.
pub(crate) struct Crossings {
    run: Arc<Run>,
    /// Which of the guests it is, from zero.
    number: usize,
    /// Does the guest stop before it calls the host?
    stops: bool,
    /// The exports by which states are told apart.
    exports: Mutex<Vec<Extern>>,
}

impl Crossings {
    pub(crate) fn new(run: Arc<Run>, number: usize, stops: bool) -> Self {
        Self { run, number, stops, exports: Mutex::default() }
    }
}

impl WatchGuest for Crossings {
    fn crosses(&self, hook: CallHook, guest: &mut dyn WatchedGuest) {
        let is_in_guest = matches!(hook, CallHook::CallingWasm | CallHook::ReturningFromHost);
        self.run.crosses(is_in_guest.then_some(self.number));
        if matches!(hook, CallHook::CallingHost) && self.run.settings.explains {
            self.run.calls_host(&guest.backtrace(), self.stops);
        }
        if !is_in_guest && self.run.settings.hashes_guests {
            let hash = guest.hash(&self.exports.lock());
            self.run.set_hash(self.number, hash);
        }
    }

    fn set_exports(&self, exports: Vec<Extern>) {
        *self.exports.lock() = exports;
    }
}
