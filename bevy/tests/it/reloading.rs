use crate::support::{Game, Reports, SPIN, main_of};
use bevy_asset::Assets;
use bevy_diagnostic::DiagnosticsStore;
use bevy_wasm_jobs::{
    ReloadPolicy, RunsIn, Script, ScriptLinker, ScriptOptions, WasmJobsPlugin, WasmModule,
};

fn with(policy: ReloadPolicy) -> ScriptOptions {
    ScriptOptions::default().on_reload(policy)
}

/// Reports a number, and waits for ever.
fn waits(number: i32) -> String {
    main_of(&format!("(call $report (i32.const {number})) (call $sleep (f64.const 1e9))"))
}

/// Adds `by` to its memory and its global, reports both, and waits for ever.
fn adds(by: i32) -> String {
    main_of(&format!(
        "(global.set $g (i32.add (global.get $g) (i32.const {by})))
        (i32.store (i32.const 16) (i32.add (i32.load (i32.const 16)) (i32.const {by})))
        (call $report (i32.add (i32.mul (global.get $g) (i32.const 1000)) (i32.load (i32.const 16))))
        (call $sleep (f64.const 1e9))"
    ))
}

#[test]
fn restart_cancels_a_call_that_waits_and_begins_anew() {
    let mut game = Game::new();
    let entity = game.spawn("a.wat", &waits(1), with(ReloadPolicy::Restart));
    game.run_until_report(entity, 1);
    game.rewrite("a.wat", waits(2));
    game.run_until_report(entity, 2);
    assert_eq!(game.events(entity), ["reloaded, cancelled"]);
    game.frames(5);
    assert_eq!(game.reports(entity), [1, 2]);
}

#[test]
fn restart_cancels_a_call_that_loops_in_the_pool() {
    let mut game = Game::new();
    let spins = main_of(&format!("(call $report (i32.const 1)) {SPIN}"));
    let options = with(ReloadPolicy::Restart).runs_in(RunsIn::AsyncCompute);
    let entity = game.spawn("a.wat", &spins, options);
    game.run_until_report(entity, 1);
    game.rewrite("a.wat", main_of("(call $report (i32.const 2))"));
    game.run_until_event(entity, "finished");
    assert_eq!(game.events(entity), ["reloaded, cancelled", "finished"]);
    assert_eq!(game.reports(entity), [1, 2]);
}

#[test]
fn restart_cancels_a_call_that_waits_in_the_pool() {
    let mut game = Game::new();
    let options = with(ReloadPolicy::Restart).runs_in(RunsIn::AsyncCompute);
    let entity = game.spawn("a.wat", &waits(1), options);
    game.run_until_report(entity, 1);
    game.rewrite("a.wat", waits(2));
    game.run_until_report(entity, 2);
    assert_eq!(game.events(entity), ["reloaded, cancelled"]);
}

#[test]
fn next_call_lets_the_old_call_end_and_shows_it_meanwhile() {
    let mut game = Game::new();
    let old = main_of(
        "(call $report (i32.const 1)) (call $sleep (f64.const 2)) (call $report (i32.const 2))",
    );
    let entity = game.spawn("a.wat", &old, with(ReloadPolicy::NextCall).repeat(true));
    game.run_until_report(entity, 1);
    game.rewrite("a.wat", waits(3));
    // The old call sleeps for 120 frames of the game, and loading takes less than that, or the frames below would not see it.
    let mut seen = 0.0_f64;
    game.run_until("the new call", |world| {
        let old = world.resource::<DiagnosticsStore>().get_measurement(&WasmJobsPlugin::OLD_MODULE);
        seen = seen.max(old.map_or(0.0, |old| old.value));
        world.resource::<Reports>().0.contains(&(entity, 3))
    });
    let reports = game.reports(entity);
    assert_eq!(reports[..2], [1, 2], "the old call got to its end");
    assert_eq!(reports.last(), Some(&3));
    let events = game.events(entity);
    assert_eq!(events.last().map(String::as_str), Some("reloaded"));
    assert!(!events.contains(&"reloaded, cancelled".to_owned()));
    game.frames(2);
    let store = game.app.world().resource::<DiagnosticsStore>();
    let old = store.get_measurement(&WasmJobsPlugin::OLD_MODULE).expect("it is measured");
    assert_eq!(old.value, 0.0, "no call of the old module is left");
}

#[test]
fn a_call_of_the_old_module_counts_as_one_until_it_ends() {
    let mut game = Game::new();
    let entity = game.spawn("a.wat", &waits(1), with(ReloadPolicy::NextCall));
    game.run_until_report(entity, 1);
    game.rewrite("a.wat", waits(2));
    game.run_until("the old call is shown", |world| {
        let old = world.resource::<DiagnosticsStore>().get_measurement(&WasmJobsPlugin::OLD_MODULE);
        old.is_some_and(|old| old.value == 1.0)
    });
    assert_eq!(game.reports(entity), [1]);
    assert!(game.events(entity).is_empty());
}

