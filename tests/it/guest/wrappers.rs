//! Wrappers that `wrapper!` writes, as a host uses them.

use super::{ENGINE, Host, compile, linker};
use crate::support::workers;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use wasm_jobs::wasmtime::{self, ExternRef, Linker, Module, V128};
use wasm_jobs::{
    Embedded, EngineOptions, Error, Future, Instance, InstanceOptions, JobPool, Slice, Step,
    add_yield, engine, wrapper,
};

wrapper! {
    /// Counts prime numbers.
    struct Primes<Host> in "guests/primes.wasm";
}

wrapper! {
    struct CarefulPrimes<Host> in "guests/primes.wasm" { traps: value, embed: false }
}

wrapper! {
    /// Draws.
    pub(crate) struct Mandelbrot<Arc<AtomicU32>> in "guests/mandelbrot.wasm";
}

wrapper! {
    struct Creature in "guests/creature.wasm" { embed: false }
}

wrapper! {
    struct Exports in "tests/it/guest/exports.wat" { rename: { "a-b" => a_dash_b } }
}

wrapper! {
    struct ExportsWithTraps in "tests/it/guest/exports.wat" {
        traps: value,
        rename: { "a-b" => a_dash_b },
    }
}

fn exports() -> Result<Exports, Error> {
    Exports::new(&*ENGINE, &Linker::new(&ENGINE), ())
}

#[test]
fn a_guest_is_called_by_its_methods() -> Result<(), Error> {
    let primes = Primes::new(&*ENGINE, &linker(&ENGINE)?, Host::default())?;
    let mut future = primes.count_primes(0, 10_000)?;
    assert!(matches!(primes.count_primes(0, 1), Err(Error::CallInProgress)));
    while future.resume()? != Step::Done {}
    assert_eq!(future.try_get_result()?, Some(1229));

    let mut future = primes.count_primes(0, 100)?;
    workers(2).submit(future.to_job()?).wait();
    assert_eq!(future.try_get_result()?, Some(25));
    Ok(())
}

#[test]
fn a_wrapper_without_bytes_is_given_its_module() -> Result<(), Error> {
    let module = Module::new(&ENGINE, Primes::WASM)?;
    let careful = CarefulPrimes::new(&module, &linker(&ENGINE)?, Host::default())?;
    assert_eq!(careful.count_primes(0, 100)?.wait()?.expect("the guest does not trap"), 25);
    let primes = Primes::new(&module, &linker(&ENGINE)?, Host::default())?;
    assert_eq!(primes.count_primes(0, 100)?.wait()?, 25);
    Ok(())
}

#[test]
fn one_module_makes_many_instances() -> Result<(), Error> {
    let mut linker = Linker::new(&ENGINE);
    add_yield(&mut linker, "env", "yield")?;
    linker.func_wrap("env", "row_done", |caller: wasmtime::Caller<'_, Arc<AtomicU32>>| {
        caller.data().fetch_add(1, Relaxed);
    })?;
    let pre = linker.instantiate_pre(&Mandelbrot::module(&ENGINE)?)?;
    let rows = Arc::new(AtomicU32::new(0));
    for _ in 0..2 {
        let drawing = Mandelbrot::from_instance(Instance::new(&pre, rows.clone())?)?;
        let address = drawing.render(-2.0, 1.0, 0.01)?.wait()? as u32 as usize;
        assert!(drawing.memory()?.slice(address, 1_000)?.iter().any(|byte| *byte != 0));
    }
    assert!(rows.load(Relaxed) > 0 && rows.load(Relaxed).is_multiple_of(2));
    Ok(())
}

