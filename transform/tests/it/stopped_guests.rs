//! The guests of this repository do the same wherever they are stopped: at one of the first thousand checks, or at all of them.
//!
//! `WASM_JOBS_GUESTS` names a folder with more guests.

use crate::counted::{LEFT, STOPPING, counted};
use crate::guests::modules;
use crate::random::{Failure, Random, arguments};
use crate::run::shown;
use crate::stopped::Stops;
use crate::world::World;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use wasm_jobs_transform::{Error, Options, PREFIX, START, transform_with};
use wasmtime::{Caller, Config, Engine, Func, Linker, Module, Store, Val};

/// The checks at which guests are stopped.
const CHECKS: u32 = 1_000;

const FUEL: u64 = 400_000_000;

/// What a guest is told to do, and what it reads. Others get their name and a number.
pub(crate) fn task(name: &str) -> (Vec<&str>, Vec<u8>) {
    let script = |text| (vec![name, "-e", text], Vec::new());
    match name {
        "bzip2" => (vec![name, "-1", "-c"], b"some text that is not all the same ".repeat(200)),
        "js" => script(
            "function f(n) { return n < 2 ? n : f(n - 1) + f(n - 2) }
            const words = 'one two three two one two'.split(' '), counts = new Map();
            for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
            print(f(7), [...counts].sort((a, b) => b[1] - a[1]).join(' '), 'abc'.replace(/b(.)/, '$1'))",
        ),
        "lua" => script(
            "local t = {} for n = 1, 50 do t[n] = tostring(n * 7 % 13) end table.sort(t)
            print(table.concat(t, ' '), ('one two'):gsub('%w+', string.upper))",
        ),
        "sqlite-speedtest1" => {
            (vec![name, "--memdb", "--size", "1", "--testset", "main", "--verify"], Vec::new())
        }
        _ => (vec![name, "1"], Vec::new()),
    }
}

/// The functions of a guest that can be called, with arguments.
pub(crate) fn calls(module: &Module) -> Vec<(String, Vec<Val>)> {
    let mut random = Random(0);
    let functions = module.exports().filter_map(|export| {
        let mut arguments = arguments(&mut random, export.ty().func()?.params())?;
        // So many that loops turn often.
        for (argument, number) in arguments.iter_mut().zip(1..) {
            if let Val::I32(argument) = argument {
                *argument = number * 300;
            }
        }
        Some((export.name().to_owned(), arguments))
    });
    functions.filter(|(name, _)| !name.starts_with(PREFIX)).collect()
}

/// A guest, and the functions that can be called.
struct Guest {
    name: String,
    module: Module,
    has_start: bool,
    calls: Vec<(String, Vec<Val>)>,
}

/// What a run came to.
#[derive(Debug, PartialEq)]
struct Seen {
    results: Vec<Result<String, Failure>>,
    log: String,
    memory: Vec<u8>,
}

struct Run {
    seen: Seen,
    /// How many checks the guest has passed, and how many have stopped it.
    passed: u32,
    stopped: u64,
}

impl Guest {
    /// `None` if it is one that the transformation does not take.
    fn new(engine: &Engine, path: &Path) -> Option<Self> {
        let wasm = std::fs::read(path).unwrap();
        let new = match transform_with(&wasm, &Options::default().stops(true)) {
            Ok(new) => new,
            Err(Error::Component | Error::SharedMemory { .. }) => return None,
            Err(error) => panic!("{}: {error}", path.display()),
        };
        let module = Module::new(engine, counted(&new.wasm)).unwrap();
        let calls = calls(&module);
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let has_start = new.layout.start.is_some();
        let mut guest = Self { name, module, has_start, calls };
        // Some functions run for ever.
        let all = guest.run(u32::MAX, 0).seen.results;
        let mut ends = all.iter().map(|result| *result != Err(Failure::Limit));
        guest.calls.retain(|_| ends.next() == Some(true));
        Some(guest)
    }

