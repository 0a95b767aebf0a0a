//! [`Stopped`]: a call that was saved, and goes on.

use crate::guest::freeze::frames::Purpose;
use crate::guest::freeze::frozen_call::FrozenCall;
use crate::guest::freeze::waiting::Waiting;
use std::sync::Arc;

pub(crate) struct Stopped<S: 'static> {
    pub(crate) purpose: Purpose,
    pub(crate) call: Arc<FrozenCall>,
    /// What the call waits for.
    pub(crate) waiting: Box<dyn Waiting<S>>,
}