#[test]
fn a_wrapper_derefs_to_its_instance() -> Result<(), Error> {
    let options = InstanceOptions::default().memory(1 << 20).measure_time(true);
    let exports = Exports::with_options(&*ENGINE, &Linker::new(&ENGINE), options, || ())?;
    exports.set_slice(Slice::Unbounded)?;
    assert_eq!(exports.slice(), Slice::Unbounded);
    exports.counter_add(2)?.wait()?;
    assert!(exports.time_used()? > std::time::Duration::ZERO);
    assert!(!exports.is_poisoned());
    assert!(matches!(exports.divide(1, 0)?.wait(), Err(Error::Trap(_))));
    assert!(exports.is_poisoned());
    assert!(matches!(exports.divide(1, 1), Err(Error::Poisoned)));
    // The guest exports a function named `reset`, which hides `Instance::reset`.
    assert!(matches!(exports.reset(), Err(Error::Poisoned)));
    exports.instance().reset()?;
    assert_eq!(exports.divide(7, 2)?.wait()?, 3);
    assert_eq!(exports.counter()?, 0, "the guest is a new one");
    assert_eq!(exports.reset()?.wait()?, 42);

    let instance = exports.into_instance();
    assert_eq!(instance.call::<(i32, i32), i32>("divide", (8, 2))?.wait()?, 4);
    assert!(format!("{:?}", Exports::from_instance(instance)?).starts_with("Exports {"));
    Ok(())
}

#[test]
fn traps_are_values_if_that_option_is_set() -> Result<(), Error> {
    let exports = ExportsWithTraps::new(&*ENGINE, &Linker::new(&ENGINE), ())?;
    assert_eq!(exports.divide(7, 2)?.wait()?.expect("the guest does not trap"), 3);
    let trap = exports.divide(7, 0)?.wait()?.expect_err("a division by zero traps");
    assert_eq!(trap.code(), wasmtime::Trap::IntegerDivisionByZero);
    assert!(matches!(exports.divide(7, 2), Err(Error::Poisoned)));
    assert!(exports.is_poisoned());
    Ok(())
}

#[test]
fn functions_of_all_types_have_methods() -> Result<(), Error> {
    let exports = exports()?;
    let (a, b, c, d) = exports.all_numbers(1, 2, 3.5, 4.5)?.wait()?;
    assert_eq!((a, b, c.to_bits(), d.to_bits()), (1, 2, 3.5_f32.to_bits(), 4.5_f64.to_bits()));
    assert_eq!(exports.same_v128(V128::from(7))?.wait()?.as_u128(), 7);

    let reference = {
        let mut store = exports.store()?;
        let reference = ExternRef::new(&mut store, "mine")?;
        reference.to_owned_rooted(&mut store)?
    };
    let same = exports.same_externref(Some(reference))?.wait()?.expect("the reference is not null");
    let mut store = exports.store()?;
    let same = same.to_rooted(&mut store);
    let data = same.data(&store)?.and_then(|data| data.downcast_ref::<&str>());
    assert_eq!(data, Some(&"mine"));
    drop(store);

    assert!(exports.same_funcref(None)?.wait()?.is_none());
    Ok(())
}

#[test]
fn exports_whose_names_are_no_rust_names_have_methods() -> Result<(), Error> {
    let exports = exports()?;
    assert_eq!(exports.a_dash_b()?.wait()?, 1);
    assert_eq!(exports.a_b()?.wait()?, 2);
    assert_eq!(exports.match_()?.wait()?, 3);
    assert_eq!(exports._1st()?.wait()?, 4);
    assert_eq!(exports.new_()?.wait()?, 5);
    Ok(())
}

#[test]
fn globals_memories_and_tables_have_accessors() -> Result<(), Error> {
    let exports = exports()?;
    assert_eq!(exports.answer()?, 42);
    exports.set_counter(5)?;
    exports.counter_add(2)?.wait()?;
    assert_eq!(exports.counter()?, 7);
    exports.set_ratio(0.5)?;
    assert_eq!(exports.ratio()?.to_bits(), 0.5_f64.to_bits());

    exports.memory()?.write(16, 3_i32)?;
    assert_eq!(exports.load(16)?.wait()?, 3);
    let mut table = exports.table()?;
    assert!(table.get(0)?.func().is_some());
    assert_eq!(table.size(), 2);
    drop(table);

    let call = exports.counter_add(1)?;
    assert!(matches!(exports.counter(), Err(Error::CallInProgress)));
    assert!(matches!(exports.set_counter(1), Err(Error::CallInProgress)));
    assert!(matches!(exports.memory(), Err(Error::CallInProgress)));
    drop(call);
    assert_eq!(exports.counter()?, 7);
    Ok(())
}

