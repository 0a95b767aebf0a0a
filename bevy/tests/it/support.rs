//! A game without a window: its assets are in memory, and each frame takes a sixtieth of a second of its time.

use bevy_app::{App, TaskPoolPlugin};
use bevy_asset::io::memory::{Dir, MemoryAssetReader};
use bevy_asset::io::{AssetSourceBuilder, AssetSourceId};
use bevy_asset::{AssetApp, AssetPlugin, AssetServer, Handle};
use bevy_diagnostic::DiagnosticsPlugin;
use bevy_ecs::prelude::*;
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use bevy_wasm_jobs::wasm_jobs::wasmtime::{self, Caller, Linker};
use bevy_wasm_jobs::{
    Script, ScriptFailed, ScriptFinished, ScriptHost, ScriptOptions, ScriptReloaded, ScriptTrapped,
    WasmJobsPlugin, WasmModule,
};
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) const FRAME: Duration = Duration::from_micros(16_667);

/// A budget for tests that count frames.
pub(crate) const AMPLE: Duration = Duration::from_secs(10);

/// Where a creature is.
#[derive(Component, Debug, Default, Clone, Copy, PartialEq)]
pub(crate) struct Position(pub(crate) f32, pub(crate) f32);

/// What guests have reported, with the entity.
#[derive(Resource, Default)]
pub(crate) struct Reports(pub(crate) Vec<(Entity, i32)>);

/// The events of scripts, in words.
#[derive(Resource, Default)]
pub(crate) struct Happened(pub(crate) Vec<(Entity, String)>);

pub(crate) struct Game {
    pub(crate) app: App,
    files: Dir,
}

impl Game {
    /// A game whose budget no script uses up, also where the machine is busy.
    pub(crate) fn new() -> Self {
        Self::with(WasmJobsPlugin::default().budget(AMPLE))
    }

    pub(crate) fn with(plugin: WasmJobsPlugin) -> Self {
        let files = Dir::default();
        let root = files.clone();
        let mut app = App::new();
        app.register_asset_source(
            AssetSourceId::Default,
            AssetSourceBuilder::new(move || Box::new(MemoryAssetReader { root: root.clone() })),
        )
        .add_plugins((
            TaskPoolPlugin::default(),
            TimePlugin,
            AssetPlugin { watch_for_changes_override: Some(false), ..AssetPlugin::default() },
            DiagnosticsPlugin,
        ))
        .add_plugins(plugin.with_linker(host_functions))
        .insert_resource(TimeUpdateStrategy::ManualDuration(FRAME))
        .init_resource::<Reports>()
        .init_resource::<Happened>()
        .add_observer(|event: On<ScriptFinished>, mut happened: ResMut<Happened>| {
            happened.0.push((event.entity, "finished".to_owned()));
        })
        .add_observer(|event: On<ScriptFailed>, mut happened: ResMut<Happened>| {
            happened.0.push((event.entity, format!("failed: {}", event.error)));
        })
        .add_observer(|event: On<ScriptTrapped>, mut happened: ResMut<Happened>| {
            happened.0.push((event.entity, format!("trapped: {}", event.trap)));
        })
        .add_observer(|event: On<ScriptReloaded>, mut happened: ResMut<Happened>| {
            let what = if event.cancelled { "reloaded, cancelled" } else { "reloaded" };
            happened.0.push((event.entity, what.to_owned()));
        });
        Self { app, files }
    }

    /// Writes an asset.
    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        self.files.insert_asset(Path::new(path), bytes.as_ref().to_vec());
    }

    /// Writes an asset whose older version is loaded, and has it loaded again.
    pub(crate) fn rewrite(&self, path: &str, bytes: impl AsRef<[u8]>) {
        self.write(path, bytes);
        self.app.world().resource::<AssetServer>().reload(path.to_owned());
    }

    pub(crate) fn load(&self, path: &str) -> Handle<WasmModule> {
        self.app.world().resource::<AssetServer>().load(path.to_owned())
    }

    /// Writes a module, and spawns an entity with a script of it.
    pub(crate) fn spawn(&mut self, path: &str, text: &str, options: ScriptOptions) -> Entity {
        self.write(path, text);
        let script = Script::new(self.load(path), "main").with_options(options);
        self.app.world_mut().spawn((script, Position::default())).id()
    }

    /// Runs frames until `condition` holds. What it waits for happens on other threads, too, and these have no frames: so the
    /// limit is a time, and one that no machine needs.
    pub(crate) fn run_until(&mut self, what: &str, mut condition: impl FnMut(&mut World) -> bool) {
        let begins = Instant::now();
        while !condition(self.app.world_mut()) {
            assert!(
                begins.elapsed() < Duration::from_secs(60),
                "never: {what}; happened: {:?}",
                self.app.world().resource::<Happened>().0
            );
            self.app.update();
            std::thread::yield_now();
        }
    }

    /// Runs frames until the entity has had such an event.
    pub(crate) fn run_until_event(&mut self, entity: Entity, begins_with: &str) -> String {
        self.run_until(begins_with, |world| event(world, entity, begins_with).is_some());
        event(self.app.world(), entity, begins_with).expect("it has happened")
    }

    /// Runs frames until a guest has reported this number.
    pub(crate) fn run_until_report(&mut self, entity: Entity, number: i32) {
        self.run_until(&format!("report {number}"), |world| {
            world.resource::<Reports>().0.contains(&(entity, number))
        });
    }

    pub(crate) fn frames(&mut self, count: usize) {
        for _ in 0..count {
            self.app.update();
        }
    }

    pub(crate) fn reports(&self, entity: Entity) -> Vec<i32> {
        let reports = &self.app.world().resource::<Reports>().0;
        reports.iter().filter(|(of, _)| *of == entity).map(|(_, number)| *number).collect()
    }

    pub(crate) fn events(&self, entity: Entity) -> Vec<String> {
        let happened = &self.app.world().resource::<Happened>().0;
        happened.iter().filter(|(of, _)| *of == entity).map(|(_, what)| what.clone()).collect()
    }

    pub(crate) fn position(&self, entity: Entity) -> Position {
        *self.app.world().get::<Position>(entity).expect("the entity has a position")
    }
}

