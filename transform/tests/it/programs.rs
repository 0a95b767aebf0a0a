//! Random programs full of loops, calls and exceptions do the same with checks as without, wherever they are stopped.

use crate::program::{BACK, BUDGET, CALLED_BACK, HOST, LOG, MAKE, MEMORY, NUMBER, SHOW, program};
use crate::random::{Failure, Random, arguments, each_seed, stoppable_engine};
use crate::run::shown;
use crate::stopped::Stops;
use std::fmt::Write;
use std::sync::atomic::Ordering::Relaxed;
use wasm_jobs_transform::{Options, START, transform_with};
use wasmtime::{
    AsContextMut, Caller, Engine, Extern, ExternRef, Func, Global, GlobalType, Instance, Linker,
    Memory, MemoryType, Module, Mutability, Rooted, Store, Val, ValType,
};

const FUEL: u64 = 10_000_000;

/// The data of a store.
#[derive(Default)]
pub(crate) struct Host {
    /// What the guest told the host, in order.
    pub(crate) log: Vec<String>,
    /// How many of the host's calls into the guest are in progress.
    pub(crate) depth: u32,
    /// What the host does at its calls, if the guest has checks.
    stops: Option<Stops>,
    /// Whether each second call of the host sets the flag.
    sets_flag: bool,
}

impl Host {
    pub(crate) fn called(caller: &mut Caller<'_, Self>, what: String) -> wasmtime::Result<()> {
        let host = caller.data_mut();
        host.log.push(what);
        match host.stops.clone() {
            Some(stops) if host.sets_flag && host.log.len().is_multiple_of(2) => {
                stops.set_flag(caller)
            }
            _ => Ok(()),
        }
    }
}

/// Which checks stop the guest.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    First(u64),
    /// The next one after each second call of the host.
    AfterHostCalls,
}

/// Defines all that a program may import.
pub(crate) fn define(linker: &mut Linker<Host>, store: &mut Store<Host>) {
    linker
        .func_wrap(HOST, LOG, |mut caller: Caller<'_, Host>, number: i32| {
            Host::called(&mut caller, number.to_string())
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
                Host::called(&mut caller, format!("{number:?}"))
            },
        )
        .unwrap();
    linker
        .func_wrap(HOST, MAKE, |mut caller: Caller<'_, Host>, number: i32| {
            ExternRef::new(&mut caller, number).map(Some)
        })
        .unwrap();
    linker
        .func_wrap(HOST, BACK, |mut caller: Caller<'_, Host>| {
            Host::called(&mut caller, "back".to_owned())?;
            let export = caller.get_export(CALLED_BACK).and_then(Extern::into_func);
            match export {
                Some(function) if caller.data().depth < 3 => {
                    caller.data_mut().depth += 1;
                    let results = call(&mut caller, function, &[]);
                    caller.data_mut().depth -= 1;
                    let results = results?;
                    Host::called(&mut caller, results)
                }
                _ => Ok(()),
            }
        })
        .unwrap();
    let memory = Memory::new(&mut *store, MemoryType::new(1, Some(3))).unwrap();
    linker.define(&mut *store, HOST, MEMORY, memory).unwrap();
    let ty = GlobalType::new(ValType::I64, Mutability::Var);
    let number = Global::new(&mut *store, ty, Val::I64(11)).unwrap();
    linker.define(&mut *store, HOST, NUMBER, number).unwrap();
}

fn call(
    mut store: impl AsContextMut,
    function: Func,
    arguments: &[Val],
) -> wasmtime::Result<String> {
    let mut results = vec![Val::I32(0); function.ty(&store).results().len()];
    function.call(&mut store, arguments, &mut results)?;
    Ok(results.iter().map(shown).collect::<Vec<_>>().join(" "))
}

/// An instance of a program.
pub(crate) struct Running {
    store: Store<Host>,
    instance: Instance,
}

