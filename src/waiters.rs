//! Who waits for something, and in which order they are woken: a [`Latch`](crate::latch) has a [`Line`] under its lock, and a
//! [`clock`](crate::clock) has [`Waiters`].
//!
//! Wakers are code of other people. Whatever leaves this is therefore given to the caller, who lets go of the lock before
//! waking or dropping it: a waker may run the very call that it wakes, which may wait again for the same thing.

use crate::task::quietly;
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

/// Wakers in the order of their arrival. Most often there is one, or there are two.
#[derive(Debug, Default)]
pub(crate) struct Line {
    arrivals: Arrival,
    wakers: SmallVec<[(Arrival, Waker); 2]>,
}

/// The place of one who stands in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(Arrival);

impl Line {
    pub(crate) fn add(&mut self, waker: Waker) -> Place {
        self.arrivals += 1;
        self.wakers.push((self.arrivals, waker));
        Place(self.arrivals)
    }

    /// Another waker for one who waits. `Err` if nobody has this place: it was released.
    pub(crate) fn replace(&mut self, place: Place, waker: Waker) -> Result<Waker, Waker> {
        match self.position(place) {
            Some(position) => Ok(std::mem::replace(&mut self.wakers[position].1, waker)),
            None => Err(waker),
        }
    }

    pub(crate) fn forget(&mut self, place: Place) -> Option<Waker> {
        self.position(place).map(|position| self.wakers.remove(position).1)
    }

    /// Everyone, in their order.
    pub(crate) fn release(&mut self) -> impl Iterator<Item = Waker> + use<> {
        std::mem::take(&mut self.wakers).into_iter().map(|(_, waker)| waker)
    }

    fn position(&self, place: Place) -> Option<usize> {
        self.wakers.binary_search_by_key(&place.0, |(arrival, _)| *arrival).ok()
    }
}

/// Wakes those who were released, in their order. Not under the lock.
pub(crate) fn wake_all(released: impl Iterator<Item = Waker>) {
    for waker in released {
        quietly(|| waker.wake());
    }
}

impl<K> Default for Waiters<K> {
    fn default() -> Self {
        Self { arrivals: 0, wakers: BTreeMap::new() }
    }
}
