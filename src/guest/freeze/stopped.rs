//! [`Stopped`]: a call that was saved, and goes on.

use crate::guest::freeze::frozen_call::FrozenCall;
use crate::guest::freeze::waiting::Waiting;
use std::sync::Arc;

pub(crate) struct Stopped<S: 'static> {
    pub(crate) call: Arc<FrozenCall>,
    /// What the call waits for.
    pub(crate) waiting: Box<dyn Waiting<S>>,
    /// Whether it is parked until it has that.
    pub(crate) is_parked: bool,
}
