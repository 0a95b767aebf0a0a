//! [`quietly`]: runs code whose panics are kept, and not printed. A test that fails is run many times to make it short, and the last one alone is
//! to be shown.

use crate::sync::set_while;
use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, PanicHookInfo};
use std::sync::Once;

thread_local! {
    /// The panics of this thread, each with its place; `None` while they are printed.
    static PANICS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Runs code on this thread, and returns the panics, those that were caught too, in their order.
pub(crate) fn quietly<R>(code: impl FnOnce() -> R) -> (R, Vec<String>) {
    static ONCE: Once = Once::new();
    // The hook stays, and passes on what happens outside of this.
    ONCE.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !keep(info) {
                others(info);
            }
        }));
    });
    let (result, panics) = set_while(&PANICS, Vec::new(), code);
    (result, panics.unwrap_or_default())
}

/// Keeps a panic, if this thread is quiet.
fn keep(info: &PanicHookInfo<'_>) -> bool {
    // A panic while the thread ends, or inside of this, is printed.
    let kept = PANICS.try_with(|panics| {
        let Ok(mut panics) = panics.try_borrow_mut() else { return false };
        let Some(panics) = &mut *panics else { return false };
        let text = text_of(info.payload());
        panics.push(match info.location() {
            Some(place) => format!("{}:{}: {text}", place.file(), place.line()),
            None => text.to_owned(),
        });
        true
    });
    kept.unwrap_or(false)
}

/// The last panic of this thread.
pub(crate) fn last() -> Option<String> {
    PANICS.with_borrow(|panics| panics.as_ref()?.last().cloned())
}

/// How many panics there were on this thread.
pub(crate) fn count() -> usize {
    PANICS.with_borrow(|panics| panics.as_ref().map_or(0, Vec::len))
}

/// The message of a panic.
pub(crate) fn text_of(payload: &dyn Any) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(|text| &**text)).unwrap_or("a panic")
}
