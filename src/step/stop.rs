//! How a thread stops a step that runs on another one: it writes its reason, and then makes the guest [look](raise), by a flag or by the epoch.
//! The guest first takes what made it look, and then [reads the reasons](reasons). One reason is here: [`YieldRequests`].
//!
//! **No reason is lost.** [`raise`] orders the reason before the flag, and [`reasons`] orders the flag before the reasons. So a guest that has
//! taken a flag finds the reason for which it was set. If it takes the flag of an earlier reason, the new flag stays for its next look. The
//! accesses to the flag and to the reasons may all be `Relaxed`.
//!
//! If two threads set one flag, the guest takes what the second has written, and that alone orders only the second thread's reason. A
//! read-modify-write, as an epoch is advanced by, would order both. A flag is set by a plain store. So its [`Setters`] take turns: then the
//! second thread's store comes after the first one's reason, too.

#[cfg(any(feature = "prepare", wasm_jobs_loom))]
use crate::sync::Mutex;
use crate::sync::{AtomicBool, AtomicU64, fence};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Makes a guest look, by `set`, for a reason that the caller has written. `set` is a read-modify-write, or its callers take turns.
#[inline]
pub(crate) fn raise(set: impl FnOnce()) {
    fence(Release);
    set();
}

/// The threads that set flags, one at a time.
#[cfg(any(feature = "prepare", wasm_jobs_loom))]
#[derive(Debug)]
pub struct Setters(Mutex<()>);

#[cfg(any(feature = "prepare", wasm_jobs_loom))]
impl Setters {
    /// There are none yet.
    pub fn new() -> Self {
        Self(Mutex::new(()))
    }

    /// Makes a guest look, by `set`, which may be a plain store, for a reason that the caller has written.
    pub fn raise(&self, set: impl FnOnce()) {
        let _in_turn = self.0.lock();
        raise(set);
    }
}

/// Reads the reasons, by `read`, for a guest that has just seen that it is to look.
#[inline]
pub fn reasons<R>(read: impl FnOnce() -> R) -> R {
    fence(Acquire);
    read()
}

/// Whether somebody wants the running guest of one instance to yield. Any thread may [make](Self::request) a request, and then makes the guest
/// look. The thread that has the guest does the rest.
#[derive(Debug)]
pub struct YieldRequests {
    /// A request to this instance.
    is_requested: AtomicBool,
    /// How many requests to all instances of the engine had been made when this one last looked.
    seen: AtomicU64,
}

impl YieldRequests {
    /// The requests to a guest that is made. There are none.
    pub fn new() -> Self {
        Self { is_requested: AtomicBool::new(false), seen: AtomicU64::new(0) }
    }

    /// Makes a request.
    pub fn request(&self) {
        // As a read-modify-write, it has its place among those of `take` when it is made.
        self.is_requested.swap(true, Relaxed);
    }

    /// The guest is about to run: a request that was made before this does not concern it.
    #[inline]
    pub fn forget(&self, to_all: u64) {
        if self.is_requested.load(Relaxed) {
            self.is_requested.store(false, Relaxed);
        }
        self.seen.store(to_all, Relaxed);
    }

    /// Takes the requests that were made since the guest began to run, or last looked. `to_all` counts those to all instances.
    pub fn take(&self, to_all: u64) -> bool {
        let is_requested = self.is_requested.swap(false, Relaxed);
        is_requested | (self.seen.swap(to_all, Relaxed) != to_all)
    }
}

#[cfg(all(test, not(wasm_jobs_loom)))]
mod tests {
    use super::YieldRequests;

    #[test]
    fn a_request_is_taken_once() {
        let requests = YieldRequests::new();
        requests.forget(3);
        assert!(!requests.take(3));
        requests.request();
        assert!(requests.take(3));
        assert!(!requests.take(3));
        assert!(requests.take(4), "it was to all");
        assert!(!requests.take(4));
    }

    #[test]
    fn a_request_to_a_guest_that_does_not_run_is_forgotten() {
        let requests = YieldRequests::new();
        requests.request();
        requests.forget(7);
        assert!(!requests.take(7));
    }
}
