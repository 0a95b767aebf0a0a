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
/// Up to [`FEW`] of them need no allocation. If all wait for the same, adding one takes constant time, amortised. Otherwise, adding, replacing
/// or removing one takes O(log n), amortised.
#[derive(Debug)]
pub(crate) struct Waiters<K, W = Waker> {
    arrivals: u64,
    /// Those that have left are not counted.
    length: usize,
    list: List<K, W>,
}

/// Identifies a waiter: what it waits for, and its number by arrival.
pub(crate) type Key<K> = (K, u64);

#[derive(Debug)]
enum List<K, W> {
    /// In the order of the keys. Longer than `FEW` only if all wait for the same, so that each new one goes to the end. Then a waiter that is
    /// taken out leaves a gap, which keeps its key; there are never more gaps than waiters.
    Line(SmallVec<[(Key<K>, Option<W>); FEW]>),
    Tree(BTreeMap<Key<K>, W>),
}

/// Most lists have one waiter, or two.
const FEW: usize = 2;

impl<K: Ord + Copy, W> Waiters<K, W> {
    pub(crate) fn add(&mut self, waits_for: K, waiter: W) -> Key<K> {
        self.arrivals += 1;
        self.length += 1;
        let key = (waits_for, self.arrivals);
        match &mut self.list {
            List::Line(line) => {
                let is_alike = line.first().is_none_or(|((other, _), _)| *other == waits_for);
                let is_alike = is_alike && line.last().is_none_or(|(other, _)| *other < key);
                if is_alike {
                    line.push((key, Some(waiter)));
                } else if line.len() < FEW {
                    let place = line.partition_point(|(other, _)| *other < key);
                    line.insert(place, (key, Some(waiter)));
                } else {
                    let line = mem::take(line);
                    let waiters = line.into_iter().filter_map(|(key, waiter)| Some((key, waiter?)));
                    let mut tree: BTreeMap<_, _> = waiters.collect();
                    tree.insert(key, waiter);
                    self.list = List::Tree(tree);
                }
            }
            List::Tree(tree) => {
                tree.insert(key, waiter);
            }
        }
        key
    }

    /// Replaces the waiter with this key, and returns the old one. `Err` returns the new one, if the old one is no longer in the list
    /// because it was released.
    pub(crate) fn replace(&mut self, key: Key<K>, waiter: W) -> Result<W, W> {
        let place = match &mut self.list {
            List::Line(line) => match line.binary_search_by_key(&key, |(key, _)| *key) {
                Ok(place) => line[place].1.as_mut(),
                Err(_) => None,
            },
            List::Tree(tree) => tree.get_mut(&key),
        };
        match place {
            Some(known) => Ok(mem::replace(known, waiter)),
            None => Err(waiter),
        }
    }

    /// Takes out the waiter with this key; `None` if it was released.
    pub(crate) fn remove(&mut self, key: Key<K>) -> Option<W> {
        let removed = match &mut self.list {
            List::Line(line) => {
                let place = line.binary_search_by_key(&key, |(key, _)| *key).ok()?;
                line[place].1.take()?
            }
            List::Tree(tree) => tree.remove(&key)?,
        };
        self.length -= 1;
        self.close_gaps();
        Some(removed)
    }

    /// After a waiter was taken out: closes the gaps once they outnumber the waiters, and makes an empty tree a line again.
    fn close_gaps(&mut self) {
        match &mut self.list {
            List::Line(line) if line.len() <= FEW || line.len() > 2 * self.length => {
                line.retain(|(_, waiter)| waiter.is_some());
            }
            List::Tree(tree) if tree.is_empty() => self.list = List::Line(SmallVec::new()),
            _ => {}
        }
    }

    /// Takes out the waiters that wait for `up_to` or for less, in their order.
    pub(crate) fn release(&mut self, up_to: K) -> impl Iterator<Item = W> + use<K, W> {
        let (line, tree) = match &mut self.list {
            List::Line(line) => {
                let later = line.partition_point(|((waits_for, _), _)| *waits_for <= up_to);
                let released = if later == line.len() {
                    mem::take(line)
                } else {
                    line.drain(..later).collect()
                };
                (released, BTreeMap::new())
            }
            List::Tree(tree) => {
                let later = tree.split_off(&(up_to, u64::MAX));
                (SmallVec::new(), mem::replace(tree, later))
            }
        };
        self.length = match &self.list {
            List::Line(line) => line.iter().filter(|(_, waiter)| waiter.is_some()).count(),
            List::Tree(tree) => tree.len(),
        };
        self.close_gaps();
        let line = line.into_iter().filter_map(|(_, waiter)| waiter);
        line.chain(tree.into_values())
    }