fn event(world: &World, entity: Entity, begins_with: &str) -> Option<String> {
    let happened = &world.resource::<Happened>().0;
    let found = happened.iter().find(|(of, what)| *of == entity && what.starts_with(begins_with));
    found.map(|(_, what)| what.clone())
}

/// `move_by` changes the position. `report` notes a number in the world. `number` gives how many reports there are. `despawn` removes the
/// script's entity, and `despawn_others` all others that have a position. `panic` panics while it has the world.
fn host_functions(linker: &mut Linker<ScriptHost>) -> wasmtime::Result<()> {
    type Host<'a> = Caller<'a, ScriptHost>;
    linker.func_wrap_async("game", "move_by", |caller: Host<'_>, (x, y): (f32, f32)| {
        let moves = caller.data().with_entity(move |mut entity| {
            if let Some(mut position) = entity.get_mut::<Position>() {
                position.0 += x;
                position.1 += y;
            }
        });
        Box::new(async move { wasmtime::Result::Ok(moves.await?) })
    })?;
    linker.func_wrap_async("game", "report", |caller: Host<'_>, (number,): (i32,)| {
        let entity = caller.data().entity();
        Box::new(caller.data().with_world(move |world| {
            world.resource_mut::<Reports>().0.push((entity, number));
        }))
    })?;
    linker.func_wrap_async("game", "number", |caller: Host<'_>, ()| {
        Box::new(caller.data().with_world(|world| world.resource::<Reports>().0.len() as i32))
    })?;
    linker.func_wrap_async("game", "despawn", |caller: Host<'_>, ()| {
        let despawns = caller.data().with_entity(|entity| entity.despawn());
        Box::new(async move { wasmtime::Result::Ok(despawns.await?) })
    })?;
    linker.func_wrap_async("game", "despawn_others", |caller: Host<'_>, ()| {
        let this = caller.data().entity();
        Box::new(caller.data().with_world(move |world| {
            let mut all = world.query_filtered::<Entity, With<Position>>();
            let others: Vec<_> = all.iter(world).filter(|entity| *entity != this).collect();
            for entity in others {
                world.despawn(entity);
            }
        }))
    })?;
    linker.func_wrap_async("game", "panic", |caller: Host<'_>, ()| {
        Box::new(caller.data().with_world(|_| -> () { panic!("the access panics") }))
    })?;
    linker.func_wrap("game", "refuse", |_: Host<'_>| -> wasmtime::Result<()> {
        Err(wasmtime::Error::msg("the host refuses"))
    })?;
    Ok(())
}

/// A module with all imports of the tests, a memory, a global `$g`, and these functions.
pub(crate) fn module(functions: &str) -> String {
    format!(
        r#"(module
            (import "bevy" "next_frame" (func $next_frame (result f32)))
            (import "bevy" "sleep" (func $sleep (param f64)))
            (import "bevy" "now" (func $now (result f64)))
            (import "game" "move_by" (func $move_by (param f32 f32)))
            (import "game" "report" (func $report (param i32)))
            (import "game" "number" (func $number (result i32)))
            (import "game" "despawn" (func $despawn))
            (import "game" "despawn_others" (func $despawn_others))
            (import "game" "panic" (func $panic))
            (import "game" "refuse" (func $refuse))
            (memory (export "memory") 1)
            (global $g (mut i32) (i32.const 0))
            {functions})"#
    )
}

/// A module whose entry has this body.
pub(crate) fn main_of(body: &str) -> String {
    module(&format!(r#"(func (export "main") {body})"#))
}

/// Moves by ten a second to the right, for ever.
pub(crate) const WALK: &str = "(loop $again
    (call $move_by (f32.mul (call $next_frame) (f32.const 10)) (f32.const 0))
    (br $again))";

/// Loops for ever, and never waits.
pub(crate) const SPIN: &str = "(loop $again (br $again))";
