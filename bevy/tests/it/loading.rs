use crate::support::{Game, main_of, module};
use bevy_asset::{AssetServer, Assets};
use bevy_wasm_jobs::wasm_jobs::InstanceOptions;
use bevy_wasm_jobs::{
    Script, ScriptCall, ScriptLinker, ScriptOptions, WasmModule, WasmModuleError,
};

fn failure(bytes: impl AsRef<[u8]>, path: &str) -> String {
    let mut game = Game::new();
    game.write(path, bytes);
    let script = Script::new(game.load(path), "main");
    let entity = game.app.world_mut().spawn(script).id();
    let why = game.run_until_event(entity, "failed");
    assert!(game.app.world().get::<ScriptCall>(entity).is_some_and(ScriptCall::has_ended));
    game.frames(3);
    assert_eq!(game.events(entity).len(), 1, "it fails once");
    why
}

#[test]
fn a_script_runs_once_its_text_module_is_loaded() {
    let mut game = Game::new();
    let text = main_of("(call $report (i32.const 7))");
    let entity = game.spawn("script.wat", &text, ScriptOptions::default());
    game.run_until_event(entity, "finished");
    assert_eq!(game.reports(entity), [7]);
    assert!(game.app.world().get::<ScriptCall>(entity).is_some_and(ScriptCall::has_ended));
}

#[test]
fn a_script_runs_once_its_binary_module_is_loaded() {
    let mut game = Game::new();
    let binary = wat::parse_str(main_of("(call $report (i32.const 8))")).expect("it is valid text");
    game.write("script.wasm", binary);
    let script = Script::new(game.load("script.wasm"), "main");
    let entity = game.app.world_mut().spawn(script).id();
    game.run_until_event(entity, "finished");
    assert_eq!(game.reports(entity), [8]);
}

#[test]
fn an_asset_that_is_no_wasm_says_so_with_its_name() {
    let why = failure(b"\x89PNG\r\n", "picture.wasm");
    assert!(why.contains("picture.wasm: its 6 bytes are no WebAssembly"), "{why}");
}

#[test]
fn an_empty_asset_says_so_with_its_name() {
    let why = failure(b"", "empty.wasm");
    assert!(why.contains("empty.wasm: its 0 bytes are no WebAssembly"), "{why}");
}

#[test]
fn a_text_with_a_mistake_names_the_line() {
    let why = failure("(module\n  (func (export \"main\") (wrong)))", "mistake.wat");
    assert!(why.contains("mistake.wat: ") && why.contains("unknown operator"), "{why}");
    assert!(why.contains("2:"), "{why}");
}

#[test]
fn a_damaged_binary_is_invalid_and_named() {
    let mut binary = wat::parse_str("(module (func (export \"main\")))").expect("it is valid text");
    binary.truncate(binary.len() - 2);
    let why = failure(binary, "damaged.wasm");
    assert!(why.contains("damaged.wasm: wasmtime refuses the module"), "{why}");
}

#[test]
fn an_import_that_nobody_defines_is_named_when_the_module_is_loaded() {
    let text = "(module (import \"game\" \"fly\" (func)) (func (export \"main\")))";
    let why = failure(text, "flies.wat");
    assert!(why.contains("flies.wat: ") && why.contains("game::fly"), "{why}");
}

#[test]
fn an_asset_that_does_not_exist_is_a_failure_of_the_script() {
    let mut game = Game::new();
    let script = Script::new(game.load("nowhere.wasm"), "main");
    let entity = game.app.world_mut().spawn(script).id();
    let why = game.run_until_event(entity, "failed");
    assert!(why.contains("nowhere.wasm"), "{why}");
}

#[test]
fn a_module_without_the_entry_is_named_with_the_entries_that_it_has() {
    let text = module("(func (export \"mian\")) (func (export \"other\") (param i32))");
    let why = failure(text, "typo.wat");
    assert_eq!(
        why,
        "failed: typo.wat: no export \"main\", which is the entry of the script; it has: mian"
    );
}

#[test]
fn an_entry_with_a_parameter_is_refused() {
    let why = failure(module("(func (export \"main\") (param i32))"), "parameter.wat");
    assert!(
        why.contains("parameter.wat: export \"main\" cannot be the entry of a script"),
        "{why}"
    );
}

#[test]
fn an_entry_that_is_a_memory_is_refused() {
    let why = failure("(module (memory (export \"main\") 1))", "memory.wat");
    assert!(why.contains("memory.wat: export \"main\" cannot be the entry"), "{why}");
}

#[test]
fn a_start_function_that_reaches_the_world_holds_no_frame() {
    let mut game = Game::new();
    let text = module(
        "(func $start (call $report (i32.const 1))) (start $start) (func (export \"main\"))",
    );
    let entity = game.spawn("starts.wat", &text, ScriptOptions::default());
    game.run_until_event(entity, "finished");
    assert_eq!(game.reports(entity), [1]);
}

#[test]
fn a_module_that_exceeds_its_limit_of_memory_fails() {
    let mut game = Game::new();
    let options = ScriptOptions::default().instance(InstanceOptions::default().memory(1000));
    let entity = game.spawn("large.wat", &main_of(""), options);
    let why = game.run_until_event(entity, "failed");
    assert!(why.contains("large.wat, entry \"main\": "), "{why}");
}

#[test]
fn a_module_can_be_made_without_a_file() {
    let mut game = Game::new();
    let linker = game.app.world().resource::<ScriptLinker>().clone();
    let text = main_of("(call $report (i32.const 9))");
    let module = WasmModule::new(&linker, "made", text.as_bytes()).expect("it is a module");
    assert_eq!(module.name(), "made");
    assert!(module.module().get_export("main").is_some());
    let handle = game.app.world_mut().resource_mut::<Assets<WasmModule>>().add(module);
    let entity = game.app.world_mut().spawn(Script::new(handle, "main")).id();
    game.run_until_event(entity, "finished");
    assert_eq!(game.reports(entity), [9]);
    assert!(matches!(
        WasmModule::new(&linker, "none", b"none"),
        Err(WasmModuleError::NotWasm { bytes: 4, .. })
    ));
}

#[test]
fn a_script_waits_for_its_module() {
    let mut game = Game::new();
    let handle = game.app.world().resource::<Assets<WasmModule>>().reserve_handle();
    let entity = game.app.world_mut().spawn(Script::new(handle.clone(), "main")).id();
    game.frames(5);
    assert!(game.events(entity).is_empty());
    let linker = game.app.world().resource::<ScriptLinker>().clone();
    let text = main_of("(call $report (i32.const 3))");
    let module = WasmModule::new(&linker, "late", text.as_bytes()).expect("it is a module");
    let mut modules = game.app.world_mut().resource_mut::<Assets<WasmModule>>();
    modules.insert(&handle, module).expect("the handle is there");
    game.run_until_event(entity, "finished");
    assert_eq!(game.reports(entity), [3]);
    let server = game.app.world().resource::<AssetServer>();
    assert!(server.get_load_state(&handle).is_none(), "no file");
}
