//! The scripts of `bevy_wasm_jobs`.

use bevy_app_20::{App, TaskPoolPlugin};
use bevy_asset_20::{AssetPlugin, Assets};
use bevy_ecs_20::component::{Mutable, StorageType};
use bevy_ecs_20::prelude::*;
use bevy_time_20::TimePlugin;
use bevy_wasm_jobs::wasm_jobs::wasmtime::{self, Caller, Linker};
use bevy_wasm_jobs::{Script, ScriptHost, ScriptLinker, WasmJobsPlugin, WasmModule};
use std::time::Duration;

#[derive(Default)]
struct Position(f32, f32);

impl Component for Position {
    const STORAGE_TYPE: StorageType = StorageType::Table;
    type Mutability = Mutable;
}

const SCRIPT: &str = r#"(module
    (import "bevy" "next_frame" (func $next_frame (result f32)))
    (import "game" "move_by" (func $move_by (param f32 f32)))
    (func (export "main")
        (loop $again
            (drop (call $next_frame))
            (call $move_by (f32.const 1) (f32.const 2))
            (br $again))))"#;

pub(crate) fn frames(scripts: usize) -> impl FnMut() {
    let mut app = App::new();
    app.add_plugins((TaskPoolPlugin::default(), TimePlugin, AssetPlugin::default()));
    app.add_plugins(
        WasmJobsPlugin::default().budget(Duration::from_secs(1)).with_linker(host_functions),
    );
    let linker = app.world().resource::<ScriptLinker>().clone();
    let module = WasmModule::new(&linker, "moves", SCRIPT.as_bytes()).expect("it is a module");
    let module = app.world_mut().resource_mut::<Assets<WasmModule>>().add(module);
    for _ in 0..scripts {
        app.world_mut().spawn((Script::new(module.clone(), "main"), Position::default()));
    }
    let mut positions = app.world_mut().query::<&Position>();
    while !positions.iter(app.world()).all(|position| position.0 > 10.0) {
        app.update();
    }
    move || app.update()
}

fn host_functions(linker: &mut Linker<ScriptHost>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        "game",
        "move_by",
        |caller: Caller<'_, ScriptHost>, (x, y): (f32, f32)| {
            let moves = caller.data().with_entity(move |mut entity| {
                if let Some(mut position) = entity.get_mut::<Position>() {
                    position.0 += x;
                    position.1 += y;
                }
            });
            Box::new(async move { wasmtime::Result::Ok(moves.await?) })
        },
    )?;
    Ok(())
}
