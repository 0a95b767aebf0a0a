//! [`Growth`]: how much memory and how many table elements a guest has, and may have.
//!
//! wasmtime looks for a store's limiter inside the store's state, which here is the user's. So the limiter that it finds has no
//! fields, and asks a thread-local which guest is growing.

use parking_lot::Mutex;
use std::cell::RefCell;
use std::sync::{Arc, Weak};
use wasmtime::{ResourceLimiter, Store};

/// The limits of a guest, and what it has. A guest keeps it when it gets a new store.
#[derive(Debug)]
pub(crate) struct Growth {
    /// In bytes.
    memory_limit: Option<usize>,
    elements_limit: Option<usize>,
    grown: Mutex<Grown>,
}

#[derive(Debug, Default)]
struct Grown {
    total: Amount,
    /// The growth that was allowed last, which may still fail.
    last: Amount,
    /// How many of the elements are those of the table of twins, which is not the guest's.
    elements_of_twins: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Amount {
    memory: usize,
    elements: usize,
}

thread_local! {
    /// The guest that is growing, or that runs, on this thread.
    static GUEST: RefCell<Weak<Growth>> = const { RefCell::new(Weak::new()) };
}

impl Growth {
    pub(crate) fn new(memory_limit: Option<usize>, elements_limit: Option<usize>) -> Arc<Self> {
        Arc::new(Self { memory_limit, elements_limit, grown: Mutex::default() })
    }

    /// The guest runs on this thread.
    pub(crate) fn enter(self: &Arc<Self>) {
        let before = GUEST.replace(Arc::downgrade(self));
        drop(before);
    }

    /// Makes a new store keep to the limits. It has nothing yet. `elements_of_twins` of its table elements will not be the guest's.
    pub(crate) fn attach<S: 'static>(
        self: &Arc<Self>,
        store: &mut Store<S>,
        elements_of_twins: usize,
    ) {
        *self.grown.lock() = Grown { elements_of_twins, ..Grown::default() };
        let growth = Arc::downgrade(self);
        store.limiter(move |_| {
            // wasmtime asks for the limiter before one thing grows, or several if a module is instantiated. If the growing is
            // suspended half-way, the step that resumes it calls `enter` again.
            if let Some(growth) = growth.upgrade() {
                growth.grown.lock().last = Amount::default();
                growth.enter();
            }
            // The type has no size, so nothing is allocated, and nothing leaks.
            Box::leak(Box::new(GuestOfThisThread))
        });
    }

    fn may_grow(&self, by: Amount) -> bool {
        let mut grown = self.grown.lock();
        let memory = grown.total.memory.saturating_add(by.memory);
        let elements = grown.total.elements.saturating_add(by.elements);
        let may = (by.memory == 0 || self.memory_limit.is_none_or(|limit| memory <= limit))
            && (by.elements == 0
                || self
                    .elements_limit
                    .is_none_or(|limit| elements <= limit.saturating_add(grown.elements_of_twins)));
        if may {
            (grown.total, grown.last) = (Amount { memory, elements }, by);
        }
        may
    }

    /// The growth that was allowed last has failed.
    fn take_back(&self) {
        let mut grown = self.grown.lock();
        let last = std::mem::take(&mut grown.last);
        grown.total.memory -= last.memory;
        grown.total.elements -= last.elements;
    }
}

/// The limiter that wasmtime finds.
struct GuestOfThisThread;

impl GuestOfThisThread {
    fn may_grow(by: Amount, desired: usize, maximum: Option<usize>) -> bool {
        let Some(growth) = GUEST.with_borrow(Weak::upgrade) else { return false };
        maximum.is_none_or(|maximum| desired <= maximum) && growth.may_grow(by)
    }

    fn take_back() {
        if let Some(growth) = GUEST.with_borrow(Weak::upgrade) {
            growth.take_back();
        }
    }
}

impl ResourceLimiter for GuestOfThisThread {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let by = Amount { memory: desired.saturating_sub(current), elements: 0 };
        Ok(Self::may_grow(by, desired, maximum))
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        Self::take_back();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let by = Amount { memory: 0, elements: desired.saturating_sub(current) };
        Ok(Self::may_grow(by, desired, maximum))
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        Self::take_back();
        Ok(())
    }
}