    /// Calls all functions. So many checks from the `first` one on stop the guest.
    fn run(&self, first: u32, stopping: u32) -> Run {
        let engine = self.module.engine();
        let (arguments, input) = task(&self.name);
        let mut store = Store::new(engine, World::new(&arguments, &input));
        store.set_fuel(FUEL).unwrap();
        let mut linker = Linker::new(engine);
        World::define(&mut linker, &self.module, |_, _, _| {});
        let mut stops = Stops::at_the_first(0);
        stops.define(&mut linker, &mut store);
        let instance = linker.instantiate(&mut store, &self.module).unwrap();
        let stop = {
            let seen = stops.seen.clone();
            Func::wrap(&mut store, move |_: Caller<'_, World>, _: i32| {
                seen.fetch_add(1, Relaxed);
            })
        };
        stops.connect_to(&mut store, instance, stop);
        // Where the number that is left comes below that of those that stop the guest, the first of these is passed.
        let start = first.wrapping_add(stopping).wrapping_sub(1);
        for (name, number) in [(LEFT, start), (STOPPING, stopping)] {
            let global = instance.get_global(&mut store, name).unwrap();
            global.set(&mut store, Val::I32(number as i32)).unwrap();
        }
        let start_function = self.has_start.then(|| (START.to_owned(), Vec::new()));
        let mut results = Vec::new();
        for (name, arguments) in start_function.iter().chain(&self.calls) {
            store.set_fuel(FUEL).unwrap();
            let function = instance.get_func(&mut store, name).unwrap();
            let mut values = vec![Val::I32(0); function.ty(&store).results().len()];
            let result = function.call(&mut store, arguments, &mut values);
            results.push(match result {
                Ok(()) => Ok(values.iter().map(shown).collect::<Vec<_>>().join(" ")),
                Err(error) => Err(Failure::of(&error)),
            });
        }
        if self.has_start {
            drop(results.remove(0));
        }
        let left = instance.get_global(&mut store, LEFT).unwrap().get(&mut store).unwrap_i32();
        let memory = instance.get_memory(&mut store, "memory");
        let memory = memory.map(|memory| memory.data(&store).to_vec()).unwrap_or_default();
        let log = std::mem::take(&mut store.data_mut().log);
        Run {
            seen: Seen { results, log, memory },
            passed: start.wrapping_sub(left as u32),
            stopped: stops.seen.load(Relaxed),
        }
    }

    /// Stops it at each of these checks alone, and at all of the first ones. Returns how often it ran, and at how many checks it was stopped.
    fn check(&self, every: u32) -> (u64, u64) {
        let expected = self.run(u32::MAX, 0);
        let last = expected.passed.min(CHECKS);
        let stopped = AtomicU64::new(0);
        let runs = AtomicU64::new(0);
        let next = AtomicU32::new(1);
        let same = |first, stopping| {
            let found = self.run(first, stopping);
            let Self { name, .. } = self;
            assert!(
                found.seen == expected.seen,
                "{name}, stopped at {stopping} checks from {first} on: {:?} {}, and not {:?} {}",
                found.seen.results,
                found.seen.log,
                expected.seen.results,
                expected.seen.log,
            );
            // In a short loop that is stopped, each round passes a check, and not each second one.
            assert!(found.passed >= expected.passed, "{name}, {first}");
            let all = u64::from(found.passed.min(stopping));
            assert_eq!(found.stopped, all, "{name}, {first}");
            runs.fetch_add(1, Relaxed);
            stopped.fetch_add(found.stopped, Relaxed);
        };
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(|| {
                    loop {
                        let check = next.fetch_add(every, Relaxed);
                        if check > last {
                            break;
                        }
                        same(check, 1);
                    }
                });
            }
        });
        same(1, CHECKS);
        (runs.into_inner(), stopped.into_inner())
    }
}

/// Checks all guests of a size. Returns how many there were, and how many checks have stopped one.
fn check(smaller_than: u64, every: u32) -> (usize, u64) {
    let engine = Engine::new(Config::new().consume_fuel(true).shared_memory(true)).unwrap();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found: Vec<PathBuf> = Vec::new();
    modules(&repository.join("guests"), &mut found);
    if let Ok(more) = std::env::var("WASM_JOBS_GUESTS") {
        modules(Path::new(&more), &mut found);
    }
    found.retain(|path| path.metadata().unwrap().len() < smaller_than);
    found.sort();
    let (mut guests, mut all) = (0, 0);
    for path in found {
        let Some(guest) = Guest::new(&engine, &path) else { continue };
        let (runs, stopped) = guest.check(every);
        println!("{}: {runs} runs, stopped at {stopped} checks", path.display());
        guests += 1;
        all += stopped;
    }
    (guests, all)
}

#[test]
fn small_guests_do_the_same_when_they_are_stopped_at_some_of_their_checks() {
    let (guests, stopped) = check(26_000, 50);
    assert!(guests > 10 && stopped > 3_000, "{guests}, {stopped}");
}

#[test]
#[ignore = "by hand: takes minutes, and even in a release build"]
fn guests_do_the_same_when_they_are_stopped_at_each_of_the_first_thousand_checks() {
    let (guests, stopped) = check(u64::MAX, 1);
    assert!(guests > 15 && stopped > 15_000, "{guests}, {stopped}");
}
