//! Guests that are suspended in their checks, while others of the same module run, do the same as without checks.

use crate::program::{BACK, BUDGET, CALLED_BACK, HOST, program};
use crate::programs::{Host, Running, Seen, calls, define, difference, failure, seen};
use crate::random::{Failure, Random, each_seed, stoppable_engine};
use crate::run::shown;
use crate::stopped::sets;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use wasm_jobs_transform::{
    FLAG, FLAGS_MAX_PAGES, FLAGS_MEMORY, FLAGS_MODULE, Options, START, STOP, transform_with,
};
use wasmtime::{
    AsContextMut, Caller, Engine, Extern, Func, Linker, MemoryType, Module, SharedMemory, Store,
    TypedFunc, Val,
};

const FUEL: u64 = 200_000_000;

/// How many instances run by turns.
const INSTANCES: usize = 3;

/// The flags of an engine, and a store of its own that sets them.
#[derive(Clone)]
struct Flags {
    memory: SharedMemory,
    set: Arc<Mutex<Setter>>,
    /// How often guests were suspended.
    suspended: Arc<AtomicU64>,
}

struct Setter {
    store: Store<()>,
    set: TypedFunc<i32, ()>,
}

impl Flags {
    fn new(engine: &Engine) -> Self {
        let ty = MemoryType::shared(1, FLAGS_MAX_PAGES as u32);
        let memory = SharedMemory::new(engine, ty).unwrap();
        let mut store = Store::new(engine, ());
        store.set_fuel(u64::MAX).unwrap();
        let mut linker = Linker::new(engine);
        linker.define(&store, FLAGS_MODULE, FLAGS_MEMORY, memory.clone()).unwrap();
        let sets = linker.instantiate(&mut store, &sets(engine)).unwrap();
        let set = sets.get_typed_func(&mut store, "set").unwrap();
        Self { memory, set: Arc::new(Mutex::new(Setter { store, set })), suspended: Arc::default() }
    }

    fn set(&self, address: i32) {
        let Setter { store, set } = &mut *self.set.lock().unwrap();
        set.call(store, address).unwrap();
    }
}