/// The module of [`Exports`], with a part of its text replaced.
fn altered(from: &str, to: &str) -> Module {
    let text = include_str!("exports.wat");
    assert!(text.contains(from), "{from} is not in the text");
    compile(&ENGINE, &text.replace(from, to)).expect("the altered text is valid")
}

#[test]
fn a_module_that_differs_is_refused_and_the_difference_named() {
    let refused = |from: &str, to: &str| {
        let module = altered(from, to);
        let linker = Linker::new(&ENGINE);
        let new = Exports::new(&module, &linker, ()).expect_err("the module differs").to_string();
        let pre = linker.instantiate_pre(&module).expect("the module imports nothing");
        let instance = Instance::new(&pre, ()).expect("the module can be instantiated");
        let of_instance =
            Exports::from_instance(instance).expect_err("the module differs").to_string();
        (new, of_instance)
    };

    let (new, of_instance) = refused("\"counter-add\"", "\"counter-sub\"");
    assert_eq!(new, "export \"counter-add\": the module has no export of that name");
    assert_eq!(of_instance, new);

    let (new, of_instance) = refused("\"load\") (param i32)", "\"load\") (param i32 i32)");
    assert_eq!(
        new,
        "export \"load\": its type is (i32, i32) -> (i32), and it was asked for as (i32) -> (i32)"
    );
    assert!(of_instance.starts_with("export \"load\": its type is (i32, i32) -> i32"));

    let (new, of_instance) = refused("\"answer\") i32 (i32.const", "\"answer\") i64 (i64.const");
    assert_eq!(new, "export \"answer\": it is a global of type i64, and was asked for as i32");
    assert_eq!(of_instance, new);

    let (new, of_instance) = refused("\"ratio\") (mut f64)", "\"ratio\") f64");
    assert_eq!(new, "export \"ratio\": it is a global of type f64, and was asked for as mut f64");
    assert_eq!(of_instance, new);

    let (new, of_instance) = refused(
        "(table (export \"table\")",
        "(global (export \"table\") i32 (i32.const 0)) (table",
    );
    assert_eq!(new, "export \"table\": it is a global, and was asked for as a table");
    assert_eq!(of_instance, new);
}

/// The wrapper refuses the module before instantiation. So no code of the module runs, and the error is not that of the missing import.
#[test]
fn a_module_that_differs_is_refused_before_it_is_instantiated() -> Result<(), Error> {
    let module = compile(&ENGINE, r#"(module (import "no" "such" (func $no)) (start $no))"#)?;
    let refused = CarefulPrimes::new(&module, &linker(&ENGINE)?, Host::default());
    assert!(matches!(refused, Err(Error::ExportNotFound { .. })));
    Ok(())
}

#[test]
fn a_module_may_have_more_exports_than_its_wrapper() -> Result<(), Error> {
    let module = altered("(memory", "(func (export \"more\")) (memory");
    let exports = Exports::new(&module, &Linker::new(&ENGINE), ())?;
    assert_eq!(exports.load(0)?.wait()?, 0);
    Ok(())
}

#[test]
fn the_script_of_the_example_has_its_methods() -> Result<(), Error> {
    let engine = engine(&EngineOptions::default())?;
    let module = Module::from_file(&engine, "guests/creature.wasm")?;
    let refused = Creature::new(&module, &Linker::new(&engine), ());
    assert!(matches!(refused, Err(Error::MissingImport { .. })), "the exports were found");
    let _: fn(&Creature) -> Result<Future<i32>, Error> = Creature::act;
    let _: fn(&Creature) -> Result<Future<()>, Error> = Creature::think;
    Ok(())
}
