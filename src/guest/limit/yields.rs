//! [`YieldRequests`]: whether somebody wants the running guest to yield.
//!
//! A request is written before the guest is made to look, and read after the guest has begun to look: so a request that is made while the
//! guest runs is seen. `Release` and `Acquire` would be enough for that, and come with how the guest is made to look, by its flag or by the
//! epoch. So all accesses here are `Relaxed`.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

/// The requests to one instance. Any thread may [make](Self::request) one. The thread that has the guest does the rest.
#[derive(Debug, Default)]
pub(crate) struct YieldRequests {
    /// A request to this instance.
    is_requested: AtomicBool,
    /// How many requests to all instances of the engine had been made when this one last looked.
    seen: AtomicU64,
}

impl YieldRequests {
    pub(crate) fn request(&self) {
        self.is_requested.store(true, Relaxed);
    }

    /// The guest is about to run: a request that was made before this does not concern it.
    #[inline]
    pub(crate) fn forget(&self, to_all: u64) {
        if self.is_requested.load(Relaxed) {
            self.is_requested.store(false, Relaxed);
        }
        self.seen.store(to_all, Relaxed);
    }

    /// Takes the requests that were made since the guest began to run, or last looked. `to_all` counts those to all instances.
    pub(crate) fn take(&self, to_all: u64) -> bool {
        let is_requested = self.is_requested.swap(false, Relaxed);
        is_requested | (self.seen.swap(to_all, Relaxed) != to_all)
    }
}

#[cfg(test)]
mod tests {
    use super::YieldRequests;

    #[test]
    fn a_request_is_taken_once() {
        let requests = YieldRequests::default();
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
        let requests = YieldRequests::default();
        requests.request();
        requests.forget(7);
        assert!(!requests.take(7));
    }
}
