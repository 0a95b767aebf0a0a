//! Random functions whose blocks, loops and handlers take and give references, too, and whose loops are in each other. They do the same, and use as much
//! fuel, wherever their calls are saved.

use crate::frames::{Call, HasCall, connect, go_on, save};
use crate::random::{Failure, each_seed, stoppable_engine};
use crate::run::{shown, wasm};
use crate::shapes::module;
use std::sync::Arc;
use wasm_jobs_transform::{FrameLayout, Options, SAVING, transform_with};
use wasmtime::{
    Caller, Engine, ExternRef, Func, Global, Linker, Module, Result, Rooted, Store, Val, ValType,
};

#[derive(Default)]
struct Host {
    call: Call,
    frames: Arc<FrameLayout>,
    saving: Option<Global>,
    log: Vec<String>,
    waits: u32,
    /// The waits at which the call is saved: one bit for each of the first ones, and the last bit for the others.
    at: u64,
}

impl HasCall for Host {
    fn saved(&mut self) -> &mut Call {
        &mut self.call
    }

    fn frames(&self) -> Arc<FrameLayout> {
        self.frames.clone()
    }
}

fn wait(caller: &mut Caller<'_, Host>, what: String, results: Vec<(ValType, Val)>) {
    let host = caller.data_mut();
    host.log.push(what);
    let bit = host.waits.min(63);
    host.waits += 1;
    if host.at >> bit & 1 == 1 {
        let saving = host.saving.unwrap();
        save(caller, saving, results);
    }
}

fn linker(engine: &Engine) -> Linker<Host> {
    type Caught<'a> = Caller<'a, Host>;
    let mut linker = Linker::new(engine);
    let give = |mut caller: Caught<'_>, number: i32| {
        let gives = number.wrapping_mul(3) + 1;
        wait(&mut caller, number.to_string(), vec![(ValType::I32, Val::I32(gives))]);
        if caller.data().call.is_saved { 0 } else { gives }
    };
    linker.func_wrap("host", "wait", give).unwrap();
    let make = |mut caller: Caught<'_>, number: i32| -> Result<Option<Rooted<ExternRef>>> {
        let made = ExternRef::new(&mut caller, number)?;
        let result = (ValType::EXTERNREF, Val::ExternRef(Some(made)));
        wait(&mut caller, "make".to_owned(), vec![result]);
        Ok((!caller.data().call.is_saved).then_some(made))
    };
    linker.func_wrap("host", "make", make).unwrap();
    let pause = |mut caller: Caught<'_>| wait(&mut caller, "pause".to_owned(), vec![]);
    linker.func_wrap("host", "pause", pause).unwrap();
    let two = |mut caller: Caught<'_>, one: i32, two: i64| {
        let results = vec![(ValType::I64, Val::I64(two)), (ValType::I32, Val::I32(one))];
        wait(&mut caller, format!("{one} {two}"), results);
        if caller.data().call.is_saved { (0, 0) } else { (two, one) }
    };
    linker.func_wrap("host", "two", two).unwrap();
    let show = |mut caller: Caught<'_>, reference: Option<Rooted<ExternRef>>| -> Result<()> {
        let data = match &reference {
            Some(reference) => reference.data(&caller)?.and_then(|data| data.downcast_ref::<i32>()),
            None => None,
        };
        let text = format!("shown {data:?}");
        caller.data_mut().log.push(text);
        Ok(())
    };
    linker.func_wrap("now", "show", show).unwrap();
    let kind = |caller: Caught<'_>, function: Option<Func>| {
        function.map_or(0, |function| 1 + function.ty(&caller).params().len() as i32)
    };
    linker.func_wrap("now", "kind", kind).unwrap();
    linker
}

#[derive(Debug, PartialEq)]
struct Seen {
    results: Result<String, Failure>,
    log: Vec<String>,
    waits: u32,
    /// The fuel that is left, if the call returns.
    fuel: Option<u64>,
}

fn run(linker: &Linker<Host>, module: &Module, frames: &Arc<FrameLayout>, at: u64) -> Seen {
    let host = Host { frames: frames.clone(), at, ..Host::default() };
    let mut store = Store::new(module.engine(), host);
    store.set_fuel(200_000).unwrap();
    let instance = linker.instantiate(&mut store, module).unwrap();
    connect(&mut store, instance);
    store.data_mut().saving = instance.get_global(&mut store, SAVING);
    let function = instance.get_func(&mut store, "run").unwrap();
    let mut results = vec![Val::I32(0)];
    let mut returned = function.call(&mut store, &[], &mut results).map(|()| results);
    while returned.is_ok() && store.data().call.is_saved {
        returned = go_on(&mut store, instance);
    }
    let fuel = returned.is_ok().then(|| store.get_fuel().unwrap());
    let results = returned.map(|results| shown(&results[0])).map_err(|error| Failure::of(&error));
    let Host { log, waits, .. } = store.into_data();
    Seen { results, log, waits, fuel }
}

fn check(engine: &Engine, linker: &Linker<Host>, seed: u64) -> &'static str {
    let text = module(seed);
    let wasm = wasm(&text);
    Module::validate(engine, &wasm).unwrap_or_else(|error| panic!("{error:?}"));
    let waits = |module: &str, _: &str| module == "host";
    let options = Options::default().saves_calls(true).waits_in(waits).counts_fuel(true);
    let plain = transform_with(&wasm, &options).unwrap_or_else(|error| panic!("{error}"));
    let new = transform_with(&wasm, &options.twins(true)).unwrap();
    let compile =
        |wasm: &[u8]| Module::new(engine, wasm).unwrap_or_else(|error| panic!("{error:?}"));
    let (plain, module) = (compile(&plain.wasm), compile(&new.wasm));
    let frames = Arc::new(new.frames);
    let expected = run(linker, &plain, &frames, 0);
    if expected.results == Err(Failure::Limit) {
        return "at a limit";
    }
    let alone = (0..expected.waits.min(63)).map(|n| 1 << n);
    for at in [0, !0, 0x5555_5555_5555_5555].into_iter().chain(alone) {
        let found = run(linker, &module, &frames, at);
        assert_eq!(found, expected, "saved at {at:#b}:\n{text}");
    }
    match expected {
        Seen { results: Err(_), .. } => "trapped",
        Seen { waits: 0..3, .. } => "waited little",
        Seen { waits: 3..10, .. } => "waited often",
        _ => "waited very often",
    }
}

#[test]
fn random_shapes_do_the_same_wherever_they_are_saved() {
    let engine = stoppable_engine();
    let linker = linker(&engine);
    let modules = if cfg!(debug_assertions) { 12 } else { 1_000 };
    let counts = each_seed(modules, |seed| check(&engine, &linker, seed));
    let total: u64 = counts.values().sum();
    let often = counts.iter().filter(|(what, _)| what.contains("often")).map(|(_, count)| count);
    assert!(total < 10 || often.sum::<u64>() * 3 > total, "too few waited often: {counts:?}");
}
