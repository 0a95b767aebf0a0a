//! The systems of [`Load`](crate::WasmJobsSystems::Load): scripts whose module is there get a guest, guests without a call get one, and scripts of a
//! module that has a new version change over to it.

use crate::call::{End, Making, Reload, Running, ScriptCall, State};
use crate::error::ScriptError;
use crate::events::{ScriptFailed, ScriptReloaded};
use crate::host::{ScriptHost, WorldQueue};
use crate::module::{WasmModule, is_entry};
use crate::pool::AsyncComputeJobs;
use crate::script::{ReloadPolicy, RunsIn, Script};
use crate::time::ScriptTime;
use bevy_asset::{AssetEvent, AssetId, AssetServer, Assets, LoadState};
use bevy_ecs::entity::Entity;
use bevy_ecs::message::MessageReader;
use bevy_ecs::system::{Commands, Query, Res};
use bevy_tasks::AsyncComputeTaskPool;
use bevy_tasks::futures::check_ready;
use std::collections::HashSet;
use std::mem;
use std::time::Duration;
use wasm_jobs::{Error, Instance, JobPool, Slice};

/// How long a script in the pool runs in one turn, if its options do not say. Others have their turn then, and world access its chance.
const TURN: Duration = Duration::from_millis(1);

/// The memory that [`ReloadPolicy::KeepMemory`] keeps.
const MEMORY: &str = "memory";

/// The bytes of a page of wasm's memory.
const PAGE: usize = 1 << 16;

pub(crate) fn load(
    mut scripts: Query<'_, '_, (Entity, &Script, &mut ScriptCall)>,
    mut events: MessageReader<'_, '_, AssetEvent<WasmModule>>,
    modules: Res<'_, Assets<WasmModule>>,
    server: Res<'_, AssetServer>,
    world: Res<'_, WorldQueue>,
    time: Res<'_, ScriptTime>,
    mut commands: Commands<'_, '_>,
) {
    let changed: HashSet<AssetId<WasmModule>> = events
        .read()
        .filter_map(|event| match event {
            AssetEvent::Modified { id } | AssetEvent::Added { id } => Some(*id),
            _ => None,
        })
        .collect();
    for (entity, script, mut call) in &mut scripts {
        let may_have_changed = changed.contains(&script.module.id());
        if matches!(call.state, State::Running(_) | State::Ended(_)) && !may_have_changed {
            continue;
        }
        let module = modules.get(&script.module);
        if may_have_changed && module.is_some_and(|module| call.version != module.version()) {
            change_over(&mut call, script.options.reload);
        }
        let host = || {
            let (world, time) = (world.clone(), time.clone());
            move || ScriptHost::new(entity, world.clone(), time.clone())
        };
        match advance(&mut call, entity, script, module, &server, host) {
            Ok(None) => {}
            Ok(Some(Reload { cancelled, .. })) => {
                commands.trigger(ScriptReloaded { entity, cancelled });
            }
            Err(error) => {
                bevy_log::error!("script of entity {entity}: {error}");
                call.state = State::Ended(End::Failed);
                call.version = module.map_or(0, WasmModule::version);
                commands.trigger(ScriptFailed { entity, error });
            }
        }
    }
}

/// Stops what the script does with an old version of its module. `advance` makes the new guest.
fn change_over(call: &mut ScriptCall, policy: ReloadPolicy) {
    call.state = match mem::take(&mut call.state) {
        State::Running(mut running) if policy != ReloadPolicy::NextCall => {
            running.future.cancel();
            State::Stopping(running)
        }
        State::Ended(End::Failed) => State::Unloaded,
        // An idle guest and one in the making are compared with their module before they are used.
        other => other,
    };
}

