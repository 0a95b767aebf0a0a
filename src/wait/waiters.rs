//! [`Waiters`]: a list of waiters, in the order in which they are to be notified. A [`latch`](crate::wait::latch) has one under its lock,
//! and so has a [`clock`](crate::wait::clock).
//!
//! Wakers are foreign code. Therefore each function returns the waiters that leave the list, and the caller releases its lock before it wakes
//! or drops them: a waker may run the very call that it wakes, and the call may wait again for the same thing.

use crate::unwind::ignore_panic;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::mem;
use std::task::Waker;

/// Waiters of type `W`, ordered by the `K` that each waits for, and then by arrival.
///
/// Adding or removing one of n takes O(log n). Up to [`FEW`] of them need no allocation.
#[derive(Debug)]
pub(crate) struct Waiters<K, W = Waker> {
    arrivals: u64,
    list: List<K, W>,
}

/// Identifies a waiter: what it waits for, and its number by arrival.
pub(crate) type Key<K> = (K, u64);

#[derive(Debug)]
enum List<K, W> {
    /// In the order of the keys.
    Few(SmallVec<[(Key<K>, W); FEW]>),
    Many(BTreeMap<Key<K>, W>),
}

/// Most lists have one waiter, or two.
const FEW: usize = 2;

impl<K: Ord + Copy, W> Waiters<K, W> {
    pub(crate) fn add(&mut self, waits_for: K, waiter: W) -> Key<K> {
        self.arrivals += 1;
        let key = (waits_for, self.arrivals);
        match &mut self.list {
            List::Few(few) if few.len() < FEW => {
                let place = few.partition_point(|(other, _)| *other < key);
                few.insert(place, (key, waiter));
            }
            List::Few(few) => {
                let mut many: BTreeMap<_, _> = mem::take(few).into_iter().collect();
                many.insert(key, waiter);
                self.list = List::Many(many);
            }
            List::Many(many) => {
                many.insert(key, waiter);
            }
        }
        key
    }

    /// Replaces the waiter with this key, and returns the old one. `Err` returns the new one, if the old one is no longer in the list
    /// because it was released.
    pub(crate) fn replace(&mut self, key: Key<K>, waiter: W) -> Result<W, W> {
        let place = match &mut self.list {
            List::Few(few) => {
                few.iter_mut().find(|(other, _)| *other == key).map(|(_, known)| known)
            }
            List::Many(many) => many.get_mut(&key),
        };
        match place {
            Some(known) => Ok(mem::replace(known, waiter)),
            None => Err(waiter),
        }
    }

    /// Takes out the waiter with this key; `None` if it was released.
    pub(crate) fn remove(&mut self, key: Key<K>) -> Option<W> {
        match &mut self.list {
            List::Few(few) => {
                let place = few.iter().position(|(other, _)| *other == key)?;
                Some(few.remove(place).1)
            }
            List::Many(many) => many.remove(&key),
        }
    }

    /// Takes out the waiters that wait for `up_to` or for less, in their order.
    pub(crate) fn release(&mut self, up_to: K) -> impl Iterator<Item = W> + use<K, W> {
        let (few, many) = match &mut self.list {
            List::Few(few) => {
                let later = few.partition_point(|((waits_for, _), _)| *waits_for <= up_to);
                let released =
                    if later == few.len() { mem::take(few) } else { few.drain(..later).collect() };
                (released, BTreeMap::new())
            }
            List::Many(many) => {
                let later = many.split_off(&(up_to, u64::MAX));
                let released = mem::replace(many, later);
                if many.is_empty() {
                    self.list = List::Few(SmallVec::new());
                }
                (SmallVec::new(), released)
            }
        };
        few.into_iter().chain(many).map(|(_, waiter)| waiter)
    }

    /// Takes out the waiters for which `still_waits` is false.
    pub(crate) fn prune(&mut self, mut still_waits: impl FnMut(&W) -> bool) -> Vec<W> {
        match &mut self.list {
            List::Few(few) => {
                let (kept, gone) = mem::take(few).into_iter().partition(|(_, w)| still_waits(w));
                *few = kept;
                let gone: SmallVec<[(Key<K>, W); FEW]> = gone;
                gone.into_iter().map(|(_, waiter)| waiter).collect()
            }
            List::Many(many) => many
                .extract_if(.., |_, waiter| !still_waits(waiter))
                .map(|(_, waiter)| waiter)
                .collect(),
        }
    }

    /// The key of the first waiter.
    pub(crate) fn first(&self) -> Option<Key<K>> {
        match &self.list {
            List::Few(few) => few.first().map(|(key, _)| *key),
            List::Many(many) => many.first_key_value().map(|(key, _)| *key),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match &self.list {
            List::Few(few) => few.len(),
            List::Many(many) => many.len(),
        }
    }
}

impl<K, W> Default for Waiters<K, W> {
    fn default() -> Self {
        Self { arrivals: 0, list: List::Few(SmallVec::new()) }
    }
}

/// Wakes the wakers that were released, in their order. The caller holds no lock.
pub(crate) fn wake_all(released: impl IntoIterator<Item = Waker>) {
    for waker in released {
        ignore_panic(|| waker.wake());
    }
}
