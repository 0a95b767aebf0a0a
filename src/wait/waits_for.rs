//! [`WaitsFor`]: what the call in progress waits for. Each wait that is not over notes it, for a world of `explore` that runs on this thread.

use crate::sync::set_while;
use std::cell::RefCell;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) enum WaitsFor {
    Event(MadeEvent),
    /// This time on a manual clock.
    Time(Duration),
    /// A time on the clock of the machine.
    MachinesClock,
    /// The jobs whose latches have these addresses.
    Jobs(Vec<usize>),
    /// An access to what an [`AccessQueue`](crate::AccessQueue) is for.
    Access,
    /// Something of which there are only so many.
    Stock,
}

/// Which event it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MadeEvent {
    /// Which of the events it is that were made while the world runs, from one; zero if it was made before.
    pub(crate) number: u32,
    pub(crate) at: &'static Location<'static>,
}

/// What a world has noted on its thread.
#[derive(Default)]
struct Noted {
    waits: Vec<WaitsFor>,
    events: u32,
}

thread_local! {
    /// `Some` while a world runs on this thread.
    static NOTED: RefCell<Option<Noted>> = const { RefCell::new(None) };
}

impl MadeEvent {
    #[track_caller]
    pub(crate) fn new() -> Self {
        let at = Location::caller();
        let number = NOTED.try_with(|noted| {
            let mut noted = noted.borrow_mut();
            let Some(noted) = &mut *noted else { return 0 };
            noted.events += 1;
            noted.events
        });
        Self { number: number.unwrap_or(0), at }
    }
}

/// As in "waits for event 2 (main.rs:54)".
impl fmt::Display for MadeEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            0 => f.write_str("an event made before")?,
            number => write!(f, "event {number}")?,
        }
        // The caller of `default` may be std's own code.
        let file = self.at.file();
        let std = ["/library/core/src/", "/library/alloc/src/", "/library/std/src/"];
        let is_of_std = std.iter().any(|std| file.replace('\\', "/").contains(std));
        if is_of_std { Ok(()) } else { write!(f, " ({file}:{})", self.at.line()) }
    }
}

/// Notes what the call in progress waits for, if a world runs on this thread.
pub(crate) fn note(what: impl FnOnce() -> WaitsFor) {
    // A thread that ends may still poll.
    let _ = NOTED.try_with(|noted| {
        if let Some(noted) = &mut *noted.borrow_mut() {
            noted.waits.push(what());
        }
    });
}

/// What was noted since the last time.
pub(crate) fn take() -> Vec<WaitsFor> {
    NOTED
        .with_borrow_mut(|noted| noted.as_mut().map(|noted| std::mem::take(&mut noted.waits)))
        .unwrap_or_default()
}

/// Runs `code`, and has the waits on this thread noted.
pub(crate) fn noting<R>(code: impl FnOnce() -> R) -> R {
    set_while(&NOTED, Noted::default(), code).0
}
