//! The systems of [`Collect`](crate::WasmJobsSystems::Collect): results become events, and what the scripts do becomes diagnostics.

use crate::call::{End, ScriptCall, State};
use crate::error::ScriptError;
use crate::events::{ScriptFailed, ScriptFinished, ScriptTrapped};
use crate::module::WasmModule;
use crate::plugin::WasmJobsPlugin;
use crate::script::Script;
use crate::tick::ScriptBudget;
use bevy_asset::Assets;
use bevy_diagnostic::Diagnostics;
use bevy_ecs::entity::Entity;
use bevy_ecs::system::{Commands, Query, Res};
use std::mem;
use wasm_jobs::Error;

pub(crate) fn collect(
    mut scripts: Query<'_, '_, (Entity, &Script, &mut ScriptCall)>,
    modules: Res<'_, Assets<WasmModule>>,
    mut commands: Commands<'_, '_>,
) {
    for (entity, script, mut call) in &mut scripts {
        if !matches!(&call.state, State::Running(running) if running.future.has_result()) {
            continue;
        }
        let State::Running(mut running) = mem::take(&mut call.state) else { continue };
        let error = match running.future.try_get_result() {
            Ok(_) => {
                call.state = if script.options.repeat {
                    State::Idle(running.instance)
                } else {
                    State::Ended(End::Finished)
                };
                commands.trigger(ScriptFinished { entity });
                continue;
            }
            Err(error) => error,
        };
        call.state = State::Ended(End::Failed);
        let name = modules.get(&script.module).map_or_else(|| "".into(), WasmModule::shared_name);
        match error {
            Error::Trap(trap) => {
                bevy_log::error!(
                    "script of entity {entity}: {name}, entry {:?}: {trap}",
                    script.entry
                );
                commands.trigger(ScriptTrapped { entity, trap });
            }
            source => {
                let entry = script.entry.clone();
                let error = ScriptError::Call { module: name, entry, source };
                bevy_log::error!("script of entity {entity}: {error}");
                commands.trigger(ScriptFailed { entity, error });
            }
        }
    }
}

pub(crate) fn diagnose(
    scripts: Query<'_, '_, (&Script, &ScriptCall)>,
    modules: Res<'_, Assets<WasmModule>>,
    budget: Res<'_, ScriptBudget>,
    mut diagnostics: Diagnostics<'_, '_>,
) {
    let (mut running, mut hungry, mut old) = (0_u32, 0_u32, 0_u32);
    for (script, call) in scripts.iter().filter(|(_, call)| call.is_running()) {
        running += 1;
        hungry += u32::from(call.hungry);
        let current = modules.get(&script.module).map(WasmModule::version);
        old += u32::from(current.is_some_and(|version| version != call.version));
    }
    diagnostics.add_measurement(&WasmJobsPlugin::RUNNING, || running.into());
    diagnostics.add_measurement(&WasmJobsPlugin::HUNGRY, || hungry.into());
    diagnostics.add_measurement(&WasmJobsPlugin::OLD_MODULE, || old.into());
    diagnostics.add_measurement(&WasmJobsPlugin::TIME, || budget.used.as_secs_f64() * 1e3);
    diagnostics
        .add_measurement(&WasmJobsPlugin::OVERSHOOT, || budget.overshoot().as_secs_f64() * 1e3);
}
