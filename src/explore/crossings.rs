//! [`Crossings`]: tells a run when one of its guests calls the host, and when it returns to it.

use crate::explore::run::Run;
use crate::explore::state::Left;
use crate::guest::limit::watch::{WatchGuest, WatchedGuest};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use wasmtime::{CallHook, Extern, Result, format_err};

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
    /// How many calls of the guest are inside each other.
    depth: AtomicUsize,
    /// The exports by which states are told apart.
    exports: Mutex<Vec<Extern>>,
}

impl Crossings {
    pub(crate) fn new(run: Arc<Run>, number: usize, stops: bool) -> Self {
        let (fuel, step, depth) = (AtomicU64::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        Self { run, number, stops, fuel, step, depth, exports: Mutex::default() }
    }

    fn hash(&self, guest: &mut dyn WatchedGuest) {
        if self.run.settings.hashes_guests {
            let hash = guest.hash(&self.exports.lock());
            self.run.set_hash(self.number, hash);
        }
    }
}

impl WatchGuest for Crossings {
    fn crosses(&self, hook: CallHook, guest: &mut dyn WatchedGuest) -> Result<()> {
        let fuel = guest.fuel().unwrap_or(0);
        if matches!(hook, CallHook::CallingWasm | CallHook::ReturningFromHost) {
            let step = self.run.enters_guest();
            let is_outermost =
                matches!(hook, CallHook::CallingWasm) && self.depth.fetch_add(1, Relaxed) == 0;
            if self.step.swap(step, Relaxed) != step || is_outermost {
                self.fuel.store(fuel, Relaxed);
            }
            return Ok(());
        }
        if matches!(hook, CallHook::ReturningFromWasm) {
            self.depth.fetch_sub(1, Relaxed);
        }
        let used = self.fuel.load(Relaxed).saturating_sub(fuel);
        let left = self.run.leaves_guest(self.number, used);
        if matches!(hook, CallHook::CallingHost) && self.run.settings.explains {
            self.run.calls_host(&guest.backtrace(), self.stops, left != Left::Within);
        }
        self.hash(guest);
        match left {
            Left::Endless => Err(format_err!("the guest has used all the fuel of a step")),
            Left::Within | Left::AtItsEnd => Ok(()),
        }
    }

    fn begins(&self) {
        self.depth.store(0, Relaxed);
        self.exports.lock().clear();
    }

    fn is_instantiated(&self, exports: Vec<Extern>, guest: &mut dyn WatchedGuest) {
        *self.exports.lock() = exports;
        self.hash(guest);
    }
}
