//! [`Watched`]: what a world of `explore` wants to know of a call: its name, and whether it has failed and nobody has taken its error.

use crate::error::Error;
use crate::error::trap::describe_frame;
use crate::outcome::Outcome;
use crate::sync::set_while;
use crate::unwind::catch;
use std::cell::RefCell;
use std::sync::OnceLock;

#[derive(Default)]
pub(crate) struct Watched {
    owners_name: OnceLock<Box<str>>,
    /// The name of the export.
    own_name: Option<Box<str>>,
}

/// The failure of a call or a closure that nobody has taken.
pub(crate) struct Untaken {
    /// The address of its [`Watched`], which identifies it.
    of: usize,
    pub(crate) name: Option<String>,
    pub(crate) failure: String,
}

thread_local! {
    /// `Some` while a world runs on this thread.
    static UNTAKEN: RefCell<Option<Vec<Untaken>>> = const { RefCell::new(None) };
}

/// Does a world run on this thread?
pub(crate) fn is_on() -> bool {
    UNTAKEN.try_with(|failures| failures.borrow().is_some()).unwrap_or(false)
}

/// Runs `code`, and returns the failures that nobody took meanwhile, in their order.
pub(crate) fn collecting<R>(code: impl FnOnce() -> R) -> (R, Vec<Untaken>) {
    let (result, untaken) = set_while(&UNTAKEN, Vec::new(), code);
    (result, untaken.unwrap_or_default())
}

/// The last failure that nobody has taken.
pub(crate) fn last() -> Option<String> {
    UNTAKEN.with_borrow(|failures| Some(failures.as_ref()?.last()?.failure.clone()))
}

/// The text of a failure, if a world runs on this thread. A cancelled call has not failed.
pub(crate) fn failure<T>(outcome: &Outcome<T>) -> Option<String> {
    match outcome {
        Ok(_) => None,
        Err(error) if matches!(**error, Error::Cancelled) => None,
        Err(error) if is_on() => Some(catch(|| text(error)).unwrap_or_else(|_| "an error".into())),
        Err(_) => None,
    }
}

/// The message of an error, with the functions of the guest if it has trapped.
fn text(error: &Error) -> String {
    let mut text = error.to_string();
    if let Error::Trap(trap) = error
        && let Some(backtrace) = trap.backtrace()
    {
        for frame in backtrace.frames() {
            text.push_str("\n  in ");
            text.push_str(&describe_frame(frame));
        }
    }
    text
}

impl Watched {
    pub(crate) fn export(name: &str) -> Self {
        Self { owners_name: OnceLock::new(), own_name: is_on().then(|| name.into()) }
    }

    pub(crate) fn set_name(&self, name: &str) {
        self.owners_name.get_or_init(|| name.into());
    }

    pub(crate) fn name(&self) -> Option<String> {
        let name = self.owners_name.get().map(|name| &**name);
        name.or(self.own_name.as_deref()).map(str::to_owned)
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    pub(crate) fn failed(&self, failure: String) {
        let untaken = Untaken { of: self.address(), name: self.name(), failure };
        let _ = UNTAKEN.try_with(|place| {
            if let Some(failures) = &mut *place.borrow_mut() {
                failures.push(untaken);
            }
        });
    }

    /// The owner took the failure. An earlier call at the same address may have left an entry of its own before this one's.
    pub(crate) fn failure_taken(&self) {
        let _ = UNTAKEN.try_with(|place| {
            if let Some(failures) = &mut *place.borrow_mut()
                && let Some(at) = failures.iter().rposition(|failure| failure.of == self.address())
            {
                failures.remove(at);
            }
        });
    }
}
