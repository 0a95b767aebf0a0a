//! The mods of wasvy.

use bevy_app::{App, Startup, TaskPoolPlugin, Update};
use bevy_asset::io::memory::{Dir, MemoryAssetReader};
use bevy_asset::io::{AssetSourceBuilder, AssetSourceId};
use bevy_asset::{AssetApp, AssetPlugin};
use bevy_ecs::prelude::*;
use bevy_reflect::{Reflect, TypePath};
use std::path::Path;
use wasvy::prelude::*;

#[derive(Component, Reflect, Clone, Copy, PartialEq, Debug)]
#[reflect(Component)]
struct Position(f32, f32);

/// What each mod sets the component to, and the same as JSON.
const SET: Position = Position(1.5, 2.5);
const SET_JSON: &str = "[1.5,2.5]";

/// Its `setup` adds the system `tick` with a query of the component. `tick` gets the component of the first entity, and sets it.
fn component() -> Vec<u8> {
    let path = Position::type_path();
    let (path_length, json_length) = (path.len(), SET_JSON.len());
    let json = SET_JSON;
    let text = format!(
        r#"(component
        (import "wasvy:ecs/app@0.0.9" (instance $app
            (export "app" (type $app (sub resource)))
            (export "system" (type $system (sub resource)))
            (export "query" (type $query (sub resource)))
            (export "query-result" (type $query-result (sub resource)))
            (export "component" (type $component (sub resource)))
            (type $schedule-type (variant
                (case "mod-startup") (case "pre-update") (case "update") (case "post-update")
                (case "fixed-pre-update") (case "fixed-update") (case "fixed-post-update")
                (case "custom" string)))
            (export "schedule" (type $schedule (eq $schedule-type)))
            (type $query-for-type (variant
                (case "ref" string) (case "mut" string) (case "with" string) (case "without" string)))
            (export "query-for" (type $query-for (eq $query-for-type)))
            (export "[constructor]system" (func (param "name" string) (result (own $system))))
            (export "[method]system.add-query" (func (param "self" (borrow $system)) (param "query" (list $query-for))))
            (export "[method]app.add-systems" (func
                (param "self" (borrow $app)) (param "schedule" $schedule) (param "systems" (list (borrow $system)))))
            (export "[method]query.iter" (func (param "self" (borrow $query)) (result (option (own $query-result)))))
            (export "[method]query-result.component" (func
                (param "self" (borrow $query-result)) (param "index" u8) (result (own $component))))
            (export "[method]component.get" (func (param "self" (borrow $component)) (result (list u8))))
            (export "[method]component.set" (func (param "self" (borrow $component)) (param "value" (list u8))))))
        (alias export $app "app" (type $app-resource))
        (alias export $app "query" (type $query-resource))
        (core module $memory
            (memory (export "memory") 1)
            (data (i32.const 0) "tick")
            (data (i32.const 100) "{json_text}")
            (data (i32.const 200) "{path}")
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096)))
        (core instance $memory (instantiate $memory))
        (core func $new-system (canon lower (func $app "[constructor]system") (memory $memory "memory")))
        (core func $add-query (canon lower (func $app "[method]system.add-query") (memory $memory "memory")))
        (core func $add-systems (canon lower (func $app "[method]app.add-systems") (memory $memory "memory")))
        (core func $iter (canon lower (func $app "[method]query.iter") (memory $memory "memory")))
        (core func $component (canon lower (func $app "[method]query-result.component")))
        (core func $get (canon lower (func $app "[method]component.get")
            (memory $memory "memory") (realloc (func $memory "realloc"))))
        (core func $set (canon lower (func $app "[method]component.set") (memory $memory "memory")))
        (core module $main
            (import "memory" "memory" (memory 1))
            (import "app" "new-system" (func $new-system (param i32 i32) (result i32)))
            (import "app" "add-query" (func $add-query (param i32 i32 i32)))
            (import "app" "add-systems" (func $add-systems (param i32 i32 i32 i32 i32 i32)))
            (import "app" "iter" (func $iter (param i32 i32)))
            (import "app" "component" (func $component (param i32 i32) (result i32)))
            (import "app" "get" (func $get (param i32 i32)))
            (import "app" "set" (func $set (param i32 i32 i32)))
            (func (export "setup") (param $app i32)
                (local $system i32)
                (local.set $system (call $new-system (i32.const 0) (i32.const 4)))
                (i32.store8 (i32.const 1000) (i32.const 1)) ;; mut
                (i32.store (i32.const 1004) (i32.const 200))
                (i32.store (i32.const 1008) (i32.const {path_length}))
                (call $add-query (local.get $system) (i32.const 1000) (i32.const 1))
                (i32.store (i32.const 1012) (local.get $system))
                (call $add-systems (local.get $app) (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 1012) (i32.const 1)))
            (func (export "tick") (param $query i32)
                (local $component i32)
                (call $iter (local.get $query) (i32.const 1020))
                (if (i32.eqz (i32.load8_u (i32.const 1020))) (then (return)))
                (local.set $component (call $component (i32.load (i32.const 1024)) (i32.const 0)))
                (call $get (local.get $component) (i32.const 1028))
                (call $set (local.get $component) (i32.const 100) (i32.const {json_length}))))
        (core instance $main (instantiate $main
            (with "memory" (instance $memory))
            (with "app" (instance
                (export "new-system" (func $new-system))
                (export "add-query" (func $add-query))
                (export "add-systems" (func $add-systems))
                (export "iter" (func $iter))
                (export "component" (func $component))
                (export "get" (func $get))
                (export "set" (func $set))))))
        (func (export "setup") (param "app" (own $app-resource)) (canon lift (core func $main "setup")))
        (func (export "tick") (param "query" (own $query-resource)) (canon lift (core func $main "tick"))))"#,
        json_text = json
    );
    wat::parse_str(text).expect("the component is valid text")
}

pub(crate) fn frames(scripts: usize) -> impl FnMut() {
    let files = Dir::default();
    // wasvy sets up one mod of each asset.
    for n in 0..scripts {
        files.insert_asset(Path::new(&format!("tick{n}.wasm")), component());
    }
    let mut app = App::new();
    app.register_asset_source(
        AssetSourceId::Default,
        AssetSourceBuilder::new(move || Box::new(MemoryAssetReader { root: files.clone() })),
    )
    .add_plugins((TaskPoolPlugin::default(), AssetPlugin::default()))
    .add_plugins(ModLoaderPlugin::default())
    .register_type::<Position>()
    .add_systems(Startup, move |mut mods: Mods| {
        for n in 0..scripts {
            mods.load(format!("tick{n}.wasm"));
        }
    });
    let entity = app.world_mut().spawn(Position(0.0, 0.0)).id();
    let position = |app: &App| app.world().get::<Position>(entity).copied();
    let systems = |app: &App| {
        app.world().resource::<Schedules>().get(Update).map_or(0, Schedule::systems_len)
    };
    while scripts > 0 && (systems(&app) < scripts || position(&app) != Some(SET)) {
        app.update();
    }
    move || app.update()
}
