//! The entity events of scripts. Observe them on an entity, or for all scripts by `App::add_observer`.

use crate::error::ScriptError;
use bevy_ecs::entity::Entity;
use bevy_ecs::event::EntityEvent;
use wasm_jobs::Trap;

/// The entry of a script has returned. A script that [repeats](crate::ScriptOptions::repeat) is called again in the next frame.
#[derive(EntityEvent, Clone, Copy, Debug)]
pub struct ScriptFinished {
    /// The entity of the script.
    pub entity: Entity,
}

/// A script has ended for another reason than a trap: its module could not be loaded, lacks the entry, or the call failed.
#[derive(EntityEvent, Debug)]
pub struct ScriptFailed {
    /// The entity of the script.
    pub entity: Entity,
    /// What went wrong.
    pub error: ScriptError,
}

/// The guest of a script trapped. The script has ended.
#[derive(EntityEvent, Debug)]
pub struct ScriptTrapped {
    /// The entity of the script.
    pub entity: Entity,
    /// What the guest trapped by.
    pub trap: Trap,
}

/// The guest of a script was replaced by one of the module's new version.
#[derive(EntityEvent, Clone, Copy, Debug)]
pub struct ScriptReloaded {
    /// The entity of the script.
    pub entity: Entity,
    /// Whether a call of the old module was cancelled for it.
    pub cancelled: bool,
}
