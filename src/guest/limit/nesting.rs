//! [`Nesting`]: how many calls of one guest are inside each other, because host functions call it back.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// Only the thread that has the guest uses it, and hands it on together with the guest, so `Relaxed` is enough.
#[derive(Debug)]
pub(crate) struct Nesting {
    limit: Option<u32>,
    depth: AtomicU32,
}

#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Enter {
    Entered,
    /// The call would be inside too many others, and was not counted.
    TooDeep,
}

impl Nesting {
    /// At most `limit` calls inside each other, the outermost counted. Zero stands for one.
    pub(crate) fn new(limit: Option<u32>) -> Self {
        Self { limit: limit.map(|limit| limit.max(1)), depth: 0.into() }
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// How many calls are inside each other.
    #[cfg(feature = "freeze")]
    pub(crate) fn depth(&self) -> u32 {
        self.depth.load(Relaxed)
    }

    /// The host calls the guest.
    pub(crate) fn enter(&self) -> Enter {
        let depth = self.depth.load(Relaxed);
        if self.limit.is_some_and(|limit| depth >= limit) {
            return Enter::TooDeep;
        }
        self.depth.store(depth.saturating_add(1), Relaxed);
        Enter::Entered
    }

    /// The guest returns to the host, by a result or an error. The panic of a host function does not come here.
    pub(crate) fn leave(&self) {
        self.depth.store(self.depth.load(Relaxed).saturating_sub(1), Relaxed);
    }

    /// No call is in progress, even if a panic has left some in the count.
    #[inline]
    pub(crate) fn clear(&self) {
        self.depth.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{Enter, Nesting};

    #[test]
    fn as_many_calls_are_inside_each_other_as_may() {
        for (limit, fit) in [(0, 1), (1, 1), (3, 3)] {
            let nesting = Nesting::new(Some(limit));
            for _ in 0..2 {
                for _ in 0..fit {
                    assert_eq!(nesting.enter(), Enter::Entered);
                }
                assert_eq!(nesting.enter(), Enter::TooDeep);
                nesting.leave();
                assert_eq!(nesting.enter(), Enter::Entered);
                nesting.clear();
            }
        }
    }
}
