//! [`Growth`]: how much memory and how many table elements a guest has, and may have.
//!
//! wasmtime has a store find its limiter inside the state of the host, which here is the user's. So the limiter that
//! it finds has nothing in it, and asks this thread which guest is growing.

use parking_lot::Mutex;
use std::cell::RefCell;
use std::sync::{Arc, Weak};
use wasmtime::{ResourceLimiter, Store};

/// The limits of a guest, and what it has. It stays when the guest gets a new store.
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
    /// What was allowed last, and may not succeed.
    last: Amount,
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

    /// Has a new store, which has nothing yet, keep to the limits.
    pub(crate) fn attach<S: 'static>(self: &Arc<Self>, store: &mut Store<S>) {
        *self.grown.lock() = Grown::default();
        let growth = Arc::downgrade(self);
        store.limiter(move |_| {
            // wasmtime asks for the limiter before one thing grows, or several if a module is instantiated. Should that be
            // suspended before it is done, the step that resumes it enters again.
            if let Some(growth) = growth.upgrade() {
                growth.grown.lock().last = Amount::default();
                growth.enter();
            }
            // Of a type without a size: nothing is allocated, and nothing leaks.
            Box::leak(Box::new(GuestOfThisThread))
        });
    }

    fn may_grow(&self, by: Amount) -> bool {
        let mut grown = self.grown.lock();
        let memory = grown.total.memory.saturating_add(by.memory);
        let elements = grown.total.elements.saturating_add(by.elements);
        let may = (by.memory == 0 || self.memory_limit.is_none_or(|limit| memory <= limit))
            && (by.elements == 0 || self.elements_limit.is_none_or(|limit| elements <= limit));
        if may {
            *grown = Grown { total: Amount { memory, elements }, last: by };
        }
        may
    }

    /// What was allowed last did not succeed.
    fn take_back(&self) {
        let mut grown = self.grown.lock();
        let last = std::mem::take(&mut grown.last);
        grown.total.memory -= last.memory;
        grown.total.elements -= last.elements;
    }
}

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
