//! [`ScriptCall`]: the state of a script's call, beside its [`Script`](crate::Script). `load` makes the guest and the call, `tick` steps
//! it, and `collect` takes its result.

use crate::error::ScriptError;
use crate::host::ScriptHost;
use bevy_ecs::component::Component;
use bevy_tasks::Task;
use std::fmt;
use wasm_jobs::{Instance, SendFuture};

/// The guest and the call of a [`Script`](crate::Script). Bevy adds it together with the script, and removes it with the script.
///
/// Dropping it cancels the call. A guest that runs on another thread meanwhile stops at its next loop or function entry.
#[derive(Component, Default)]
pub struct ScriptCall {
    pub(crate) state: State,
    /// The version of the module that the guest is of; zero without one.
    pub(crate) version: u64,
    /// The turn of the last step in a frame. Calls whose last step is longest ago come first.
    pub(crate) last_turn: u64,
    /// Whether the last step ended with its slice: the call would go on, and gets what the others leave.
    pub(crate) hungry: bool,
}

#[derive(Default)]
pub(crate) enum State {
    /// The module is not loaded.
    #[default]
    Unloaded,
    /// A task instantiates the module, and runs its start function.
    Making(Making),
    /// The guest has no call; the next one is made in `Load`.
    Idle(Instance<ScriptHost>),
    Running(Running),
    /// The call was cancelled for a reload. Its last step may still be in progress on another thread.
    Stopping(Running),
    Ended(End),
}

pub(crate) struct Making {
    pub(crate) task: Task<Result<Instance<ScriptHost>, ScriptError>>,
    pub(crate) reload: Option<Reload>,
}

/// What a guest that replaces another one takes over.
#[derive(Clone, Default)]
pub(crate) struct Reload {
    /// Whether a call of the old guest was cancelled.
    pub(crate) cancelled: bool,
    /// The bytes of the old guest's memory, if they are kept.
    pub(crate) memory: Option<Vec<u8>>,
}

pub(crate) struct Running {
    pub(crate) instance: Instance<ScriptHost>,
    pub(crate) future: SendFuture<()>,
    pub(crate) in_frame: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Finished,
    /// A new version of the module begins the script anew.
    Failed,
}

impl ScriptCall {
    /// Whether a call is in progress: it runs, or waits.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Running(_) | State::Stopping(_))
    }

    /// Whether the script has ended, by its end, a failure or a trap.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }

    /// The call, if it is to be stepped in the frame.
    pub(crate) fn in_frame(&mut self) -> Option<&mut Running> {
        match &mut self.state {
            State::Running(running) if running.in_frame => Some(running),
            _ => None,
        }
    }
}

impl fmt::Debug for ScriptCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Unloaded => "unloaded",
            State::Making(_) => "making",
            State::Idle(_) => "idle",
            State::Running(_) => "running",
            State::Stopping(_) => "stopping",
            State::Ended(End::Finished) => "finished",
            State::Ended(End::Failed) => "failed",
        };
        f.debug_struct("ScriptCall")
            .field("state", &state)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
