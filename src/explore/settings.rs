//! [`Settings`]: what is the same in all runs of a test.

use crate::explore::guest::Fuel;
use crate::explore::host_names::HostNames;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) max_steps: usize,
    /// By how much fuel a step ends, if the schedule does not say so.
    pub(crate) fuel: Fuel,
    /// May the clock move while jobs can go on?
    pub(crate) steps_take_time: bool,
    /// Does the strategy end steps by fuel?
    pub(crate) preempts: bool,
    /// Are states told apart by what guests export?
    pub(crate) hashes_guests: bool,
    /// Is the run to tell where guests call the host? Only the last one of a failure is.
    pub(crate) explains: bool,
    pub(crate) names: Vec<Arc<HostNames>>,
}
