//! [`ScriptHost`]: what host functions know of the script that calls them, and how they reach the world. The host functions that every
//! script has are here, too.

use crate::time::ScriptTime;
use bevy_ecs::entity::Entity;
use bevy_ecs::resource::Resource;
use bevy_ecs::world::{EntityWorldMut, World};
use std::time::Duration;
use wasm_jobs::wasmtime::{self, Caller, Linker};
use wasm_jobs::{AccessQueue, Clock, ManualClock};

/// The closures of host functions that wait for the world. `Tick` runs them.
#[derive(Resource, Clone, Debug, Default)]
pub(crate) struct WorldQueue(pub(crate) AccessQueue<World>);

/// The state of a script's store: what its host functions know.
///
/// A host function that only needs the entity or the time is an ordinary one. One that needs the world is async:
///
/// ```
/// # use bevy_ecs::prelude::*;
/// # use bevy_wasm_jobs::{ScriptHost, WasmJobsPlugin};
/// # use bevy_wasm_jobs::wasm_jobs::wasmtime::Caller;
/// #[derive(Component)]
/// struct Energy(i32);
///
/// let plugin = WasmJobsPlugin::default().with_linker(|linker| {
///     linker.func_wrap_async("game", "eat", |caller: Caller<'_, ScriptHost>, (food,): (i32,)| {
///         let access = caller.data().with_entity(move |mut entity| {
///             let mut energy = entity.get_mut::<Energy>()?;
///             energy.0 += food;
///             Some(energy.0)
///         });
///         Box::new(async move { Ok::<_, bevy_wasm_jobs::wasm_jobs::wasmtime::Error>(access.await?.unwrap_or(0)) })
///     })?;
///     Ok(())
/// });
/// ```
#[derive(Debug)]
pub struct ScriptHost {
    entity: Entity,
    world: WorldQueue,
    time: ScriptTime,
    /// The game time of the last `next_frame`, or of the beginning.
    last_frame: Duration,
}

/// The entity of the script is gone, so a host function cannot reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entity {entity} of the script was despawned")]
pub struct EntityGone {
    /// The entity.
    pub entity: Entity,
}

impl ScriptHost {
    pub(crate) fn new(entity: Entity, world: WorldQueue, time: ScriptTime) -> Self {
        let last_frame = time.game.now();
        Self { entity, world, time, last_frame }
    }

    /// The entity that has the script.
    #[must_use]
    pub fn entity(&self) -> Entity {
        self.entity
    }

    /// The clock of the scripts: `Time<Virtual>` or `Time<Fixed>`, by the schedule of the plugin. Await its sleeps in host functions.
    #[must_use]
    pub fn clock(&self) -> &ManualClock {
        &self.time.game
    }

    /// Runs `access` with the world, at the sync point in [`WasmJobsSystems::Tick`](crate::WasmJobsSystems::Tick), and gives its result.
    /// The guest is suspended meanwhile, and holds nothing of the world.
    ///
    /// Several accesses of one script take place in one frame, as long as the budget lasts.
    ///
    /// If the call is cancelled before, `access` does not run. If `access` removes the script itself, it still runs to its end.
    pub fn with_world<R, F>(&self, access: F) -> impl Future<Output = R> + Send + use<R, F>
    where
        R: Send + 'static,
        F: FnOnce(&mut World) -> R + Send + 'static,
    {
        self.world.0.with(access)
    }

    /// Runs `access` with the entity that has the script, as [`with_world`](Self::with_world) does with the world.
    ///
    /// The result is [`EntityGone`] if the entity was despawned meanwhile. Return that as the error of the host function; nobody
    /// sees it, because the call is cancelled together with its entity.
    pub fn with_entity<R, F>(
        &self,
        access: F,
    ) -> impl Future<Output = Result<R, EntityGone>> + Send + use<R, F>
    where
        R: Send + 'static,
        F: FnOnce(EntityWorldMut<'_>) -> R + Send + 'static,
    {
        let entity = self.entity;
        self.world.0.with(move |world: &mut World| {
            world.get_entity_mut(entity).map(access).map_err(|_| EntityGone { entity })
        })
    }
}

/// Defines the host functions that every script has, in the module `bevy`:
///
/// - `next_frame: () -> f32` waits for the next frame, and gives the game time in seconds since the last one;
/// - `sleep: (f64)` waits for so many seconds of game time;
/// - `now: () -> f64` gives the game time in seconds.
pub(crate) fn add_to_linker(linker: &mut Linker<ScriptHost>) -> wasmtime::Result<()> {
    linker.func_wrap_async("bevy", "next_frame", |mut caller: Caller<'_, ScriptHost>, ()| {
        Box::new(async move {
            let begins = caller.data().time.next_frame();
            begins.await;
            let host = caller.data_mut();
            let now = host.time.game.now();
            let since = now.saturating_sub(host.last_frame);
            host.last_frame = now;
            since.as_secs_f32()
        })
    })?;
    linker.func_wrap_async(
        "bevy",
        "sleep",
        |caller: Caller<'_, ScriptHost>, (seconds,): (f64,)| {
            // A guest may pass anything: what is no duration is none, or the longest.
            let duration = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
            let sleep = caller.data().time.game.sleep(duration);
            Box::new(sleep)
        },
    )?;
    linker.func_wrap("bevy", "now", |caller: Caller<'_, ScriptHost>| {
        caller.data().time.game.now().as_secs_f64()
    })?;
    Ok(())
}
