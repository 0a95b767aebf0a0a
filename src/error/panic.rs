//! [`Panic`]: a panic of the host, as a value.

use parking_lot::Mutex;
use std::any::Any;
use std::fmt;

/// A panic of the host inside a call.
///
/// To panic with it again, pass its [payload](Self::into_payload) to [`std::panic::resume_unwind`].
pub struct Panic {
    /// In a mutex, so that `Error` is `Sync`: a payload need not be.
    payload: Box<Mutex<Box<dyn Any + Send>>>,
}

impl Panic {
    pub(crate) fn new(payload: Box<dyn Any + Send>) -> Self {
        Self { payload: Box::new(Mutex::new(payload)) }
    }

    /// The message of the panic; `None` if the payload is not text.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        let payload = self.payload.lock();
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| payload.downcast_ref::<String>().cloned())
    }

    /// The value that the host panicked with.
    #[must_use]
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        self.payload.into_inner()
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message().as_deref().unwrap_or("with a value that is not text"))
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Panic").field(&self.message()).finish()
    }
}
