//! [`Flag`]: the flag of one instance, which it has until it is dropped.

use crate::error::Error;
use crate::guest::limit::flags::{Checked, StopFlags};
use crate::guest::limit::ticker::{Ticker, Word};
use std::fmt;
use std::sync::{Arc, Weak};

/// A word of the [`StopFlags`] of an engine. Dropping this gives it back.
pub(crate) struct Flag {
    flags: Arc<StopFlags>,
    index: usize,
    word: &'static Word,
}

impl Flag {
    /// Takes a word. `ticker` is that of the engine.
    ///
    /// # Errors
    ///
    /// As [`StopFlags::take`].
    pub(crate) fn take(
        ticker: &'static Ticker,
        flags: Arc<StopFlags>,
        holder: Weak<dyn Checked>,
    ) -> Result<Self, Error> {
        let index = flags.take(holder)?;
        Ok(Self { word: ticker.word(index), index, flags })
    }

    pub(crate) fn word(&self) -> &'static Word {
        self.word
    }
}

impl Drop for Flag {
    fn drop(&mut self) {
        self.flags.give_back(self.index);
    }
}

impl fmt::Debug for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flag").field("address", &self.word.address).finish_non_exhaustive()
    }
}
