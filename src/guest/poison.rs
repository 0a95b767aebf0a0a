//! [`Poison`]: whether a call has left the guest half-way through a change. The thread that has the guest sets and clears it; any
//! thread reads it.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// Relaxed throughout, because no other memory is read on the strength of the flag. The home that hands the guest on synchronises,
/// and so does the latch that tells of the end of a call.
#[derive(Debug, Default)]
pub(crate) struct Poison(AtomicBool);

impl Poison {
    #[inline]
    pub(crate) fn set(&self) {
        self.0.store(true, Relaxed);
    }

    #[inline]
    pub(crate) fn clear(&self) {
        self.0.store(false, Relaxed);
    }

    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Relaxed)
    }
}
