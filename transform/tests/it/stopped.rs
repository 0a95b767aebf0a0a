//! Random modules with checks do the same as without, whether no check, every check, or the first few stop the guest.

use crate::random::{Failure, Random, Running, each_seed, stoppable_engine};
use crate::smith::{calls, random_module};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use wasm_jobs_transform::{
    Error, FLAG, FLAGS_MAX_PAGES, FLAGS_MEMORY, FLAGS_MODULE, Options, START, STOP, transform_with,
};
use wasmtime::{
    AsContextMut, Caller, Engine, Func, Instance, Linker, MemoryType, Module, SharedMemory, Store,
    TypedFunc, Val,
};

const FUEL: u64 = 5_000;

/// Sets a flag, as the host does it in one thread while the guest runs in another.
pub(crate) const SETS: &str = r#"(module
    (import "__wasm_jobs" "flags" (memory 1 64 shared))
    (func (export "set") (param i32) (drop (i32.atomic.rmw.or (local.get 0) (i32.const 1)))))"#;

/// That module. It is compiled once, unless the engine is another one than the last time.
pub(crate) fn sets(engine: &Engine) -> Module {
    static LAST: Mutex<Option<Module>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap();
    let same = last.as_ref().filter(|last| Engine::same(last.engine(), engine)).cloned();
    let compile = || Module::new(engine, wat::parse_str(SETS).unwrap()).unwrap();
    last.insert(same.unwrap_or_else(compile)).clone()
}

/// The address of the flag.
const ADDRESS: i32 = 12;

/// How often the guest's checks stop it: at the first so many.
#[derive(Clone)]
pub(crate) struct Stops {
    /// How many checks are yet to stop the guest.
    left: Arc<AtomicU64>,
    /// How many have.
    pub(crate) seen: Arc<AtomicU64>,
    set: Option<TypedFunc<i32, ()>>,
}

impl Stops {
    pub(crate) fn at_the_first(checks: u64) -> Self {
        Self { left: Arc::new(checks.into()), seen: Arc::default(), set: None }
    }

    /// Defines what checks import.
    pub(crate) fn define<T: 'static>(&mut self, linker: &mut Linker<T>, store: &mut Store<T>) {
        let engine = linker.engine().clone();
        let flags = SharedMemory::new(&engine, MemoryType::shared(1, FLAGS_MAX_PAGES as u32));
        linker.define(&mut *store, FLAGS_MODULE, FLAGS_MEMORY, flags.unwrap()).unwrap();
        let sets = linker.instantiate(&mut *store, &sets(&engine)).unwrap();
        self.set = Some(sets.get_typed_func(&mut *store, "set").unwrap());
    }

    /// Gives an instance its flag and its stop function.
    pub(crate) fn connect<T: 'static>(&self, store: &mut Store<T>, instance: Instance) {
        let stops = self.clone();
        let stop = Func::wrap(&mut *store, move |mut caller: Caller<'_, T>, bits: i32| {
            assert_eq!(bits, 1);
            stops.seen.fetch_add(1, Relaxed);
            stops.set_flag_if_any_is_left(&mut caller)
        });
        self.connect_to(store, instance, stop);
    }

    /// The same, with another stop function.
    pub(crate) fn connect_to<T>(&self, store: &mut Store<T>, instance: Instance, stop: Func) {
        let address = instance.get_global(&mut *store, FLAG).unwrap();
        address.set(&mut *store, Val::I32(ADDRESS)).unwrap();
        let place = instance.get_global(&mut *store, STOP).unwrap();
        place.set(&mut *store, Val::FuncRef(Some(stop))).unwrap();
        self.set_flag_if_any_is_left(&mut *store).unwrap();
    }

    fn set_flag_if_any_is_left(&self, store: impl AsContextMut) -> wasmtime::Result<()> {
        let one_less = |left: u64| left.checked_sub(1);
        match self.left.fetch_update(Relaxed, Relaxed, one_less) {
            Ok(_) => self.set_flag(store),
            Err(_) => Ok(()),
        }
    }

    /// The next check stops the guest.
    pub(crate) fn set_flag(&self, store: impl AsContextMut) -> wasmtime::Result<()> {
        self.set.as_ref().expect("it was defined").call(store, ADDRESS)
    }
}

#[test]
fn random_modules_do_the_same_wherever_they_are_stopped() {
    let engine = stoppable_engine();
    let counts = each_seed(1_600, |seed| check(&engine, seed));
    let count = |what: &str| counts.get(what).copied().unwrap_or(0);
    let stopped = count("compared, and stopped");
    let total: u64 = counts.values().sum();
    assert!(stopped * 20 > total, "too few modules were stopped: {counts:?}");
}

fn check(engine: &Engine, seed: u64) -> &'static str {
    let Some(wasm) = random_module(seed) else { return "not made" };
    let interval = Random(seed).of(&[1, 5, 50, 20_000]);
    let options = Options::default().stops(true).check_interval(interval);
    let new = match transform_with(&wasm, &options) {
        Ok(transformed) => transformed,
        Err(Error::SharedMemory { .. }) => return "not transformed: a shared memory",
        Err(Error::ImportedStart { .. }) => return "not transformed: an imported start function",
        Err(error) => panic!("{error}"),
    };
    let again = transform_with(&wasm, &options).unwrap();
    assert_eq!(again.wasm, new.wasm);
    let original = Module::new(engine, &wasm).unwrap();
    let module = Module::new(engine, &new.wasm).unwrap_or_else(|error| panic!("{error:?}"));
    let calls = calls(&original, seed);
    let mut seen = 0;
    let some = Random(seed).below(20) + 1;
    for checks in [0, u64::MAX, some] {
        let Some(mut before) = Running::new(&original, FUEL) else { return "not linked" };
        let mut stops = Stops::at_the_first(checks);
        let after = Running::with_stops(&module, FUEL * 200, &mut stops).unwrap();
        let started = after.and_then(|mut after| {
            stops.connect(&mut after.store, after.instance);
            if new.layout.start.is_some() {
                after.call(START, &[])?;
            }
            Ok(after)
        });
        let (before, mut after) = match (&mut before, started) {
            (Ok(before), Ok(after)) => (before, after),
            (Err(Failure::Limit), _) => return "not compared: a limit",
            (Err(before), Err(after)) => {
                assert_eq!(*before, after);
                return "trapped when it was made";
            }
            (before, after) => panic!("{:?}, {:?}", before.as_ref().err(), after.err()),
        };
        for (name, arguments) in &calls {
            let expected = before.call(name, arguments);
            if expected == Err(Failure::Limit) {
                return "not compared: a limit";
            }
            let found = after.call(name, arguments);
            assert_eq!(found, expected, "{name} {arguments:?}, stopped at {checks} checks");
            assert_eq!(after.seen(&original), before.seen(&original), "{name} {arguments:?}");
        }
        let now = stops.seen.load(Relaxed);
        assert!(now <= checks);
        seen += now;
    }
    if seen > 0 { "compared, and stopped" } else { "compared, and never stopped" }
}