/// Goes on to the next state, as far as possible without waiting. Gives a reload whose new call has begun.
fn advance<H: Fn() -> ScriptHost + Send + Sync + 'static>(
    call: &mut ScriptCall,
    entity: Entity,
    script: &Script,
    module: Option<&WasmModule>,
    server: &AssetServer,
    host: impl Fn() -> H,
) -> Result<Option<Reload>, ScriptError> {
    match mem::take(&mut call.state) {
        State::Unloaded => match module {
            Some(module) => make(call, script, module, host(), None)?,
            None => {
                if let Some(LoadState::Failed(error)) = server.get_load_state(&script.module) {
                    return Err(ScriptError::Load(error));
                }
            }
        },
        State::Making(mut making) => match module {
            Some(module) if module.version() != call.version => {
                make(call, script, module, host(), making.reload)?;
            }
            _ => match check_ready(&mut making.task) {
                None => call.state = State::Making(making),
                Some(instance) => {
                    begin(call, entity, script, module, instance?)?;
                    return Ok(making.reload);
                }
            },
        },
        State::Idle(instance) => match module {
            Some(module) if module.version() != call.version => {
                let memory = kept_memory(&instance, script);
                drop(instance);
                make(call, script, module, host(), Some(Reload { cancelled: false, memory }))?;
            }
            _ => begin(call, entity, script, module, instance)?,
        },
        State::Stopping(running) => match module {
            Some(module) if running.future.has_result() => {
                let memory = kept_memory(&running.instance, script);
                drop(running);
                make(call, script, module, host(), Some(Reload { cancelled: true, memory }))?;
            }
            _ => call.state = State::Stopping(running),
        },
        state @ (State::Running(_) | State::Ended(_)) => call.state = state,
    }
    Ok(None)
}

/// The bytes of the guest's memory, if the script keeps them and there is such a memory.
fn kept_memory(instance: &Instance<ScriptHost>, script: &Script) -> Option<Vec<u8>> {
    if script.options.reload != ReloadPolicy::KeepMemory {
        return None;
    }
    Some(instance.memory(MEMORY).ok()?.data().to_vec())
}

/// Has a task make a guest. A start function may wait for the world, or take long, so that no system can run it.
fn make(
    call: &mut ScriptCall,
    script: &Script,
    module: &WasmModule,
    host: impl Fn() -> ScriptHost + Send + Sync + 'static,
    reload: Option<Reload>,
) -> Result<(), ScriptError> {
    check_entry(module, &script.entry)?;
    let (pre, options) = (module.pre().clone(), script.options.instance.clone());
    let (name, entry) = (module.shared_name(), script.entry.clone());
    let memory = reload.as_ref().and_then(|reload| reload.memory.clone());
    let task = AsyncComputeTaskPool::get().spawn(async move {
        let instance = Instance::with_options(&pre, options, host)
            .map_err(|source| ScriptError::Call { module: name.clone(), entry, source })?;
        if let Some(memory) = memory {
            let bytes = memory.len();
            write_memory(&instance, &memory).map_err(|why| ScriptError::KeepMemory {
                module: name,
                bytes,
                why,
            })?;
        }
        Ok(instance)
    });
    call.version = module.version();
    call.state = State::Making(Making { task, reload });
    Ok(())
}

fn check_entry(module: &WasmModule, entry: &str) -> Result<(), ScriptError> {
    match module.module().get_export(entry) {
        None => Err(ScriptError::NoEntry {
            module: module.shared_name(),
            entry: entry.to_owned(),
            has: module.entries().map(str::to_owned).collect(),
        }),
        Some(ty) if !is_entry(&ty) => {
            Err(ScriptError::EntryType { module: module.shared_name(), entry: entry.to_owned() })
        }
        Some(_) => Ok(()),
    }
}

fn write_memory(instance: &Instance<ScriptHost>, bytes: &[u8]) -> Result<(), Error> {
    let mut memory = instance.memory(MEMORY)?;
    let lacks = bytes.len().saturating_sub(memory.size());
    if lacks > 0 {
        memory.grow(lacks.div_ceil(PAGE) as u64)?;
    }
    memory.slice_mut(0, bytes.len())?.copy_from_slice(bytes);
    Ok(())
}

/// Makes the call of the entry, and submits it if it runs in the pool.
fn begin(
    call: &mut ScriptCall,
    entity: Entity,
    script: &Script,
    module: Option<&WasmModule>,
    instance: Instance<ScriptHost>,
) -> Result<(), ScriptError> {
    let in_frame = script.options.runs == RunsIn::Frame;
    let future = instance.call::<(), ()>(&script.entry, ()).and_then(|future| {
        let mut future = future.named(format!("{} of entity {entity}", script.entry)).into_send();
        if !in_frame {
            if instance.slice() == Slice::Unbounded {
                // An engine without epochs has no slices; the script then has its worker to itself.
                let _ = instance.set_slice(Slice::Time(TURN));
            }
            AsyncComputeJobs.submit(future.to_job()?);
        }
        Ok(future)
    });
    let future = future.map_err(|source| ScriptError::Call {
        module: module.map_or_else(|| "".into(), WasmModule::shared_name),
        entry: script.entry.clone(),
        source,
    })?;
    call.hungry = false;
    call.state = State::Running(Running { instance, future, in_frame });
    Ok(())
}