    /// Takes out the waiters for which `still_waits` is false.
    pub(crate) fn prune(&mut self, mut still_waits: impl FnMut(&W) -> bool) -> Vec<W> {
        let gone: Vec<_> = match &mut self.list {
            List::Line(line) => {
                let waiters = line.iter_mut().map(|(_, waiter)| waiter);
                let gone = waiters
                    .filter_map(|waiter| waiter.take_if(|waiter| !still_waits(waiter)))
                    .collect();
                line.retain(|(_, waiter)| waiter.is_some());
                gone
            }
            List::Tree(tree) => tree
                .extract_if(.., |_, waiter| !still_waits(waiter))
                .map(|(_, waiter)| waiter)
                .collect(),
        };
        self.length -= gone.len();
        self.close_gaps();
        gone
    }

    /// What the first waiter waits for.
    pub(crate) fn first(&self) -> Option<K> {
        match &self.list {
            // This may be the key of a gap. There are gaps only while all wait for the same.
            List::Line(line) => line.first().map(|((waits_for, _), _)| *waits_for),
            List::Tree(tree) => tree.first_key_value().map(|((waits_for, _), _)| *waits_for),
        }
    }

    /// The waiters in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &W> {
        let (line, tree) = match &self.list {
            List::Line(line) => (Some(line), None),
            List::Tree(tree) => (None, Some(tree)),
        };
        let line = line.into_iter().flatten().filter_map(|(_, waiter)| waiter.as_ref());
        line.chain(tree.into_iter().flat_map(BTreeMap::values))
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }
}

impl<K, W> Default for Waiters<K, W> {
    fn default() -> Self {
        Self { arrivals: 0, length: 0, list: List::Line(SmallVec::new()) }
    }
}

/// Wakes the wakers that were released, in their order. The caller holds no lock.
pub(crate) fn wake_all(released: impl IntoIterator<Item = Waker>) {
    for waker in released {
        ignore_panic(|| waker.wake());
    }
}

#[cfg(all(test, not(wasm_jobs_loom)))]
mod tests {
    use super::{Key, Waiters};

    /// A list of the same kind that is right because it is simple.
    #[derive(Default)]
    struct Model(Vec<(Key<u32>, u32)>);

    impl Model {
        fn release(&mut self, up_to: u32) -> Vec<u32> {
            let mut released: Vec<_> = self.0.extract_if(.., |((at, _), _)| *at <= up_to).collect();
            released.sort_unstable();
            released.into_iter().map(|(_, waiter)| waiter).collect()
        }
    }

    #[test]
    fn waiters_leave_in_their_order_whatever_happens_to_others() {
        let mut random = 1_u64;
        let mut below = |end: u32| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((random >> 33) % u64::from(end)) as u32
        };
        // In some runs all wait for the same, in others for one of a few times.
        for run in 0..2_000 {
            let times = [1, 2, 50][run % 3];
            let (mut waiters, mut model) = (Waiters::<u32, u32>::default(), Model::default());
            for waiter in 0..100 {
                match below(10) {
                    0..6 => {
                        let at = below(times);
                        model.0.push((waiters.add(at, waiter), waiter));
                    }
                    6 if !model.0.is_empty() => {
                        let place = below(model.0.len() as u32) as usize;
                        let (key, known) = model.0.remove(place);
                        assert_eq!(waiters.remove(key), Some(known));
                        assert_eq!(waiters.remove(key), None);
                        assert_eq!(waiters.replace(key, 0), Err(0));
                    }
                    7 if !model.0.is_empty() => {
                        let place = below(model.0.len() as u32) as usize;
                        let (key, known) = model.0[place];
                        assert_eq!(waiters.replace(key, waiter), Ok(known));
                        model.0[place].1 = waiter;
                    }
                    8 => {
                        let kept = |waiter: &u32| waiter % 3 != run as u32 % 3;
                        let mut pruned = waiters.prune(kept);
                        let gone = model.0.extract_if(.., |(_, waiter)| !kept(waiter));
                        let mut gone: Vec<_> = gone.map(|(_, waiter)| waiter).collect();
                        pruned.sort_unstable();
                        gone.sort_unstable();
                        assert_eq!(pruned, gone);
                    }
                    9 => {
                        let up_to = below(times);
                        let released: Vec<_> = waiters.release(up_to).collect();
                        assert_eq!(released, model.release(up_to));
                    }
                    _ => {}
                }
                assert_eq!(waiters.len(), model.0.len());
                assert_eq!(waiters.first(), model.0.iter().map(|((at, _), _)| *at).min());
            }
        }
    }
}