impl Running {
    /// Makes an instance, and starts it.
    pub(crate) fn new(module: &Module, stops: Option<(Stops, When)>) -> Result<Self, Failure> {
        let mut store = Store::new(module.engine(), Host::default());
        store.set_fuel(FUEL).unwrap();
        let mut linker = Linker::new(module.engine());
        define(&mut linker, &mut store);
        let stops = stops.map(|(mut stops, when)| {
            stops.define(&mut linker, &mut store);
            store.data_mut().stops = Some(stops.clone());
            store.data_mut().sets_flag = matches!(when, When::AfterHostCalls);
            stops
        });
        let instance = linker.instantiate(&mut store, module);
        let instance = instance.map_err(|error| failure(&mut store, &error))?;
        if let Some(stops) = stops {
            stops.connect(&mut store, instance);
        }
        let mut running = Self { store, instance };
        if let Some(start) = running.instance.get_func(&mut running.store, START) {
            start
                .call(&mut running.store, &[], &mut [])
                .map_err(|error| failure(&mut running.store, &error))?;
        }
        Ok(running)
    }

    /// Calls a function. What it returned, and all that can be seen afterwards.
    pub(crate) fn call(
        &mut self,
        module: &Module,
        name: &str,
        arguments: &[Val],
        budget: i32,
    ) -> Seen {
        self.store.set_fuel(FUEL * 20).unwrap();
        let global = self.instance.get_global(&mut self.store, BUDGET).unwrap();
        global.set(&mut self.store, Val::I32(budget)).unwrap();
        let function = self.instance.get_func(&mut self.store, name).unwrap();
        let results = call(&mut self.store, function, arguments);
        let results = results.map_err(|error| failure(&mut self.store, &error));
        let log = std::mem::take(&mut self.store.data_mut().log);
        let (rest, memories) = seen(&mut self.store, self.instance, module);
        Seen { results, log, rest, memories }
    }
}

/// The contents of exported globals and tables, as text, and those of memories.
pub(crate) fn seen(
    mut store: impl AsContextMut,
    instance: Instance,
    module: &Module,
) -> (String, Vec<Vec<u8>>) {
    let mut seen = String::new();
    let mut memories = Vec::new();
    for export in module.exports() {
        let name = export.name();
        match instance.get_export(&mut store, name).unwrap() {
            Extern::Global(global) => {
                let value = shown(&global.get(&mut store));
                writeln!(seen, "{name}: {value}").unwrap();
            }
            Extern::Memory(memory) => memories.push(memory.data(&store).to_vec()),
            Extern::Table(table) => {
                for at in 0..table.size(&store) {
                    let element: Val = table.get(&mut store, at).unwrap().into();
                    writeln!(seen, "{name} {at}: {}", shown(&element)).unwrap();
                }
            }
            _ => {}
        }
    }
    (seen, memories)
}

/// Of an exception that nobody caught, the values.
pub(crate) fn failure(store: &mut Store<Host>, error: &wasmtime::Error) -> Failure {
    let Some(exception) = store.take_pending_exception() else { return Failure::of(error) };
    let fields: Vec<_> = exception.fields(&mut *store).unwrap().collect();
    Failure::Trap(fields.iter().map(shown).collect::<Vec<_>>().join(" "))
}

/// What a call did.
#[derive(Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) results: Result<String, Failure>,
    pub(crate) log: Vec<String>,
    pub(crate) rest: String,
    pub(crate) memories: Vec<Vec<u8>>,
}

#[test]
fn random_programs_do_the_same_wherever_they_are_stopped() {
    let engine = stoppable_engine();
    // Nearly all of the time goes into compiling them.
    let programs = if cfg!(debug_assertions) { 400 } else { 4_000 };
    let counts = each_seed(programs, |seed| check(&engine, seed));
    let count = |what: &str| counts.get(what).copied().unwrap_or(0);
    let total: u64 = counts.values().sum();
    assert_eq!(count("at a limit"), 0, "programs end: {counts:?}");
    let stopped = count("stopped often") + count("stopped");
    assert!(total < 10 || stopped * 10 > total * 8, "too few were stopped: {counts:?}");
    assert!(total < 10 || count("stopped often") * 5 > total * 2, "not often enough: {counts:?}");
}