/// Lets all others run once.
async fn suspend() {
    let mut was_polled = false;
    poll_fn(|_| match std::mem::replace(&mut was_polled, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

async fn call(
    mut store: impl AsContextMut<Data = Host>,
    function: Func,
    arguments: &[Val],
) -> wasmtime::Result<String> {
    let mut results = vec![Val::I32(0); function.ty(&store).results().len()];
    function.call_async(&mut store, arguments, &mut results).await?;
    Ok(results.iter().map(shown).collect::<Vec<_>>().join(" "))
}

/// What the host does when a guest calls it.
async fn back(caller: &mut Caller<'_, Host>) -> wasmtime::Result<()> {
    Host::called(caller, "back".to_owned())?;
    let export = caller.get_export(CALLED_BACK).and_then(Extern::into_func);
    match export {
        Some(function) if caller.data().depth < 3 => {
            caller.data_mut().depth += 1;
            let results = call(&mut *caller, function, &[]).await;
            caller.data_mut().depth -= 1;
            let results = results?;
            Host::called(caller, results)
        }
        _ => Ok(()),
    }
}

type Calls = Vec<(String, Vec<Val>, i32)>;

/// Makes an instance and calls its functions, each with a budget. It is suspended at each check.
async fn play(
    original: Module,
    module: Module,
    flags: Flags,
    address: i32,
    calls: Calls,
) -> Result<Vec<Seen>, Failure> {
    let mut store = Store::new(module.engine(), Host::default());
    store.set_fuel(FUEL).unwrap();
    let mut linker = Linker::new(module.engine());
    linker.allow_shadowing(true);
    define(&mut linker, &mut store);
    linker
        .func_wrap_async(HOST, BACK, |mut caller: Caller<'_, Host>, (): ()| {
            Box::new(async move { back(&mut caller).await })
        })
        .unwrap();
    linker.define(&store, FLAGS_MODULE, FLAGS_MEMORY, flags.memory.clone()).unwrap();
    let instance = match linker.instantiate_async(&mut store, &module).await {
        Ok(instance) => instance,
        Err(error) => return Err(failure(&mut store, &error)),
    };
    let global = |store: &mut Store<Host>, name, value| {
        instance.get_global(&mut *store, name).unwrap().set(&mut *store, value).unwrap();
    };
    global(&mut store, FLAG, Val::I32(address));
    let of_stop = flags.clone();
    let stop = Func::wrap_async(&mut store, move |_: Caller<'_, Host>, (_,): (i32,)| {
        let flags = of_stop.clone();
        Box::new(async move {
            suspend().await;
            flags.suspended.fetch_add(1, Relaxed);
            flags.set(address);
        })
    });
    global(&mut store, STOP, Val::FuncRef(Some(stop)));
    flags.set(address);
    if let Some(start) = instance.get_func(&mut store, START)
        && let Err(error) = call(&mut store, start, &[]).await
    {
        return Err(failure(&mut store, &error));
    }
    let mut all = Vec::new();
    for (name, arguments, budget) in calls {
        store.set_fuel(FUEL).unwrap();
        global(&mut store, BUDGET, Val::I32(budget));
        let function = instance.get_func(&mut store, &name).unwrap();
        let results = call(&mut store, function, &arguments).await;
        let results = results.map_err(|error| failure(&mut store, &error));
        let log = std::mem::take(&mut store.data_mut().log);
        let (rest, memories) = seen(&mut store, instance, &original);
        all.push(Seen { results, log, rest, memories });
    }
    Ok(all)
}

/// Runs futures by turns, until all are done.
fn by_turns<T>(futures: Vec<Pin<Box<dyn Future<Output = T>>>>) -> Vec<T> {
    let mut results: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    let mut futures: Vec<_> = futures.into_iter().map(Some).collect();
    let mut context = Context::from_waker(Waker::noop());
    while results.iter().any(Option::is_none) {
        for (future, result) in futures.iter_mut().zip(&mut results) {
            if let Some(running) = future
                && let Poll::Ready(value) = running.as_mut().poll(&mut context)
            {
                *result = Some(value);
                *future = None;
            }
        }
    }
    results.into_iter().flatten().collect()
}

#[test]
fn programs_that_are_suspended_by_turns_do_the_same() {
    let engine = stoppable_engine();
    let programs = if cfg!(debug_assertions) { 100 } else { 2_000 };
    let counts = each_seed(programs, |seed| check(&engine, seed));
    let total: u64 = counts.values().sum();
    let suspended = counts.get("suspended").copied().unwrap_or(0);
    assert!(total < 10 || suspended * 10 > total * 7, "too few were suspended: {counts:?}");
}

fn check(engine: &Engine, seed: u64) -> &'static str {
    let wasm = program(seed);
    let mut random = Random(!seed);
    let options = Options::default().stops(true).check_interval(random.of(&[5, 50, 20_000]));
    let new = transform_with(&wasm, &options).unwrap_or_else(|error| panic!("{error}"));
    let original = Module::new(engine, &wasm).unwrap_or_else(|error| panic!("{error:?}"));
    let module = Module::new(engine, &new.wasm).unwrap_or_else(|error| panic!("{error:?}"));
    let flags = Flags::new(engine);
    let mut expected = Vec::new();
    let mut futures: Vec<Pin<Box<dyn Future<Output = _>>>> = Vec::new();
    for n in 0..INSTANCES {
        // Each its own arguments and budgets, so that they are not at the same places at the same time.
        let calls = calls(&original, &mut random)
            .into_iter()
            .map(|(name, arguments)| (name, arguments, random.of(&[3, 30, 90])));
        let calls: Calls = calls.collect();
        expected.push(Running::new(&original, None).map(|mut before| {
            let seen = calls
                .iter()
                .map(|(name, arguments, budget)| before.call(&original, name, arguments, *budget));
            seen.collect::<Vec<_>>()
        }));
        let address = 4 * (n as i32 + 1);
        let flags = flags.clone();
        futures.push(Box::pin(play(original.clone(), module.clone(), flags, address, calls)));
    }
    for (expected, found) in expected.iter().zip(by_turns(futures)) {
        match (expected, &found) {
            (Ok(expected), Ok(found)) => {
                for (expected, found) in expected.iter().zip(found) {
                    assert!(expected == found, "{}", difference(expected, found));
                }
            }
            (Err(expected), Err(found)) => assert_eq!(expected, found),
            (expected, found) => panic!("{:?} {:?}", expected.as_ref().err(), found.as_ref().err()),
        }
    }
    if flags.suspended.load(Relaxed) > 10 { "suspended" } else { "hardly suspended" }
}
