use crate::support::{AMPLE, FRAME, Game, Position, Reports, WALK, main_of};
use bevy_ecs::entity::Entity;
use bevy_time::{Fixed, Time, TimeUpdateStrategy, Virtual};
use bevy_wasm_jobs::{ScriptOptions, WasmJobsPlugin};

/// A game with a creature that walks.
fn walking() -> (Game, Entity) {
    let mut game = Game::new();
    let entity = game.spawn("walk.wat", &main_of(WALK), ScriptOptions::default());
    game.run_until("it walks", |world| {
        world.get::<Position>(entity).is_some_and(|position| position.0 > 0.0)
    });
    (game, entity)
}

fn walks(game: &mut Game, entity: Entity, frames: usize) -> f32 {
    let before = game.position(entity).0;
    game.frames(frames);
    game.position(entity).0 - before
}

#[test]
fn a_pause_stops_the_time_of_the_guests() {
    let (mut game, entity) = walking();
    game.app.world_mut().resource_mut::<Time<Virtual>>().pause();
    game.frames(1); // the pause takes effect with the next frame
    assert_eq!(walks(&mut game, entity, 30), 0.0);
    game.app.world_mut().resource_mut::<Time<Virtual>>().unpause();
    let walked = walks(&mut game, entity, 60);
    assert!((9.0..=10.01).contains(&walked), "{walked}");
}

#[test]
fn twice_the_speed_is_twice_the_way() {
    let (mut game, entity) = walking();
    let once = walks(&mut game, entity, 30);
    game.app.world_mut().resource_mut::<Time<Virtual>>().set_relative_speed(2.0);
    game.frames(1);
    let twice = walks(&mut game, entity, 30);
    assert!((twice / once - 2.0).abs() < 0.01, "{once}, {twice}");
}

#[test]
fn a_sleep_lasts_for_its_frames_and_no_longer() {
    let mut game = Game::new();
    let body =
        "(call $report (i32.const 1)) (call $sleep (f64.const 0.5)) (call $report (i32.const 2))";
    let entity = game.spawn("sleeps.wat", &main_of(body), ScriptOptions::default());
    game.run_until_report(entity, 1);
    let mut frames = 0;
    while game.reports(entity).len() == 1 {
        game.frames(1);
        frames += 1;
    }
    assert_eq!(frames, 30, "half a second");
}

#[test]
fn a_sleep_does_not_end_while_the_game_is_paused() {
    let mut game = Game::new();
    let body =
        "(call $report (i32.const 1)) (call $sleep (f64.const 0.1)) (call $report (i32.const 2))";
    let entity = game.spawn("sleeps.wat", &main_of(body), ScriptOptions::default());
    game.run_until_report(entity, 1);
    game.app.world_mut().resource_mut::<Time<Virtual>>().pause();
    game.frames(100);
    assert_eq!(game.reports(entity), [1]);
    game.app.world_mut().resource_mut::<Time<Virtual>>().unpause();
    game.run_until_report(entity, 2);
}

#[test]
fn a_sleep_of_no_time_and_of_no_number_ends() {
    let mut game = Game::new();
    let body = "(call $sleep (f64.const 0)) (call $sleep (f64.const -1)) (call $sleep (f64.const nan)) (call $report (i32.const 1))";
    let entity = game.spawn("sleeps.wat", &main_of(body), ScriptOptions::default());
    game.run_until_event(entity, "finished");
    let body =
        "(call $report (i32.const 1)) (call $sleep (f64.const inf)) (call $report (i32.const 2))";
    let entity = game.spawn("sleeps_on.wat", &main_of(body), ScriptOptions::default());
    game.run_until_report(entity, 1);
    game.frames(100);
    assert_eq!(game.reports(entity), [1]);
}

#[test]
fn in_fixed_update_a_frame_of_the_guest_is_a_fixed_step() {
    let mut game = Game::with(WasmJobsPlugin::default().budget(AMPLE).in_fixed_update());
    game.app.insert_resource(Time::<Fixed>::from_hz(120.0));
    let body = "(loop $again (drop (call $next_frame)) (call $report (i32.trunc_f64_s (f64.nearest (f64.mul (call $now) (f64.const 120))))) (br $again))";
    let entity = game.spawn("steps.wat", &main_of(body), ScriptOptions::default());
    game.run_until("it runs", |world| world.resource::<Reports>().0.len() > 2);
    let before = game.reports(entity).len();
    game.frames(60);
    let reports = game.reports(entity);
    let steps = reports.len() - before;
    assert!((118..=122).contains(&steps), "two steps a frame, in a second: {steps}");
    assert!(reports.is_sorted_by(|one, next| one + 1 == *next), "{reports:?}");
}

#[test]
fn guests_see_the_time_of_the_game() {
    let mut game = Game::new();
    game.app.insert_resource(TimeUpdateStrategy::ManualDuration(FRAME));
    let body = "(call $report (i32.trunc_f64_s (f64.mul (call $now) (f64.const 1000))))";
    game.frames(60);
    let entity = game.spawn("tells.wat", &main_of(body), ScriptOptions::default());
    game.run_until_event(entity, "finished");
    let elapsed = game.app.world().resource::<Time<Virtual>>().elapsed();
    let told = u128::try_from(game.reports(entity)[0]).expect("it is positive");
    assert!(told >= 900 && told <= elapsed.as_millis(), "{told}, {elapsed:?}");
}
