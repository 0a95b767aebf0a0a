//! Calls of random programs that are saved in their host functions, and go on, do the same as those that are not.

use crate::frames::{Call, HasCall, connect, go_on, save};
use crate::program::{BACK, BUDGET, CALLED_BACK, HOST, LOG, MAKE, MEMORY, NUMBER, SHOW, program};
use crate::programs::{Plan, Seen, difference, seen};
use crate::random::{Failure, Random, each_seed, stoppable_engine};
use crate::run::shown;
use crate::smith::{self, random_module};
use crate::stopped::Stops;
use std::collections::HashMap;
use std::sync::Arc;
use wasm_jobs_transform::{Error, FrameLayout, Options, SAVING, START, transform_with};
use wasmtime::{
    Caller, Engine, Extern, ExternRef, ExternType, Func, Global, GlobalType, Instance, Linker,
    Memory, MemoryType, Module, Mutability, Rooted, Store, StoreLimits, StoreLimitsBuilder, Val,
    ValType,
};

const FUEL: u64 = 10_000_000;

struct Host {
    log: Vec<String>,
    depth: u32,
    call: Call,
    frames: Arc<FrameLayout>,
    /// How many calls of the host there are before the first one that is saved, and from one to the next.
    first: u64,
    every: u64,
    /// How many calls were saved, and how many functions.
    saved: u64,
    depths: u64,
    saving: Option<Global>,
    limits: StoreLimits,
}

impl HasCall for Host {
    fn saved(&mut self) -> &mut Call {
        &mut self.call
    }
    fn frames(&self) -> Arc<FrameLayout> {
        self.frames.clone()
    }
}

/// Saves the call, if it is its turn.
fn maybe_save(caller: &mut Caller<'_, Host>, what: String, results: Vec<(ValType, Val)>) {
    let host = caller.data_mut();
    host.log.push(what);
    let Some(saving) = host.saving.filter(|_| host.depth == 0) else { return };
    if host.first > 0 {
        host.first -= 1;
        return;
    }
    host.first = host.every;
    host.saved += 1;
    save(caller, saving, results);
}

/// What our programs import.
fn define(linker: &mut Linker<Host>, store: &mut Store<Host>, _: &Module) {
    linker
        .func_wrap(HOST, LOG, |mut caller: Caller<'_, Host>, number: i32| {
            maybe_save(&mut caller, number.to_string(), vec![]);
        })
        .unwrap();
    linker
        .func_wrap(
            HOST,
            SHOW,
            |mut caller: Caller<'_, Host>, reference: Option<Rooted<ExternRef>>| {
                let number = match &reference {
                    Some(reference) => reference
                        .data(&caller)?
                        .and_then(|data| data.downcast_ref::<i32>().copied()),
                    None => None,
                };
                maybe_save(&mut caller, format!("{number:?}"), vec![]);
                wasmtime::Result::Ok(())
            },
        )
        .unwrap();
    linker
        .func_wrap(HOST, MAKE, |mut caller: Caller<'_, Host>, number: i32| {
            let made = ExternRef::new(&mut caller, number)?;
            let result = (ValType::EXTERNREF, Val::ExternRef(Some(made)));
            maybe_save(&mut caller, "made".to_owned(), vec![result]);
            caller.data_mut().log.pop();
            wasmtime::Result::Ok(match caller.data_mut().call.is_saved {
                true => None,
                false => Some(made),
            })
        })
        .unwrap();
    linker
        .func_wrap(HOST, BACK, |mut caller: Caller<'_, Host>| {
            let export = caller.get_export(CALLED_BACK).and_then(Extern::into_func);
            caller.data_mut().log.push("back".to_owned());
            if let Some(function) = export
                && caller.data().depth < 3
            {
                caller.data_mut().depth += 1;
                let mut results = vec![Val::I32(0); function.ty(&caller).results().len()];
                let returned = function.call(&mut caller, &[], &mut results);
                caller.data_mut().depth -= 1;
                returned?;
                let results = results.iter().map(shown).collect::<Vec<_>>().join(" ");
                caller.data_mut().log.push(results);
            }
            let last = caller.data_mut().log.pop().unwrap();
            maybe_save(&mut caller, last, vec![]);
            wasmtime::Result::Ok(())
        })
        .unwrap();
    let memory = Memory::new(&mut *store, MemoryType::new(1, Some(3))).unwrap();
    linker.define(&mut *store, HOST, MEMORY, memory).unwrap();
    let ty = GlobalType::new(ValType::I64, Mutability::Var);
    let number = Global::new(&mut *store, ty, Val::I64(11)).unwrap();
    linker.define(&mut *store, HOST, NUMBER, number).unwrap();
}

