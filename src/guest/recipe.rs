//! [`Recipe`]: what an instance keeps for all of its guests, one after the other: where they come from, and their limits.

use crate::guest::limit::control::Control;
use crate::guest::origin::Origin;
use parking_lot::Mutex;
use std::sync::Arc;
use wasmtime::Engine;

pub(crate) struct Recipe<S: 'static, E: 'static> {
    pub(crate) engine: Engine,
    /// Only who has the guest changes it.
    pub(crate) origin: Mutex<Origin<S, E>>,
    pub(crate) control: Arc<Control>,
    /// Makes the state for a new guest. `None` if the instance was made with one state.
    pub(crate) state: Option<Arc<dyn Fn() -> S + Send + Sync>>,
}
