//! [`PoisonedUnlessDone`]: a guest that is half-way through a change.

use crate::guest::limit::control::Control;
use std::sync::Arc;

/// Poisons the guest when it is dropped, unless what was begun is done. Until then nobody else has the guest, and nobody sees that it is half-way.
pub(crate) struct PoisonedUnlessDone(Option<Arc<Control>>);

impl PoisonedUnlessDone {
    pub(crate) fn new(control: &Arc<Control>) -> Self {
        Self(Some(control.clone()))
    }

    pub(crate) fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for PoisonedUnlessDone {
    fn drop(&mut self) {
        if let Some(control) = &self.0 {
            control.poison().set();
        }
    }
}