/// Each function that can be called, twice, with arguments.
pub(crate) fn calls(module: &Module, random: &mut Random) -> Vec<(String, Vec<Val>)> {
    let functions = module.exports().filter_map(|export| {
        let ty = export.ty();
        let arguments = arguments(random, ty.func()?.params())?;
        Some((export.name().to_owned(), arguments))
    });
    let mut calls: Vec<_> = functions.collect();
    calls.extend_from_within(..);
    calls
}

/// Calls of a program, and what they do when nothing stops the program.
pub(crate) struct Plan {
    /// The functions, with arguments and budgets.
    pub(crate) calls: Vec<(String, Vec<Val>, i32)>,
    /// Why the program cannot be started, or what each call does.
    pub(crate) expected: Result<Vec<Seen>, Failure>,
}

impl Plan {
    /// `None` if some call comes to a limit, which the transformation may move.
    pub(crate) fn new(original: &Module, seed: u64, random: &mut Random) -> Option<Self> {
        let mut budget = Random(seed);
        let calls = calls(original, random);
        let calls: Vec<_> = calls
            .into_iter()
            .map(|(name, arguments)| (name, arguments, budget.of(&[3, 30, 120])))
            .collect();
        let expected = Running::new(original, None).map(|mut before| {
            let seen = calls
                .iter()
                .map(|(name, arguments, budget)| before.call(original, name, arguments, *budget));
            seen.collect::<Vec<_>>()
        });
        let is_at_limit = match &expected {
            Ok(expected) => expected.iter().any(|seen| seen.results == Err(Failure::Limit)),
            Err(error) => *error == Failure::Limit,
        };
        (!is_at_limit).then_some(Self { calls, expected })
    }
}

fn check(engine: &Engine, seed: u64) -> &'static str {
    let wasm = program(seed);
    let mut random = Random(!seed);
    let interval = random.of(&[1, 5, 50, 50, 20_000, 20_000]);
    let options = Options::default().stops(true).check_interval(interval);
    let new = transform_with(&wasm, &options).unwrap_or_else(|error| panic!("{error}"));
    let original = Module::new(engine, &wasm).unwrap_or_else(|error| panic!("{error:?}"));
    let module = Module::new(engine, &new.wasm).unwrap_or_else(|error| panic!("{error:?}"));
    let Some(Plan { calls, expected }) = Plan::new(&original, seed, &mut random) else {
        return "at a limit";
    };
    let mut seen = 0;
    let some = random.below(20) + 1;
    for when in [When::First(0), When::First(u64::MAX), When::First(some), When::AfterHostCalls] {
        let stops = Stops::at_the_first(match when {
            When::First(checks) => checks,
            When::AfterHostCalls => 0,
        });
        let after = Running::new(&module, Some((stops.clone(), when)));
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
                "{name} {arguments:?}, {when:?}, interval {interval}: {}",
                difference(&expected[n], &found)
            );
        }
        let now = stops.seen.load(Relaxed);
        match when {
            When::First(checks) => assert!(now <= checks),
            When::AfterHostCalls => {}
        }
        seen += now;
    }
    match seen {
        0 => "never stopped",
        1..100 => "stopped",
        _ => "stopped often",
    }
}

pub(crate) fn difference(expected: &Seen, found: &Seen) -> String {
    let same = expected.memories == found.memories;
    let text = |seen: &Seen| format!("{:?} {:?} {}", seen.results, seen.log, seen.rest);
    format!("memories are equal: {same}\n{}\n---\n{}", text(expected), text(found))
}
