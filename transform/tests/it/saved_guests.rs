//! The guests of this repository do the same when their calls are saved: at one call of the host, at each in turn, and at all of them.
//!
//! `WASM_JOBS_GUESTS` names a folder with more guests.

use crate::frames::{Call, HasCall, connect, go_on, save};
use crate::guests::modules;
use crate::random::Failure;
use crate::run::shown;
use crate::stopped_guests::{calls, task};
use crate::world::World;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wasm_jobs_transform::{Error, FrameLayout, Options, SAVING, START, transform_with};
use wasmtime::{
    Caller, Config, Engine, Func, FuncType, Global, Linker, Module, OptLevel, Store, Val,
};

const FUEL: u64 = 400_000_000;

/// The calls of the host at which calls are saved alone.
const MOST_ALONE: u64 = 1_000;

struct Host {
    world: World,
    call: Call,
    frames: Arc<FrameLayout>,
    saving: Option<Global>,
    when: When,
    saved: u64,
    functions: u64,
}

/// At which calls of the host a call is saved.
#[derive(Clone, Copy, Debug)]
enum When {
    Never,
    At(u64),
    Always,
}

impl AsMut<World> for Host {
    fn as_mut(&mut self) -> &mut World {
        &mut self.world
    }
}

impl HasCall for Host {
    fn saved(&mut self) -> &mut Call {
        &mut self.call
    }

    fn frames(&self) -> Arc<FrameLayout> {
        self.frames.clone()
    }
}

/// After a call of the host.
fn called(caller: &mut Caller<'_, Host>, ty: &FuncType, results: &mut [Val]) {
    let host = caller.data_mut();
    let (Some(saving), number) = (host.saving, host.world.calls()) else { return };
    match host.when {
        When::Always => {}
        When::At(at) if at == number => {}
        When::At(_) | When::Never => return,
    }
    host.saved += 1;
    let values: Vec<_> = ty.results().zip(results.iter().copied()).collect();
    save(caller, saving, values);
    // What it returns now means nothing.
    for (result, ty) in results.iter_mut().zip(ty.results()) {
        *result = ty.default_value().expect("guests import no references");
    }
}

struct Guest {
    name: String,
    module: Module,
    frames: Arc<FrameLayout>,
    has_start: bool,
    calls: Vec<(String, Vec<Val>)>,
}

#[derive(Debug, PartialEq)]
struct Seen {
    results: Vec<Result<String, Failure>>,
    log: String,
    memory: Vec<u8>,
}

struct Run {
    seen: Seen,
    /// How many calls of the host there were, how many calls were saved, and how many functions.
    calls: u64,
    saved: u64,
    functions: u64,
}

impl Guest {
    /// `None` if it is one that the transformation does not take.
    fn new(engine: &Engine, path: &Path) -> Option<Self> {
        let wasm = std::fs::read(path).unwrap();
        let options = Options::default().saves_calls(true).twins(true);
        let new = match transform_with(&wasm, &options) {
            Ok(new) => new,
            Err(Error::Component | Error::SharedMemory { .. }) => return None,
            Err(error) => panic!("{}: {error}", path.display()),
        };
        let module = Module::new(engine, &new.wasm).unwrap();
        let calls = calls(&module);
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let (has_start, frames) = (new.layout.start.is_some(), Arc::new(new.frames));
        let mut guest = Self { name, module, frames, has_start, calls };
        // Some functions run for ever.
        let all = guest.run(When::Never).seen.results;
        let mut ends = all.iter().map(|result| *result != Err(Failure::Limit));
        guest.calls.retain(|_| ends.next() == Some(true));
        Some(guest)
    }

