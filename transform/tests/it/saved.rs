//! Calls of random programs that are saved in their host functions, and go on, do the same as those that are not.

use crate::frames::{Call, HasCall, connect, go_on, save};
use crate::program::{BACK, BUDGET, CALLED_BACK, HOST, LOG, MAKE, MEMORY, NUMBER, SHOW, program};
use crate::programs::{Running, Seen, calls, difference, seen};
use crate::random::{Failure, Random, each_seed, stoppable_engine};
use crate::run::shown;
use std::sync::Arc;
use wasm_jobs_transform::{Frames, Options, SAVING, START, transform_with};
use wasmtime::{
    Caller, Engine, Extern, ExternRef, Func, Global, GlobalType, Instance, Linker, Memory,
    MemoryType, Module, Mutability, Rooted, Store, Val, ValType,
};

const FUEL: u64 = 10_000_000;

struct Host {
    log: Vec<String>,
    depth: u32,
    call: Call,
    frames: Arc<Frames>,
    /// How many calls of the host there are before the first one that is saved, and from one to the next.
    first: u64,
    every: u64,
    /// How many calls were saved, and how many functions.
    saved: u64,
    depths: u64,
    saving: Option<Global>,
}

impl HasCall for Host {
    fn saved(&mut self) -> &mut Call {
        &mut self.call
    }
    fn frames(&self) -> Arc<Frames> {
        self.frames.clone()
    }
}

/// Saves the call, if it is its turn.
fn maybe_save(caller: &mut Caller<'_, Host>, what: String, results: &[Val]) {
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

fn define(linker: &mut Linker<Host>, store: &mut Store<Host>) {
    linker
        .func_wrap(HOST, LOG, |mut caller: Caller<'_, Host>, number: i32| {
            maybe_save(&mut caller, number.to_string(), &[]);
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
                maybe_save(&mut caller, format!("{number:?}"), &[]);
                wasmtime::Result::Ok(())
            },
        )
        .unwrap();
    linker
        .func_wrap(HOST, MAKE, |mut caller: Caller<'_, Host>, number: i32| {
            let made = ExternRef::new(&mut caller, number)?;
            maybe_save(&mut caller, "made".to_owned(), &[Val::ExternRef(Some(made))]);
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
            maybe_save(&mut caller, last, &[]);
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

struct Saved {
    store: Store<Host>,
    instance: Instance,
}

impl Saved {
    fn new(module: &Module, frames: Arc<Frames>, first: u64, every: u64) -> Result<Self, Failure> {
        let (log, call) = (Vec::new(), Call::default());
        let saving = None;
        let host = Host { log, depth: 0, call, frames, first, every, saved: 0, depths: 0, saving };
        let mut store = Store::new(module.engine(), host);
        store.set_fuel(FUEL).unwrap();
        let mut linker = Linker::new(module.engine());
        define(&mut linker, &mut store);
        let instance = linker.instantiate(&mut store, module);
        let instance = instance.map_err(|error| failure(&mut store, &error))?;
        connect(&mut store, instance, true);
        store.data_mut().saving = instance.get_global(&mut store, SAVING);
        let mut saved = Self { store, instance };
        if let Some(start) = saved.instance.get_func(&mut saved.store, START) {
            saved.whole_call(start, &[])?;
        }
        Ok(saved)
    }

    fn whole_call(&mut self, function: Func, arguments: &[Val]) -> Result<String, Failure> {
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        function
            .call(&mut self.store, arguments, &mut results)
            .map_err(|error| failure(&mut self.store, &error))?;
        while self.store.data().call.is_saved {
            self.store.data_mut().depths += self.store.data().call.frames.len() as u64;
            results = go_on(&mut self.store, self.instance)
                .map_err(|error| failure(&mut self.store, &error))?;
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
    let programs = if cfg!(debug_assertions) { 400 } else { 4_000 };
    let counts = each_seed(programs, |seed| check(&engine, seed));
    let total: u64 = counts.values().sum();
    assert_eq!(counts.get("at a limit"), None, "programs end: {counts:?}");
    let saved: u64 = ["saved", "saved often"].iter().filter_map(|what| counts.get(what)).sum();
    assert!(total < 10 || saved * 10 > total * 3, "too few were saved: {counts:?}");
}

fn check(engine: &Engine, seed: u64) -> &'static str {
    let wasm = program(seed);
    let mut random = Random(!seed);
    let options = Options::default().freezing(true);
    let plain = transform_with(&wasm, &options).unwrap_or_else(|error| panic!("{error}"));
    let options = options.twins(true);
    let twins = transform_with(&wasm, &options).unwrap_or_else(|error| panic!("{error}"));
    let original = Module::new(engine, &wasm).unwrap_or_else(|error| panic!("{error:?}"));
    let compile = |wasm: &[u8]| {
        Module::new(engine, wasm).unwrap_or_else(|error| {
            if let Ok(path) = std::env::var("SAVE_TO") {
                std::fs::write(path, wasm).unwrap();
            }
            panic!("{error:?}")
        })
    };
    let (plain_module, module) = (compile(&plain.wasm), compile(&twins.wasm));
    let frames = Arc::new(twins.frames);
    let calls = calls(&original, &mut random);
    let mut budget = Random(seed);
    let budgets: Vec<_> = calls.iter().map(|_| budget.of(&[3, 30, 120])).collect();
    let mut before = Running::new(&original, None);
    let expected: Vec<_> = match &mut before {
        Ok(before) => calls
            .iter()
            .zip(&budgets)
            .map(|((name, arguments), budget)| before.call(&original, name, arguments, *budget))
            .collect(),
        Err(_) => Vec::new(),
    };
    if before.as_ref().err() == Some(&Failure::Limit)
        || expected.iter().any(|seen| seen.results == Err(Failure::Limit))
    {
        return "at a limit";
    }
    let (mut saved, mut depths) = (0, 0);
    let (first, every) = (random.below(20), random.below(20));
    let never = u64::MAX;
    for (module, first, every) in [
        (&plain_module, never, never),
        (&module, never, never),
        (&module, 0, 0),
        (&module, first, never),
        (&module, first, every),
    ] {
        let mut after = match (&before, Saved::new(module, frames.clone(), first, every)) {
            (Ok(_), Ok(after)) => after,
            (Err(before), Err(after)) => {
                assert_eq!(*before, after);
                return "trapped when it was started";
            }
            (before, after) => panic!("{:?}, {:?}", before.as_ref().err(), after.err()),
        };
        for (n, (name, arguments)) in calls.iter().enumerate() {
            let found = after.call(&original, name, arguments, budgets[n]);
            assert!(
                found == expected[n],
                "{name} {arguments:?}, first {first}, every {every}: {}",
                difference(&expected[n], &found)
            );
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
