//! [`SavedGuest`]: the state of a guest as data, with what tells of which module it is.

use crate::error::Error;
use crate::guest::checkpoint::bytes::{self, Limits};
use crate::guest::checkpoint::check::check;
use crate::guest::checkpoint::image::plan_of;
use crate::guest::checkpoint::plan::{Hash, Plan};
use crate::guest::checkpoint::state::GuestState;
use crate::guest::limit::options::InstanceOptions;
use crate::guest::module_name::module_name;
use std::sync::{Arc, Weak};
use wasmtime::Module;

/// A guest between two calls, or in the middle of one.
#[derive(Debug)]
pub(crate) struct SavedGuest {
    pub(crate) layout: Hash,
    pub(crate) state: GuestState,
    /// The bytes of the pages that had changed.
    pub(crate) changed: usize,
    /// The plan that the state was checked against, if it was. It is not kept alive, because it has its module, and that its engine with all of
    /// its memory.
    plan: Weak<Plan>,
}

impl SavedGuest {
    pub(crate) fn new(state: GuestState, changed: usize, plan: Arc<Plan>) -> Arc<Self> {
        Arc::new(Self { layout: plan.hash, state, changed, plan: Arc::downgrade(&plan) })
    }

    /// Refuses a module that the saved guest is not of.
    pub(crate) fn check_module(&self, module: &Module) -> Result<(), Error> {
        self.check(&plan_of(module)?)
    }

    /// Refuses the state if it is not one of this module's guests.
    pub(crate) fn check(&self, plan: &Arc<Plan>) -> Result<(), Error> {
        if self.plan.as_ptr() == Arc::as_ptr(plan) {
            return Ok(());
        }
        if self.layout != plan.hash {
            return Err(Error::OtherModule { module: module_name(&plan.module) });
        }
        check(plan, &self.state)
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        bytes::encode(self.layout, &self.state)
    }

    /// Reads a guest of this module, with no more than `options` allow.
    pub(crate) fn from_bytes(
        module: &Module,
        options: &InstanceOptions,
        bytes: &[u8],
    ) -> Result<Self, Error> {
        let plan = plan_of(module)?;
        let limits =
            Limits { memory: plan.most_memory(options.memory), elements: options.table_elements };
        let mut guest = Self::read(bytes, limits)?;
        guest.check(&plan)?;
        guest.plan = Arc::downgrade(&plan);
        Ok(guest)
    }

    /// Reads a guest of any module.
    pub(crate) fn read(bytes: &[u8], limits: Limits) -> Result<Self, Error> {
        let (layout, state) = bytes::decode(bytes, limits)?;
        let changed = state.memories.iter().map(|memory| memory.size().0).sum();
        Ok(Self { layout, state, changed, plan: Weak::new() })
    }
}
