//! [`Stock`]: a number of things that many share: each is taken, and put back. They are made as they are needed, by those who take them.
//! While all are out, takers wait, first come, first served.

use crate::sync::Mutex;
use crate::wait::ready::run_foreign;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// A stock of up to a number of things.
#[derive(Debug)]
pub struct Stock<X> {
    shelf: Mutex<Shelf<X>>,
}

#[derive(Debug)]
struct Shelf<X> {
    /// Those that are here. The last that was put back is the first that is taken.
    things: Vec<X>,
    /// How many more may be made.
    vacancies: usize,
    /// How many are out, with those that were granted to a waiting taker.
    out: usize,
    /// The takers that wait, in the order of their arrival. While there are any, nothing is here, and nothing may be made.
    waiting: BTreeMap<u64, Waker>,
    /// What was granted to a taker that has not come for it yet.
    granted: BTreeMap<u64, Taken<X>>,
    next: u64,
}

/// What a taker gets.
#[derive(Debug)]
pub enum Taken<X> {
    /// A thing that was here.
    Thing(X),
    /// The right to make one.
    Vacancy,
}

/// How many things are where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Those that are here.
    pub here: usize,
    /// Those that were taken, and the rights to make one.
    pub out: usize,
    /// The takers that wait.
    pub waiting: usize,
}

impl<X> Stock<X> {
    /// A stock with nothing in it yet.
    pub fn new(capacity: usize) -> Self {
        let shelf = Shelf {
            things: Vec::new(),
            vacancies: capacity,
            out: 0,
            waiting: BTreeMap::new(),
            granted: BTreeMap::new(),
            next: 0,
        };
        Self { shelf: Mutex::new(shelf) }
    }

    /// Takes a thing, or the right to make one; `None` if all are out.
    pub fn try_take(&self) -> Option<Taken<X>> {
        self.shelf.lock().take()
    }

    /// Takes a thing, or the right to make one, when it is this taker's turn.
    pub fn take(self: &Arc<Self>) -> Take<X> {
        Take { stock: self.clone(), number: None }
    }

    /// Puts back what was taken: the thing, or the right to make one in its place.
    pub fn put(&self, thing: Option<X>) {
        let waker = {
            let mut shelf = self.shelf.lock();
            match shelf.waiting.pop_first() {
                Some((number, waker)) => {
                    shelf.granted.insert(number, thing.map_or(Taken::Vacancy, Taken::Thing));
                    Some(waker)
                }
                None => {
                    shelf.out -= 1;
                    match thing {
                        Some(thing) => shelf.things.push(thing),
                        None => shelf.vacancies += 1,
                    }
                    None
                }
            }
        };
        if let Some(waker) = waker {
            run_foreign(|| waker.wake());
        }
    }

    /// How many things are where now.
    pub fn count(&self) -> Count {
        let shelf = self.shelf.lock();
        Count { here: shelf.things.len(), out: shelf.out, waiting: shelf.waiting.len() }
    }
}

impl<X> Shelf<X> {
    fn take(&mut self) -> Option<Taken<X>> {
        let taken = match self.things.pop() {
            Some(thing) => Taken::Thing(thing),
            None => {
                self.vacancies = self.vacancies.checked_sub(1)?;
                Taken::Vacancy
            }
        };
        self.out += 1;
        Some(taken)
    }
}

/// One taker. It gets in line when it is first polled.
#[derive(Debug)]
pub struct Take<X> {
    stock: Arc<Stock<X>>,
    /// Its number in the line. `None` before the first poll, and once it has taken.
    number: Option<u64>,
}

impl<X> Take<X> {
    /// Takes what there is for this taker. If there is nothing yet, `waker` will be woken when there is.
    pub fn take_or_wakes(&mut self, waker: &Waker) -> Option<Taken<X>> {
        // Cloned and dropped without the lock, because both are foreign code.
        let waker = waker.clone();
        let mut shelf = self.stock.shelf.lock();
        let before = match self.number {
            None => {
                if let Some(taken) = shelf.take() {
                    return Some(taken);
                }
                let number = shelf.next;
                shelf.next += 1;
                self.number = Some(number);
                shelf.waiting.insert(number, waker)
            }
            Some(number) => {
                if let Some(taken) = shelf.granted.remove(&number) {
                    self.number = None;
                    return Some(taken);
                }
                shelf.waiting.insert(number, waker)
            }
        };
        drop(shelf);
        drop(before);
        None
    }
}

impl<X> std::future::Future for Take<X> {
    type Output = Taken<X>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Taken<X>> {
        match self.take_or_wakes(context.waker()) {
            Some(taken) => Poll::Ready(taken),
            None => Poll::Pending,
        }
    }
}

impl<X> Drop for Take<X> {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let (waker, granted) = {
            let mut shelf = self.stock.shelf.lock();
            (shelf.waiting.remove(&number), shelf.granted.remove(&number))
        };
        drop(waker);
        // The next in line gets what this taker does not come for.
        match granted {
            Some(Taken::Thing(thing)) => self.stock.put(Some(thing)),
            Some(Taken::Vacancy) => self.stock.put(None),
            None => {}
        }
    }
}