#[test]
fn keep_memory_gives_the_new_guest_the_memory_of_the_old() {
    let mut game = Game::new();
    let entity = game.spawn("a.wat", &adds(1), with(ReloadPolicy::KeepMemory));
    game.run_until_report(entity, 1001);
    game.rewrite("a.wat", adds(10));
    game.run_until_report(entity, 10_011); // the memory has 1 + 10, and the global begins anew
    assert_eq!(game.events(entity), ["reloaded, cancelled"]);
    game.rewrite("a.wat", adds(100));
    game.run_until_report(entity, 100_111);
}

#[test]
fn keep_memory_grows_the_new_memory_to_the_size_of_the_old() {
    let mut game = Game::new();
    let old = main_of(
        "(drop (memory.grow (i32.const 3)))
        (i32.store (i32.const 250000) (i32.const 42))
        (call $report (i32.const 1))
        (call $sleep (f64.const 1e9))",
    );
    let entity = game.spawn("a.wat", &old, with(ReloadPolicy::KeepMemory));
    game.run_until_report(entity, 1);
    game.rewrite("a.wat", main_of("(call $report (i32.load (i32.const 250000)))"));
    game.run_until_report(entity, 42);
}

#[test]
fn keep_memory_that_cannot_fit_fails_with_the_size() {
    let mut game = Game::new();
    let old = main_of(
        "(drop (memory.grow (i32.const 1))) (call $report (i32.const 1)) (call $sleep (f64.const 1e9))",
    );
    let entity = game.spawn("a.wat", &old, with(ReloadPolicy::KeepMemory));
    game.run_until_report(entity, 1);
    game.rewrite("a.wat", "(module (memory (export \"memory\") 1 1) (func (export \"main\")))");
    let why = game.run_until_event(entity, "failed");
    assert!(why.contains("a.wat: the memory of 131072 bytes cannot be kept"), "{why}");
}

#[test]
fn a_reload_that_is_no_module_leaves_the_old_call_alone() {
    let mut game = Game::new();
    let counts = main_of(
        "(loop $again
            (global.set $g (i32.add (global.get $g) (i32.const 1)))
            (call $report (global.get $g)) (drop (call $next_frame)) (br $again))",
    );
    let entity = game.spawn("a.wat", &counts, with(ReloadPolicy::Restart));
    game.run_until_report(entity, 1);
    game.rewrite("a.wat", "(module (mistake))");
    let reports = game.reports(entity).len() as i32;
    game.run_until_report(entity, reports + 100);
    assert!(game.events(entity).is_empty());
}

#[test]
fn a_script_that_has_failed_begins_anew_with_the_next_version() {
    let mut game = Game::new();
    let entity = game.spawn("a.wat", &main_of("unreachable"), with(ReloadPolicy::Restart));
    game.run_until_event(entity, "trapped");
    game.rewrite("a.wat", main_of("(call $report (i32.const 1))"));
    game.run_until_event(entity, "finished");
    assert_eq!(game.reports(entity), [1]);
}

#[test]
fn a_script_whose_module_was_no_module_begins_with_the_version_that_is_one() {
    let mut game = Game::new();
    let entity = game.spawn("a.wat", "nonsense", with(ReloadPolicy::Restart));
    game.run_until_event(entity, "failed");
    game.rewrite("a.wat", main_of("(call $report (i32.const 1))"));
    game.run_until_event(entity, "finished");
    assert_eq!(game.reports(entity), [1]);
}

#[test]
fn a_reload_that_lacks_the_entry_says_so() {
    let mut game = Game::new();
    let entity = game.spawn("a.wat", &waits(1), with(ReloadPolicy::Restart));
    game.run_until_report(entity, 1);
    game.rewrite("a.wat", "(module (func (export \"other\")))");
    let why = game.run_until_event(entity, "failed");
    assert!(why.contains("a.wat: no export \"main\"") && why.contains("other"), "{why}");
}

#[test]
fn a_module_without_a_file_is_replaced_by_another_under_its_handle() {
    let mut game = Game::new();
    let linker = game.app.world().resource::<ScriptLinker>().clone();
    let make = |number: i32| {
        WasmModule::new(&linker, "made", waits(number).as_bytes()).expect("it is a module")
    };
    let handle = game.app.world_mut().resource_mut::<Assets<WasmModule>>().add(make(1));
    let entity = game.app.world_mut().spawn(Script::new(handle.clone(), "main")).id();
    game.run_until_report(entity, 1);
    let mut modules = game.app.world_mut().resource_mut::<Assets<WasmModule>>();
    modules.insert(&handle, make(2)).expect("the handle is there");
    game.run_until_report(entity, 2);
    assert_eq!(game.events(entity), ["reloaded, cancelled"]);
}

#[test]
fn a_script_that_has_finished_stays_finished() {
    let mut game = Game::new();
    let entity =
        game.spawn("a.wat", &main_of("(call $report (i32.const 1))"), with(ReloadPolicy::Restart));
    game.run_until_event(entity, "finished");
    let other =
        game.spawn("a.wat", &main_of("(call $report (i32.const 2))"), with(ReloadPolicy::Restart));
    game.run_until_event(other, "finished");
    game.rewrite("a.wat", main_of("(call $report (i32.const 3))"));
    let third = game.spawn("b.wat", &waits(4), with(ReloadPolicy::Restart));
    game.run_until_report(third, 4);
    game.frames(10);
    assert_eq!(game.events(entity), ["finished"]);
}
