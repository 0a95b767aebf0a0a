use crate::support::{Game, Position, Reports, WALK, main_of};
use bevy_wasm_jobs::{RunsIn, ScriptCall, ScriptOptions};

#[test]
fn an_access_gives_its_result_to_the_guest() {
    let mut game = Game::new();
    let body =
        "(call $report (call $number)) (call $report (call $number)) (call $report (call $number))";
    let entity = game.spawn("asks.wat", &main_of(body), ScriptOptions::default());
    game.run_until_event(entity, "finished");
    assert_eq!(game.reports(entity), [0, 1, 2]);
}

#[test]
fn several_accesses_take_place_in_one_frame() {
    let mut game = Game::new();
    let body = "(call $report (i32.const 0)) (drop (call $next_frame))
        (call $report (i32.const 1)) (call $report (i32.const 2)) (call $report (i32.const 3)) (call $report (i32.const 4))";
    let entity = game.spawn("reports.wat", &main_of(body), ScriptOptions::default());
    game.run_until_report(entity, 0);
    game.frames(1);
    assert_eq!(game.reports(entity), [0, 1, 2, 3, 4]);
}

#[test]
fn a_script_in_the_pool_reaches_the_world() {
    let mut game = Game::new();
    let options = ScriptOptions::default().runs_in(RunsIn::AsyncCompute);
    let body = "(call $move_by (f32.const 1) (f32.const 2)) (call $report (call $number))";
    let entity = game.spawn("moves.wat", &main_of(body), options);
    game.run_until_event(entity, "finished");
    assert_eq!(game.position(entity), Position(1.0, 2.0));
    assert_eq!(game.reports(entity), [0]);
}

#[test]
fn a_script_that_despawns_its_entity_ends_there() {
    for runs in [RunsIn::Frame, RunsIn::AsyncCompute] {
        let mut game = Game::new();
        let body = "(call $report (i32.const 1)) (call $despawn) (call $report (i32.const 2))";
        let options = ScriptOptions::default().runs_in(runs);
        let entity = game.spawn("despawns.wat", &main_of(body), options);
        game.run_until("the entity is gone", |world| world.get_entity(entity).is_err());
        game.frames(10);
        assert_eq!(game.reports(entity), [1]);
        assert!(game.events(entity).is_empty());
    }
}

#[test]
fn an_access_of_a_script_whose_entity_goes_away_meanwhile_does_not_run() {
    let mut game = Game::new();
    let options = ScriptOptions::default().runs_in(RunsIn::AsyncCompute);
    // Between two frames, a script in the pool gets to its next access, and waits there.
    let body = "(loop $again (call $report (i32.const 1)) (br $again))";
    let entity = game.spawn("reports.wat", &main_of(body), options);
    game.run_until_report(entity, 1);
    let reports = game.reports(entity).len();
    game.app.world_mut().despawn(entity);
    // Another script that reports shows that the accesses of later frames do take place.
    let other =
        game.spawn("other.wat", &main_of("(call $report (i32.const 2))"), ScriptOptions::default());
    game.run_until_report(other, 2);
    game.frames(5);
    assert!(game.reports(entity).len() <= reports + 1, "at most the one that was on its way");
}

#[test]
fn scripts_whose_entities_go_away_in_an_access_of_another_end_there() {
    let mut game = Game::new();
    let walkers: Vec<_> =
        (0..5).map(|_| game.spawn("walk.wat", &main_of(WALK), ScriptOptions::default())).collect();
    game.run_until("all walk", |world| {
        let walks = |entity| world.get::<Position>(entity).is_some_and(|at| at.0 > 0.0);
        walkers.iter().all(|&entity| walks(entity))
    });
    let body = "(call $despawn_others) (call $report (i32.const 1))";
    let entity = game.spawn("alone.wat", &main_of(body), ScriptOptions::default());
    game.run_until_event(entity, "finished");
    game.frames(5);
    assert_eq!(game.reports(entity), [1]);
    for walker in walkers {
        assert!(game.app.world().get_entity(walker).is_err() && game.events(walker).is_empty());
    }
}

#[test]
fn an_access_that_panics_is_the_failure_of_its_script() {
    let mut game = Game::new();
    let entity = game.spawn("panics.wat", &main_of("(call $panic)"), ScriptOptions::default());
    let walker = game.spawn("walk.wat", &main_of(WALK), ScriptOptions::default());
    let why = game.run_until_event(entity, "failed");
    assert!(why.contains("the access panics"), "{why}");
    game.run_until("the other walks", |world| {
        world.get::<Position>(walker).is_some_and(|position| position.0 > 0.0)
    });
    assert!(game.app.world().get::<ScriptCall>(walker).is_some_and(ScriptCall::is_running));
    assert!(game.app.world().resource::<Reports>().0.is_empty());
}