fn failure(store: &mut Store<Host>, error: &wasmtime::Error) -> Failure {
    let Some(exception) = store.take_pending_exception() else { return Failure::of(error) };
    let fields: Vec<_> = exception.fields(&mut *store).unwrap().collect();
    Failure::Trap(fields.iter().map(shown).collect::<Vec<_>>().join(" "))
}

/// What a module imports, and how its failures are compared.
#[derive(Clone, Copy)]
struct Kind {
    define: fn(&mut Linker<Host>, &mut Store<Host>, &Module),
    failure: fn(&mut Store<Host>, &wasmtime::Error) -> Failure,
}

struct Saved {
    store: Store<Host>,
    instance: Instance,
    kind: Kind,
}

impl Saved {
    fn new(
        module: &Module,
        frames: Arc<FrameLayout>,
        first: u64,
        every: u64,
        stops: Option<u64>,
        kind: Kind,
    ) -> Result<Self, Failure> {
        let (log, call) = (Vec::new(), Call::default());
        let saving = None;
        let limits = StoreLimitsBuilder::new().memory_size(1 << 20).table_elements(2_000).build();
        let (depth, saved, depths) = (0, 0, 0);
        let host = Host { log, depth, call, frames, first, every, saved, depths, saving, limits };
        let mut store = Store::new(module.engine(), host);
        store.limiter(|host| &mut host.limits);
        store.set_fuel(FUEL).unwrap();
        let mut linker = Linker::new(module.engine());
        (kind.define)(&mut linker, &mut store, module);
        let stops = stops.map(|checks| {
            let mut stops = Stops::at_the_first(checks);
            stops.define(&mut linker, &mut store);
            stops
        });
        let instance = linker.instantiate(&mut store, module);
        let instance = instance.map_err(|error| (kind.failure)(&mut store, &error))?;
        if let Some(stops) = stops {
            stops.connect(&mut store, instance);
        }
        connect(&mut store, instance);
        store.data_mut().saving = instance.get_global(&mut store, SAVING);
        let mut saved = Self { store, instance, kind };
        if let Some(start) = saved.instance.get_func(&mut saved.store, START) {
            saved.whole_call(start, &[])?;
        }
        Ok(saved)
    }

    fn whole_call(&mut self, function: Func, arguments: &[Val]) -> Result<String, Failure> {
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        function
            .call(&mut self.store, arguments, &mut results)
            .map_err(|error| (self.kind.failure)(&mut self.store, &error))?;
        while self.store.data().call.is_saved {
            self.store.data_mut().depths += self.store.data().call.depth() as u64;
            results = go_on(&mut self.store, self.instance)
                .map_err(|error| (self.kind.failure)(&mut self.store, &error))?;
        }
        Ok(results.iter().map(shown).collect::<Vec<_>>().join(" "))
    }

    fn call(&mut self, module: &Module, name: &str, arguments: &[Val], budget: i32) -> Seen {
        self.store.set_fuel(FUEL * 20).unwrap();
        let global = self.instance.get_global(&mut self.store, BUDGET).unwrap();
        global.set(&mut self.store, Val::I32(budget)).unwrap();
        let function = self.instance.get_func(&mut self.store, name).unwrap();
        let results = self.whole_call(function, arguments);
        let log = std::mem::take(&mut self.store.data_mut().log);
        let (rest, memories) = seen(&mut self.store, self.instance, module);
        Seen { results, log, rest, memories }
    }
}