    /// Calls all functions.
    fn run(&self, when: When) -> Run {
        let (arguments, input) = task(&self.name);
        let host = Host {
            world: World::new(&arguments, &input),
            call: Call::default(),
            frames: self.frames.clone(),
            saving: None,
            when,
            saved: 0,
            functions: 0,
        };
        let mut store = Store::new(self.module.engine(), host);
        store.set_fuel(FUEL).unwrap();
        let mut linker = Linker::new(self.module.engine());
        World::define(&mut linker, &self.module, called);
        let instance = linker.instantiate(&mut store, &self.module).unwrap();
        connect(&mut store, instance);
        store.data_mut().saving = instance.get_global(&mut store, SAVING);
        let start = self.has_start.then(|| (START.to_owned(), Vec::new()));
        let mut results = Vec::new();
        for (name, arguments) in start.iter().chain(&self.calls) {
            store.set_fuel(FUEL).unwrap();
            let function = instance.get_func(&mut store, name).unwrap();
            results.push(match whole_call(&mut store, instance, function, arguments) {
                Ok(values) => Ok(values.iter().map(shown).collect::<Vec<_>>().join(" ")),
                Err(error) => Err(Failure::of(&error)),
            });
        }
        if self.has_start {
            drop(results.remove(0));
        }
        let memory = instance.get_memory(&mut store, "memory");
        let memory = memory.map(|memory| memory.data(&store).to_vec()).unwrap_or_default();
        let host = store.data_mut();
        let log = std::mem::take(&mut host.world.log);
        let calls = host.world.calls();
        let seen = Seen { results, log, memory };
        Run { seen, calls, saved: host.saved, functions: host.functions }
    }

    /// Has calls saved at each `every`th call of the host alone, and at all of them. Returns how many were saved, and how many functions.
    fn check(&self, every: usize) -> (u64, u64) {
        let expected = self.run(When::Never);
        let alone = (1..=expected.calls.min(MOST_ALONE)).step_by(every).map(When::At);
        let (mut saved, mut functions) = (0, 0);
        for when in alone.chain([When::Always]) {
            let found = self.run(when);
            assert!(
                found.seen == expected.seen,
                "{}, saved {when:?}: {:?} {}, and not {:?} {}",
                self.name,
                found.seen.results,
                found.seen.log,
                expected.seen.results,
                expected.seen.log,
            );
            saved += found.saved;
            functions += found.functions;
        }
        (saved, functions)
    }
}

fn whole_call(
    store: &mut Store<Host>,
    instance: wasmtime::Instance,
    function: Func,
    arguments: &[Val],
) -> wasmtime::Result<Vec<Val>> {
    let mut results = vec![Val::I32(0); function.ty(&*store).results().len()];
    function.call(&mut *store, arguments, &mut results)?;
    while store.data().call.is_saved {
        store.data_mut().functions += store.data().call.depth() as u64;
        results = go_on(store, instance)?;
    }
    Ok(results)
}

/// Checks all guests of a size. Returns how many there were, how many calls were saved, and how many functions.
fn check(smaller_than: u64, every: usize) -> (usize, u64, u64) {
    // Of large guests, most of the time goes into compiling them.
    let level = if smaller_than < 100_000 { OptLevel::None } else { OptLevel::Speed };
    let mut config = Config::new();
    config.consume_fuel(true).cranelift_opt_level(level);
    let engine = Engine::new(&config).unwrap();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found: Vec<PathBuf> = Vec::new();
    modules(&repository.join("guests"), &mut found);
    if let Ok(more) = std::env::var("WASM_JOBS_GUESTS") {
        modules(Path::new(&more), &mut found);
    }
    found.retain(|path| path.metadata().unwrap().len() < smaller_than);
    found.sort();
    let (mut guests, mut saved, mut functions) = (0, 0, 0);
    for path in found {
        let Some(guest) = Guest::new(&engine, &path) else { continue };
        let (calls, depth) = guest.check(every);
        println!("{}: {calls} calls were saved, with {depth} functions", path.display());
        guests += usize::from(calls > 0);
        saved += calls;
        functions += depth;
    }
    (guests, saved, functions)
}

#[test]
fn small_guests_do_the_same_when_their_calls_are_saved() {
    let (guests, saved, functions) = check(26_000, 7);
    assert!(guests > 5 && saved > 200 && functions > saved, "{guests}, {saved}, {functions}");
}

#[test]
#[ignore = "by hand: takes minutes, and even in a release build"]
fn guests_do_the_same_when_their_calls_are_saved_at_each_call_of_the_host() {
    let (guests, saved, functions) = check(u64::MAX, 1);
    assert!(guests > 10 && saved > 3_000 && functions > saved, "{guests}, {saved}, {functions}");
}
