//! How a store is told how much memory and how many table elements its guest may have.
//!
//! wasmtime has a store find its limiter inside the state of the host, which here is the user's. So the limiter that
//! it finds has nothing in it, and asks this thread which guest is growing.

use crate::guest::limit::control::Control;
use std::cell::RefCell;
use std::sync::{Arc, Weak};
use wasmtime::{ResourceLimiter, Store};

/// What a guest has, of which it may have so much.
#[derive(Debug, Default)]
pub(crate) struct Grown {
    memory: usize,
    elements: usize,
    /// What was allowed last, and may not succeed.
    last: (usize, usize),
}

thread_local! {
    /// The guest that is growing, or that runs, on this thread.
    static GUEST: RefCell<Weak<Control>> = const { RefCell::new(Weak::new()) };
}

/// A guest runs on this thread.
pub(crate) fn enter(control: &Arc<Control>) {
    let before = GUEST.replace(Arc::downgrade(control));
    drop(before);
}

/// Has a store keep to the limits of its guest.
pub(crate) fn limit<S: 'static>(store: &mut Store<S>, control: &Arc<Control>) {
    let control = Arc::downgrade(control);
    store.limiter(move |_| {
        // Here one thing begins to grow, or several if a module is instantiated. Should it be suspended before it is done,
        // whoever resumes it enters again.
        if let Some(control) = control.upgrade() {
            control.grown().lock().last = (0, 0);
            enter(&control);
        }
        // Of a type without a size: nothing is allocated, and nothing leaks.
        Box::leak(Box::new(GuestOfThisThread))
    });
}

struct GuestOfThisThread;

impl GuestOfThisThread {
    fn may_grow(by: (usize, usize), maximum_allows: bool) -> bool {
        let Some(control) = GUEST.with_borrow(Weak::upgrade) else { return false };
        let options = control.options();
        let mut grown = control.grown().lock();
        let memory = grown.memory.saturating_add(by.0);
        let elements = grown.elements.saturating_add(by.1);
        let may = maximum_allows
            && (by.0 == 0 || options.memory.is_none_or(|most| memory <= most))
            && (by.1 == 0 || options.table_elements.is_none_or(|most| elements <= most));
        if may {
            *grown = Grown { memory, elements, last: by };
        }
        may
    }

    /// What was allowed last did not succeed.
    fn has_failed() {
        if let Some(control) = GUEST.with_borrow(Weak::upgrade) {
            let mut grown = control.grown().lock();
            let (memory, elements) = std::mem::take(&mut grown.last);
            grown.memory -= memory;
            grown.elements -= elements;
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
        let by = (desired.saturating_sub(current), 0);
        Ok(Self::may_grow(by, maximum.is_none_or(|maximum| desired <= maximum)))
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        Self::has_failed();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let by = (0, desired.saturating_sub(current));
        Ok(Self::may_grow(by, maximum.is_none_or(|maximum| desired <= maximum)))
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        Self::has_failed();
        Ok(())
    }
}
