//! [`Slot`]: where a thread writes when its step is to end. The thread of the [`schedule`](crate::guest::limit::schedule) reads
//! the slots of all threads.

use crate::guest::limit::target::Target;
use crate::step::interrupt::NEVER;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// When the step that a thread is in is to end, and what stops its guest.
///
/// Only the thread that the slot belongs to writes it. Steps nest, because a host function may step another guest: the slot
/// holds the innermost step that has an end, and each step puts back what it found. The guest of an outer step does not run
/// meanwhile, and needs no tick.
#[derive(Debug)]
pub(crate) struct Slot {
    /// In nanoseconds of [`alarm::now`](crate::wait::alarm::now).
    end: AtomicU64,
    target: AtomicU64,
}

/// The end of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// In nanoseconds of [`alarm::now`](crate::wait::alarm::now).
    pub(crate) at: u64,
    pub(crate) target: Target,
}

impl Slot {
    pub(crate) fn new() -> Self {
        Self { end: NEVER.into(), target: 0.into() }
    }

    /// Writes the end of a step that begins or goes on, and returns the end that was there. The caller then checks whether the
    /// schedule would sleep past the new end.
    #[inline]
    pub(crate) fn put(&self, end: End) -> Option<End> {
        // Relaxed loads: this thread wrote them.
        let at = self.end.load(Relaxed);
        let outer = End { at, target: Target::from_word(self.target.load(Relaxed)) };
        // Relaxed, because the next store releases it: a reader that finds the new end finds this target or a later one. A
        // later one belongs to a later step, and then the step of this end is over and needs no tick.
        self.target.store(end.target.to_word(), Relaxed);
        // SeqCst: see `Schedule`.
        self.end.store(end.at, SeqCst);
        (at != NEVER).then_some(outer)
    }

    /// The outermost step that has an end is over.
    #[inline]
    pub(crate) fn clear(&self) {
        // Relaxed: a reader that finds the old end for a little longer makes a needless tick, at which no guest yields.
        self.end.store(NEVER, Relaxed);
    }

    /// The end of the step that is in progress.
    pub(crate) fn end(&self) -> Option<End> {
        // SeqCst: see `Schedule`.
        let at = self.end.load(SeqCst);
        // Relaxed, because the load before has acquired it.
        let end = End { at, target: Target::from_word(self.target.load(Relaxed)) };
        (at != NEVER).then_some(end)
    }
}

#[cfg(test)]
mod tests {
    use super::{End, Slot};
    use crate::guest::limit::target::Target;

    #[test]
    fn a_nested_step_puts_back_the_end_that_it_found() {
        let end = |at| End { at, target: Target::from_word(at) };
        let slot = Slot::new();
        assert_eq!(slot.end(), None);
        assert_eq!(slot.put(end(10)), None);
        assert_eq!(slot.put(end(20)), Some(end(10)));
        assert_eq!(slot.end(), Some(end(20)));
        assert_eq!(slot.put(end(10)), Some(end(20)));
        assert_eq!(slot.end(), Some(end(10)));
        slot.clear();
        assert_eq!(slot.end(), None);
    }
}
