//! A creature that walks: the program of the book's page on Bevy.

use bevy_app::{App, AppExit, ScheduleRunnerPlugin, Startup, TaskPoolPlugin, Update};
use bevy_asset::{AssetPlugin, AssetServer};
use bevy_ecs::prelude::*;
use bevy_time::TimePlugin;
use bevy_wasm_jobs::wasm_jobs::wasmtime::{self, Caller, Linker};
use bevy_wasm_jobs::{Script, ScriptFinished, ScriptHost, WasmJobsPlugin};
use std::time::Duration;

#[derive(Component, Debug, Default)]
struct Position(f32);

fn main() {
    let sixty = Duration::from_secs_f64(1.0 / 60.0);
    App::new()
        .add_plugins((TaskPoolPlugin::default(), TimePlugin, AssetPlugin::default()))
        .add_plugins(ScheduleRunnerPlugin::run_loop(sixty))
        .add_plugins(WasmJobsPlugin::default().with_linker(host_functions))
        .add_systems(Startup, spawn)
        .add_systems(Update, show)
        .add_observer(|_: On<ScriptFinished>, mut exit: MessageWriter<AppExit>| {
            exit.write(AppExit::Success);
        })
        .run();
}

fn spawn(mut commands: Commands, assets: Res<AssetServer>) {
    commands.spawn((Script::new(assets.load("walk.wat"), "main"), Position::default()));
}

/// What scripts can call, besides `next_frame`, `sleep` and `now`.
fn host_functions(linker: &mut Linker<ScriptHost>) -> wasmtime::Result<()> {
    linker.func_wrap_async("game", "walk", |caller: Caller<'_, ScriptHost>, (by,): (f32,)| {
        let walk = caller.data().with_entity(move |mut entity| {
            if let Some(mut position) = entity.get_mut::<Position>() {
                position.0 += by;
            }
        });
        Box::new(async move { wasmtime::Result::Ok(walk.await?) })
    })?;
    Ok(())
}

fn show(creatures: Query<&Position, Changed<Position>>) {
    for position in &creatures {
        println!("{position:?}");
    }
}
