//! What the tests with random modules share: numbers, seeds, and running a module.
//!
//! `WASM_JOBS_RANDOM_MODULES` says how many modules each of these tests makes, `WASM_JOBS_RANDOM_SEED` the first seed.

use crate::run::shown;
pub(crate) use crate::splitmix::Random;
use crate::stopped::Stops;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use wasmtime::{
    Config, Engine, Extern, Instance, Linker, Module, OptLevel, Store, StoreLimits,
    StoreLimitsBuilder, Trap, Val, ValType,
};

/// Runs a test for many seeds, on all processors. The test says what came of each; that is counted and printed.
pub(crate) fn each_seed(
    modules: u64,
    test: impl Fn(u64) -> &'static str + Sync,
) -> BTreeMap<&'static str, u64> {
    let number =
        |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("it is a number"));
    let first = number("WASM_JOBS_RANDOM_SEED").unwrap_or(0);
    let end = first + number("WASM_JOBS_RANDOM_MODULES").unwrap_or(modules);
    let next = AtomicU64::new(first);
    let counts = Mutex::new(BTreeMap::new());
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || failed.lock().unwrap().is_some() {
                        break;
                    }
                    let outcome =
                        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(seed)));
                    match outcome {
                        Ok(outcome) => *counts.lock().unwrap().entry(outcome).or_insert(0) += 1,
                        Err(_) => *failed.lock().unwrap() = Some(seed),
                    }
                }
            });
        }
    });
    if let Some(seed) = failed.into_inner().unwrap() {
        panic!("failed with WASM_JOBS_RANDOM_SEED={seed} WASM_JOBS_RANDOM_MODULES=1");
    }
    let counts = counts.into_inner().unwrap();
    println!("{counts:?}");
    counts
}

/// An engine whose results do not depend on how code was compiled.
pub(crate) fn engine() -> Engine {
    Engine::new(&config()).unwrap()
}

/// The same for modules with checks.
pub(crate) fn stoppable_engine() -> Engine {
    Engine::new(config().shared_memory(true)).unwrap()
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .cranelift_nan_canonicalization(true)
        .cranelift_opt_level(OptLevel::None)
        .parallel_compilation(false)
        .relaxed_simd_deterministic(true)
        .wasm_backtrace_max_frames(None);
    config
}

pub(crate) struct Running {
    pub(crate) store: Store<StoreLimits>,
    pub(crate) instance: Instance,
    fuel: u64,
}

/// Why a call, or making an instance, went wrong. The text of a trap is its code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Trap(String),
    /// The module or the machine is at a limit that the transformation may move.
    Limit,
}

impl Failure {
    pub(crate) fn of(error: &wasmtime::Error) -> Self {
        match error.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel | Trap::StackOverflow) => Self::Limit,
            Some(trap) => Self::Trap(format!("{trap:?}")),
            None => Self::Trap(error.root_cause().to_string()),
        }
    }
}

impl Running {
    /// Makes an instance. Imports are functions that return zeros, and empty memories, tables and globals. `None` if some import
    /// cannot be made up.
    pub(crate) fn new(module: &Module, fuel: u64) -> Option<Result<Self, Failure>> {
        Self::made(module, fuel, None)
    }

    /// The same for a module with checks.
    pub(crate) fn with_stops(
        module: &Module,
        fuel: u64,
        stops: &mut Stops,
    ) -> Option<Result<Self, Failure>> {
        Self::made(module, fuel, Some(stops))
    }

    fn made(
        module: &Module,
        fuel: u64,
        stops: Option<&mut Stops>,
    ) -> Option<Result<Self, Failure>> {
        let engine = module.engine();
        let limits = StoreLimitsBuilder::new().memory_size(1 << 20).table_elements(2_000).build();
        let mut store = Store::new(engine, limits);
        store.limiter(|limits| limits);
        store.set_fuel(fuel).unwrap();
        let mut linker = Linker::new(engine);
        if let Some(stops) = stops {
            stops.define(&mut linker, &mut store);
        }
        linker.define_unknown_imports_as_default_values(&mut store, module).ok()?;
        Some(match linker.instantiate(&mut store, module) {
            Ok(instance) => Ok(Self { store, instance, fuel }),
            Err(error) => Err(Failure::of(&error)),
        })
    }

    /// Calls a function. The results are text.
    pub(crate) fn call(&mut self, name: &str, arguments: &[Val]) -> Result<String, Failure> {
        self.store.set_fuel(self.fuel).unwrap();
        let function = self.instance.get_func(&mut self.store, name).unwrap();
        let results = function.ty(&self.store).results().len();
        let mut results = vec![Val::I32(0); results];
        match function.call(&mut self.store, arguments, &mut results) {
            Ok(()) => Ok(results.iter().map(shown).collect::<Vec<_>>().join(" ")),
            Err(error) => Err(Failure::of(&error)),
        }
    }

    /// The contents of exported globals and tables, as text, and those of memories. Of references it tells which are null.
    pub(crate) fn seen(&mut self, module: &Module) -> (String, Vec<Vec<u8>>) {
        let mut seen = String::new();
        let mut memories = Vec::new();
        for export in module.exports() {
            let name = export.name();
            match self.instance.get_export(&mut self.store, name).unwrap() {
                Extern::Global(global) => {
                    let value = shown(&global.get(&mut self.store));
                    writeln!(seen, "{name}: {value}").unwrap();
                }
                Extern::Memory(memory) => {
                    memories.push(memory.data(&self.store).to_vec());
                }
                Extern::Table(table) => {
                    write!(seen, "{name}:").unwrap();
                    for at in 0..table.size(&self.store) {
                        let element: Val = table.get(&mut self.store, at).unwrap().into();
                        write!(seen, " {}", shown(&element)).unwrap();
                    }
                    seen.push('\n');
                }
                _ => {}
            }
        }
        (seen, memories)
    }
}

/// Arguments for a function, the same each time. `None` if it takes a reference that cannot be null.
pub(crate) fn arguments(
    random: &mut Random,
    params: impl Iterator<Item = ValType>,
) -> Option<Vec<Val>> {
    let numbers = [0, 1, 2, 3, 7, 100, 65_535, u64::MAX, 1 << 31];
    let arguments = params.map(|ty| {
        let number = random.of(&numbers);
        Some(match ty {
            ValType::I32 => Val::I32(number as i32),
            ValType::I64 => Val::I64(number as i64),
            ValType::F32 => Val::F32((number as f32).to_bits()),
            ValType::F64 => Val::F64((number as f64).to_bits()),
            other => other.default_value()?,
        })
    });
    arguments.collect()
}