#[test]
fn random_programs_do_the_same_wherever_they_are_saved() {
    let engine = stoppable_engine();
    let programs = if cfg!(debug_assertions) { 200 } else { 4_000 };
    let counts = each_seed(programs, |seed| check(&engine, seed));
    let total: u64 = counts.values().sum();
    assert_eq!(counts.get("at a limit"), None, "programs end: {counts:?}");
    let saved: u64 = ["saved", "saved often"].iter().filter_map(|what| counts.get(what)).sum();
    assert!(total < 10 || saved * 10 > total * 3, "too few were saved: {counts:?}");
}

fn check(engine: &Engine, seed: u64) -> &'static str {
    let wasm = program(seed);
    let mut random = Random(!seed);
    let stops = (random.below(2) == 0).then(|| random.below(100));
    let options = Options::default().saves_calls(true).stops(stops.is_some()).counts_fuel(true);
    let plain = transform_with(&wasm, &options).unwrap_or_else(|error| panic!("{error}"));
    let options = options.twins(true);
    let twins = transform_with(&wasm, &options).unwrap_or_else(|error| panic!("{error}"));
    let original = Module::new(engine, &wasm).unwrap_or_else(|error| panic!("{error:?}"));
    let compile =
        |wasm: &[u8]| Module::new(engine, wasm).unwrap_or_else(|error| panic!("{error:?}"));
    let (plain_module, module) = (compile(&plain.wasm), compile(&twins.wasm));
    let frames = Arc::new(twins.frames);
    let Some(Plan { calls, expected }) = Plan::new(&original, seed, &mut random) else {
        return "at a limit";
    };
    let (mut saved, mut depths) = (0, 0);
    // What each call leaves of its fuel when it is never saved, unless it traps. Engines count roughly then.
    let mut fuel = Vec::new();
    let (first, every) = (random.below(20), random.below(20));
    let never = u64::MAX;
    let kind = Kind { define, failure };
    for (module, first, every) in [
        (&plain_module, never, never),
        (&module, never, never),
        (&module, 0, 0),
        (&module, first, never),
        (&module, first, every),
    ] {
        let after = Saved::new(module, frames.clone(), first, every, stops, kind);
        let (expected, mut after) = match (&expected, after) {
            (Ok(expected), Ok(after)) => (expected, after),
            (Err(expected), Err(after)) => {
                assert_eq!(*expected, after);
                return "trapped when it was started";
            }
            (expected, after) => panic!("{:?}, {:?}", expected.as_ref().err(), after.err()),
        };
        for (n, (name, arguments, budget)) in calls.iter().enumerate() {
            let found = after.call(&original, name, arguments, *budget);
            assert!(
                found == expected[n],
                "{name} {arguments:?}, first {first}, every {every}: {}",
                difference(&expected[n], &found)
            );
            let left = found.results.is_ok().then(|| after.store.get_fuel().unwrap());
            match fuel.get(n) {
                None => fuel.push(left),
                Some(&fuel) => {
                    assert_eq!(left, fuel, "{name} {arguments:?}, first {first}, every {every}")
                }
            }
        }
        saved += after.store.data().saved;
        depths += after.store.data().depths;
    }
    match (saved, depths) {
        (0, _) => "never saved",
        (1..100, _) => "saved",
        _ => "saved often",
    }
}

