//! [`FrozenCall`]: a suspended call as data, whatever its result is.

use crate::guest::checkpoint::saved_guest::SavedGuest;
use crate::guest::checkpoint::value::Value;
use crate::guest::freeze::frames::{Frames, Pending};
use crate::guest::freeze::freezable_module::FreezableModule;
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct FrozenCall {
    /// The name of the export that was called.
    pub(crate) export: Arc<str>,
    /// The guest, as it was in the middle of the call.
    pub(crate) guest: Arc<SavedGuest>,
    pub(crate) frames: Frames<Value>,
    pub(crate) pending: Pending,
    /// The fuel that was left, if the engine counted it.
    pub(crate) fuel: Option<u64>,
    pub(crate) freezable: Arc<FreezableModule>,
}

impl FrozenCall {
    /// Whether it has objects of the host's.
    pub(crate) fn has_objects(&self) -> bool {
        let is_object = |value: &Value| matches!(value, Value::Object(_));
        self.guest.state.has_objects() || self.frames.references.iter().any(is_object)
    }
}
