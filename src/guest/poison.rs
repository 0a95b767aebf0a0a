//! [`Poison`]: whether a call has left the guest half-way through something. Whoever holds the guest sets and clears it; anyone
//! reads it.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// Relaxed throughout, because nothing is reached through the flag: the guest itself is handed on by its home, which
/// synchronises, and so does the latch that tells of the end of a call.
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
