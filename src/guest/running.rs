//! [`Running`]: a call that is inside the guest, from its first step to its end. Every call goes this way: `fiber` makes it, and it
//! decides whether the guest is poisoned.

#[cfg(any(feature = "wasi", feature = "freeze"))]
use crate::error::Error;
#[cfg(feature = "freeze")]
use crate::guest::freeze::collect::{collect, end_unwinding};
#[cfg(feature = "freeze")]
use crate::guest::freeze::frames::{Purpose, Saved};
#[cfg(feature = "freeze")]
use crate::guest::freeze::request::deliver;
#[cfg(feature = "freeze")]
use crate::guest::freeze::stopped::Stopped;
use crate::guest::guest::Guest;
use crate::guest::limit::control::Control;
use crate::guest::trap::{Attempt, Begun, failure, timed_out};
use crate::outcome::Outcome;
use std::sync::Arc;
use wasmtime::Store;

/// Poisons the guest when it is dropped, unless [`end`](Self::end) has seen the call return. So a trap poisons it, a panic of the
/// host, which unwinds, and a call that is dropped half-way.
pub(crate) struct Running<'a, S: 'static, E: 'static> {
    guest: &'a mut Guest<S, E>,
    attempt: Attempt<'a>,
    has_returned: bool,
}

impl<'a, S: Send + 'static, E> Running<'a, S, E> {
    /// Begins the first step of a call.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if the time of the call has passed before this. Nothing of the guest has run then.
    #[inline(always)]
    pub(crate) fn begin(guest: &'a mut Guest<S, E>, attempt: Attempt<'a>) -> Outcome<Self> {
        if let Some(limit) = guest.control.is_too_late() {
            return Err(Box::new(timed_out(limit, &guest.control, attempt, Begun::No)));
        }
        guest.control.set_deadline(&mut guest.store);
        Ok(Self { guest, attempt, has_returned: false })
    }

    /// The store that the call runs in, its limits, and the exports that it may call.
    #[inline]
    pub(crate) fn parts(&mut self) -> (&mut Store<S>, &Arc<Control>, &E) {
        let Guest { store, control, exports, .. } = &mut *self.guest;
        match exports {
            Some(exports) => (store, control, exports),
            None => unreachable!("a guest without exports is poisoned, and has no calls"),
        }
    }

    /// Ends the call, and gives its results.
    ///
    /// # Errors
    ///
    /// The [`failure`] that wasmtime's error stands for; and [`Error::TimedOut`] if a call inside this one timed out, and a host
    /// function swallowed its trap.
    #[inline(always)]
    pub(crate) fn end<R: 'static>(mut self, ended: wasmtime::Result<R>) -> Outcome<R> {
        let Guest { store, control, .. } = &mut *self.guest;
        match ended {
            Ok(results) => match control.timed_out() {
                None => {
                    self.has_returned = true;
                    Ok(results)
                }
                Some(limit) => Err(Box::new(timed_out(limit, control, self.attempt, Begun::Yes))),
            },
            Err(error) => match failure(error, store, control, self.attempt) {
                #[cfg(feature = "wasi")]
                Error::Exit(0) => no_results().ok_or_else(|| Box::new(Error::Exit(0))),
                error => Err(Box::new(error)),
            },
        }
    }
}

#[cfg(feature = "freeze")]
impl<S: Send + 'static> Running<'_, S, wasmtime::Instance> {
    /// The functions of the call have saved themselves: makes data of it. If the call is to go on, this gives what it takes for that.
    ///
    /// # Errors
    ///
    /// [`Error::Cancelled`] if the call ends here, because its owner has the data. The guest is half-way through the call, and so it is poisoned; and so it is with all other
    /// errors.
    pub(crate) fn stop<R: 'static>(
        mut self,
        ended: wasmtime::Result<R>,
        saved: Saved,
        export: &Arc<str>,
    ) -> Outcome<Stopped<S>> {
        end_unwinding(self.guest, saved.fuel);
        if ended.is_err() {
            return match self.end(ended) {
                Ok(_) => unreachable!("an error stays one"),
                Err(error) => Err(error),
            };
        }
        if let Some(limit) = self.guest.control.timed_out() {
            let (control, attempt) = (&self.guest.control, self.attempt);
            return Err(Box::new(timed_out(limit, control, attempt, Begun::Yes)));
        }
        let (purpose, (call, waiting)) = (saved.purpose, collect(self.guest, saved, export)?);
        if purpose != Purpose::Park {
            deliver(call.clone());
        }
        let waiting = waiting.ok_or(Error::Cancelled)?;
        self.has_returned = true;
        Ok(Stopped { call, waiting, is_parked: purpose == Purpose::Park })
    }
}

impl<S: 'static, E: 'static> Drop for Running<'_, S, E> {
    #[inline]
    fn drop(&mut self) {
        if !self.has_returned {
            self.guest.control.poison().set();
        }
    }
}

/// The results of a function that has none; nothing for any other.
#[cfg(feature = "wasi")]
fn no_results<R: 'static>() -> Option<R> {
    let mut none = Some(());
    (&mut none as &mut dyn std::any::Any).downcast_mut::<Option<R>>()?.take()
}
