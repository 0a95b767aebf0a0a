//! [`WaitsFor`]: what the call in progress waits for. Each wait that is not over notes it, for a world of `explore` that runs on this thread.

use std::cell::RefCell;
use std::panic::Location;
use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) enum WaitsFor {
    /// The event that was made at this place.
    Event(&'static Location<'static>),
    /// This time on a manual clock.
    Time(Duration),
    /// The jobs whose latches have these addresses.
    Jobs(Vec<usize>),
    /// An access to what an [`AccessQueue`](crate::AccessQueue) is for.
    Access,
    /// Something of which there are only so many.
    Stock,
}

thread_local! {
    /// `Some` while a world runs on this thread.
    static NOTED: RefCell<Option<Vec<WaitsFor>>> = const { RefCell::new(None) };
}

/// Notes what the call in progress waits for, if a world runs on this thread.
pub(crate) fn note(what: impl FnOnce() -> WaitsFor) {
    // A thread that ends may still poll.
    let _ = NOTED.try_with(|noted| {
        if let Some(noted) = &mut *noted.borrow_mut() {
            noted.push(what());
        }
    });
}

/// What was noted since the last time.
pub(crate) fn take() -> Vec<WaitsFor> {
    NOTED.with_borrow_mut(|noted| noted.as_mut().map(std::mem::take)).unwrap_or_default()
}

/// Runs `code`, and has the waits on this thread noted.
pub(crate) fn noting<R>(code: impl FnOnce() -> R) -> R {
    struct Restore(Option<Vec<WaitsFor>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            NOTED.set(self.0.take());
        }
    }

    let _restore = Restore(NOTED.replace(Some(Vec::new())));
    code()
}