/// Functions that return zeros, and empty memories, tables and globals.
fn define_zeros(linker: &mut Linker<Host>, store: &mut Store<Host>, module: &Module) {
    for import in module.imports() {
        let ExternType::Func(ty) = import.ty() else { continue };
        let results: Option<Vec<_>> =
            ty.results().map(|ty| Some((ty.clone(), ty.default_value()?))).collect();
        let Some(given) = results else { continue };
        let function = Func::new(&mut *store, ty, move |mut caller, _, results| {
            for (result, (_, value)) in results.iter_mut().zip(&given) {
                *result = *value;
            }
            maybe_save(&mut caller, String::new(), given.clone());
            Ok(())
        });
        linker.allow_shadowing(true);
        linker.define(&mut *store, import.module(), import.name(), function).unwrap();
    }
    // What cannot be made up is missed when the module is instantiated.
    _ = linker.define_unknown_imports_as_default_values(&mut *store, module);
}

#[test]
fn random_modules_do_the_same_wherever_they_are_saved() {
    let engine = stoppable_engine();
    let counts = each_seed(800, |seed| check_module(&engine, seed));
    let total: u64 = counts.values().sum();
    let saved = counts.get("saved").copied().unwrap_or(0);
    assert!(total < 100 || saved * 200 > total, "too few were saved: {counts:?}");
}

fn check_module(engine: &Engine, seed: u64) -> &'static str {
    const LITTLE: u64 = 5_000;
    let Some(wasm) = random_module(seed) else { return "not made" };
    let options = Options::default().saves_calls(true).twins(true).counts_fuel(true);
    let new = match transform_with(&wasm, &options) {
        Ok(transformed) => transformed,
        Err(Error::SharedMemory { .. }) => return "not transformed: a shared memory",
        Err(Error::ImportedStart { .. }) => return "not transformed: an imported start function",
        Err(Error::CannotSave { .. }) => return "not transformed: calls that cannot be saved",
        Err(error) => panic!("{error}"),
    };
    let again = transform_with(&wasm, &options).unwrap();
    assert_eq!(again.wasm, new.wasm);
    let original = Module::new(engine, &wasm).unwrap();
    let module = Module::new(engine, &new.wasm).unwrap_or_else(|error| panic!("{error:?}"));
    let frames = Arc::new(new.frames);
    let calls = smith::calls(&original, seed);
    let kind = Kind {
        define: define_zeros,
        failure: |store, error| {
            store.take_pending_exception();
            Failure::of(error)
        },
    };
    let mut saved = 0;
    // What each call leaves of its fuel when it is never saved.
    let mut fuel: HashMap<_, u64> = HashMap::new();
    for (first, every) in [(u64::MAX, u64::MAX), (0, 0), (Random(seed).below(5), 1)] {
        let before = crate::random::Running::new(&original, LITTLE);
        let Some(mut before) = before else { return "not linked" };
        let after = Saved::new(&module, frames.clone(), first, every, None, kind);
        let (before, mut after) = match (&mut before, after) {
            (Ok(before), Ok(after)) => (before, after),
            (Err(Failure::Limit), _) => return "not compared: a limit",
            // Imports that are made up otherwise can be missed in another order.
            (Err(_), Err(_)) => return "not made by either",
            (before, after) => panic!("{:?}, {:?}", before.as_ref().err(), after.err()),
        };
        for (n, (name, arguments)) in calls.iter().enumerate() {
            let expected = before.call(name, arguments);
            if expected == Err(Failure::Limit) {
                return "not compared: a limit";
            }
            after.store.set_fuel(LITTLE * 200).unwrap();
            let function = after.instance.get_func(&mut after.store, name).unwrap();
            let found = after.whole_call(function, arguments);
            assert_eq!(found, expected, "{name} {arguments:?}, first {first}, every {every}");
            if found.is_ok() {
                let left = after.store.get_fuel().unwrap();
                assert_eq!(left, *fuel.entry(n).or_insert(left), "{name} {arguments:?}");
            }
            let seen_now = seen(&mut after.store, after.instance, &original);
            let expected = seen(&mut before.store, before.instance, &original);
            assert_eq!(seen_now, expected, "{name} {arguments:?}");
        }
        saved += after.store.data().saved;
    }
    if saved > 0 { "saved" } else { "never saved" }
}
