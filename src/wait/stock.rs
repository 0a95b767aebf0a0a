//! [`Stock`]: a bounded stock of values that many share. A taker gets an idle value, or the right to make one, and puts it back. While all are
//! out, takers wait, first come, first served.

use crate::sync::{Mutex, const_thread_local};
use crate::wait::ready::run_foreign;
#[cfg(feature = "explore")]
use crate::wait::waits_for::{WaitsFor, note};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// A bounded stock of values.
#[derive(Debug)]
pub struct Stock<X> {
    shelf: Mutex<Shelf<X>>,
}

#[derive(Debug)]
struct Shelf<X> {
    /// The idle values. The last that was put back is the first that is taken.
    things: Vec<X>,
    /// How many more may be made.
    vacancies: usize,
    /// Values that were taken or granted, and not put back; and rights to make one.
    out: usize,
    /// The takers that wait, in the order of their arrival. While there are any, nothing is idle, and nothing may be made.
    waiting: BTreeMap<u64, Waker>,
    /// Grants, by the number of the taker, until that taker polls or is dropped.
    granted: BTreeMap<u64, Taken<X>>,
    next: u64,
}

/// What a taker gets.
#[derive(Debug)]
pub enum Taken<X> {
    /// An idle value.
    Thing(X),
    /// The right to make one.
    Vacancy,
}

/// How many values are where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Those that are idle.
    pub idle: usize,
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

    /// Takes the right to make a thing, if there is one. The caller puts it back.
    pub fn try_take_vacancy(&self) -> bool {
        let mut shelf = self.shelf.lock();
        let is_left = shelf.vacancies > 0;
        if is_left {
            shelf.vacancies -= 1;
            shelf.out += 1;
        }
        is_left
    }

    /// Takes all idle things out for good, and leaves the rights to make others.
    pub fn clear(&self) -> Vec<X> {
        let mut shelf = self.shelf.lock();
        let things = mem::take(&mut shelf.things);
        shelf.vacancies += things.len();
        things
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
            wake(waker);
        }
    }

    /// How many things are where now.
    pub fn count(&self) -> Count {
        let shelf = self.shelf.lock();
        Count { idle: shelf.things.len(), out: shelf.out, waiting: shelf.waiting.len() }
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
        #[cfg(feature = "explore")]
        note(|| WaitsFor::Stock);
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

/// How many wakes of takers may be on a thread's stack at once.
const NESTED: u32 = if cfg!(wasm_jobs_loom) { 1 } else { 32 };

const_thread_local! {
    /// How many are.
    static WAKES: Cell<u32> = Cell::new(0);
}

const_thread_local! {
    /// Those that come after that.
    static LATER: RefCell<VecDeque<Waker>> = RefCell::new(VecDeque::new());
}

/// Wakes a taker. Its executor may run it at once, or drop it, and either may put back what it was granted, which wakes the next. By
/// recursion, a long line of takers would overflow the stack; so beyond a depth, the wakes are queued for the outermost of them.
fn wake(waker: Waker) {
    let depth = WAKES.with(Cell::get);
    if depth >= NESTED {
        let mut waker = Some(waker);
        let _ = LATER.try_with(|later| later.borrow_mut().extend(waker.take()));
        let Some(unqueued) = waker else { return };
        // This thread is ending, and its queue is gone.
        return run_foreign(|| unqueued.wake());
    }
    WAKES.with(|wakes| wakes.set(depth + 1));
    run_foreign(|| waker.wake());
    WAKES.with(|wakes| wakes.set(depth));
    if depth == 0 {
        while let Ok(Some(waker)) = LATER.try_with(|later| later.borrow_mut().pop_front()) {
            wake(waker);
        }
    }
}
