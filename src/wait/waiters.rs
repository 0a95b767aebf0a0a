//! Who waits for something, and in which order they are woken: a [`Latch`](crate::wait::latch) has a [`Line`] under its lock, and a
//! [`clock`](crate::wait::clock) has [`Waiters`].
//!
//! Wakers are code of other people. Whatever leaves this is therefore given to the caller, who lets go of the lock before
//! waking or dropping it: a waker may run the very call that it wakes, which may wait again for the same thing.

use crate::unwind::ignore_panic;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::task::Waker;

/// Wakers by what they wait for, a `K`, and then in the order of their arrival.
#[derive(Debug)]
pub(crate) struct Waiters<K> {
    arrivals: u64,
    wakers: BTreeMap<(K, Arrival), Waker>,
}

type Arrival = u64;

/// The place of one who waits.
pub(crate) type Ticket<K> = (K, Arrival);

impl<K: Ord + Copy> Waiters<K> {
    pub(crate) fn add(&mut self, key: K, waker: Waker) -> Ticket<K> {
        self.arrivals += 1;
        let ticket = (key, self.arrivals);
        self.wakers.insert(ticket, waker);
        ticket
    }

    /// Another waker for one who waits. `Err` if nobody has this ticket: it was released.
    pub(crate) fn replace(&mut self, ticket: Ticket<K>, waker: Waker) -> Result<Waker, Waker> {
        match self.wakers.get_mut(&ticket) {
            Some(known) => Ok(std::mem::replace(known, waker)),
            None => Err(waker),
        }
    }

    pub(crate) fn forget(&mut self, ticket: Ticket<K>) -> Option<Waker> {
        self.wakers.remove(&ticket)
    }

    /// Those who wait for this or for less, in their order.
    pub(crate) fn release(&mut self, up_to: K) -> impl Iterator<Item = Waker> + use<K> {
        let later = self.wakers.split_off(&(up_to, Arrival::MAX));
        std::mem::replace(&mut self.wakers, later).into_values()
    }

    /// The first of them.
    pub(crate) fn first(&self) -> Option<Ticket<K>> {
        self.wakers.first_key_value().map(|(ticket, _)| *ticket)
    }

    pub(crate) fn len(&self) -> usize {
        self.wakers.len()
    }
}

/// Those who wait, in the order of their arrival. Most often there is one, or there are two.
pub(crate) struct Line<W> {
    arrivals: Arrival,
    waiting: SmallVec<[(Arrival, W); 2]>,
}

/// The place of one who stands in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(Arrival);

impl<W> Line<W> {
    pub(crate) fn add(&mut self, who: W) -> Place {
        self.arrivals += 1;
        self.waiting.push((self.arrivals, who));
        Place(self.arrivals)
    }

    /// Another one who waits there. `Err` if nobody has this place: it was released.
    pub(crate) fn replace(&mut self, place: Place, who: W) -> Result<W, W> {
        match self.position(place) {
            Some(position) => Ok(std::mem::replace(&mut self.waiting[position].1, who)),
            None => Err(who),
        }
    }

    pub(crate) fn forget(&mut self, place: Place) -> Option<W> {
        self.position(place).map(|position| self.waiting.remove(position).1)
    }

    /// Everyone, in their order.
    pub(crate) fn release(&mut self) -> impl Iterator<Item = W> + use<W> {
        std::mem::take(&mut self.waiting).into_iter().map(|(_, who)| who)
    }

    fn position(&self, place: Place) -> Option<usize> {
        self.waiting.binary_search_by_key(&place.0, |(arrival, _)| *arrival).ok()
    }
}

/// Wakes those who were released, in their order. Not under the lock.
pub(crate) fn wake_all(released: impl Iterator<Item = Waker>) {
    for waker in released {
        ignore_panic(|| waker.wake());
    }
}

impl<W> Default for Line<W> {
    fn default() -> Self {
        Self { arrivals: 0, waiting: SmallVec::new() }
    }
}

impl<K> Default for Waiters<K> {
    fn default() -> Self {
        Self { arrivals: 0, wakers: BTreeMap::new() }
    }
}
