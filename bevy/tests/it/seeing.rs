use crate::support::{Game, Position, SPIN, WALK, main_of};
use bevy_diagnostic::{DiagnosticPath, DiagnosticsStore};
use bevy_ecs::prelude::*;
use bevy_wasm_jobs::{Script, ScriptOptions, WasmJobsPlugin};
use std::sync::{Arc, Mutex};
use tracing::span;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

fn value(world: &World, path: &DiagnosticPath) -> f64 {
    world.resource::<DiagnosticsStore>().get_measurement(path).map_or(-1.0, |last| last.value)
}

#[test]
fn the_diagnostics_count_the_scripts_and_their_time() {
    let mut game = Game::with(WasmJobsPlugin::default());
    let walker = game.spawn("walk.wat", &main_of(WALK), ScriptOptions::default());
    let spinner = game.spawn("spin.wat", &main_of(SPIN), ScriptOptions::default());
    game.run_until("both run", |world| {
        value(world, &WasmJobsPlugin::RUNNING) == 2.0
            && value(world, &WasmJobsPlugin::HUNGRY) == 1.0
    });
    let time = value(game.app.world(), &WasmJobsPlugin::TIME);
    assert!(time >= 1.9, "the spinner uses up the budget of 2 ms: {time}");
    assert!(value(game.app.world(), &WasmJobsPlugin::OVERSHOOT) >= 0.0);
    game.app.world_mut().despawn(walker);
    game.app.world_mut().entity_mut(spinner).remove::<Script>();
    game.frames(1);
    assert_eq!(value(game.app.world(), &WasmJobsPlugin::RUNNING), 0.0);
}

/// Notes the names that the library's steps have.
#[derive(Clone, Default)]
struct Steps(Arc<Mutex<Vec<String>>>);

struct Name<'a>(&'a mut Option<String>);

impl tracing::field::Visit for Name<'_> {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "name" {
            *self.0 = Some(format!("{value:?}"));
        }
    }
}

impl<S: tracing::Subscriber> Layer<S> for Steps {
    fn on_new_span(&self, span: &span::Attributes<'_>, _: &span::Id, _: Context<'_, S>) {
        if span.metadata().target() == "wasm_jobs" && span.metadata().name() == "step" {
            let mut name = None;
            span.record(&mut Name(&mut name));
            self.0.lock().expect("no test panics with it").extend(name);
        }
    }
}

#[test]
fn steps_are_spans_with_the_entry_and_the_entity() {
    let steps = Steps::default();
    // For this thread and for those of Bevy's pools: exclusive systems run on any of them.
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(steps.clone()))
        .expect("no other test sets one");
    let mut game = Game::new();
    let entity = game.spawn("walk.wat", &main_of(WALK), ScriptOptions::default());
    game.run_until("it walks", |world| {
        world.get::<Position>(entity).is_some_and(|position| position.0 > 0.0)
    });
    let wanted = format!("main of entity {entity}");
    let names = steps.0.lock().expect("no test panics with it");
    assert!(names.iter().any(|name| name.contains(&wanted)), "{wanted}: {names:?}");
}
