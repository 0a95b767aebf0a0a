//! SlotValue a call gives the host when it is saved is what wasmtime's debugger reads from its frames.

#[path = "../../tests/it/program/mod.rs"]
#[allow(dead_code)]
mod program;
#[path = "../../tests/it/splitmix.rs"]
#[allow(dead_code)]
mod splitmix;

use program::{BACK, BUDGET, HOST, LOG, MAKE, SHOW, program};
use std::collections::VecDeque;
use std::sync::Arc;
use wasm_jobs_transform::{
    FrameLayout, Options, SAVE, SAVING, START, SlotValue, ValueType, transform_with,
};
use wasmtime::{
    AsContextMut, Caller, Config, Engine, ExternRef, Func, Linker, Module, OptLevel, Rooted, Store,
    StoreContextMut, Val,
};

/// Calls are saved at each of the first so many calls of the host.
const MOST_CALLS: u64 = 12;

/// SlotValue the debugger reads from a frame.
#[derive(Debug)]
struct Seen {
    function: u32,
    locals: Vec<String>,
    operands: Vec<String>,
}

/// SlotValue a function gives the host.
#[derive(Debug, Default)]
struct Saved {
    words: Vec<i64>,
    references: VecDeque<String>,
}

/// The data of a store.
#[derive(Default)]
struct Host {
    /// How many calls of the host there are before the one at which the call is saved. `None` if that has been.
    left: Option<u64>,
    /// The frames, from the innermost one.
    seen: Vec<Seen>,
    saved: Vec<Saved>,
    frames: Arc<FrameLayout>,
    /// How many functions the module imports. The debugger does not count them.
    imported: u32,
}

fn shown(store: &mut StoreContextMut<'_, Host>, value: &Val) -> String {
    match value {
        Val::ExternRef(Some(reference)) => {
            let number = reference.data(&*store).unwrap();
            format!("{:?}", number.and_then(|number| number.downcast_ref::<i32>()))
        }
        Val::ExnRef(Some(exception)) => {
            let fields: Vec<_> = exception.fields(&mut *store).unwrap().collect();
            fields.iter().map(|field| shown(store, field)).collect()
        }
        Val::FuncRef(None) | Val::ExternRef(None) | Val::ExnRef(None) => "null".to_owned(),
        other => format!("{other:?}"),
    }
}

/// A call of the host: if it is its turn, this reads all frames, and has the call saved.
fn called(caller: &mut Caller<'_, Host>) {
    let Some(left) = caller.data().left else { return };
    caller.data_mut().left = left.checked_sub(1);
    if left > 0 {
        return;
    }
    let mut frame = caller.debug_exit_frames().next();
    while let Some(this) = frame {
        let function = this.wasm_function_index_and_pc(&mut *caller).unwrap().unwrap().0;
        let mut store = caller.as_context_mut();
        let locals = (0..this.num_locals(&mut store).unwrap()).map(|local| {
            let value = this.local(&mut store, local).unwrap();
            shown(&mut store, &value)
        });
        let locals = locals.collect();
        let operands = (0..this.num_stacks(&mut store).unwrap()).map(|operand| {
            let value = this.stack(&mut store, operand).unwrap();
            shown(&mut store, &value)
        });
        let operands = operands.collect();
        let function = caller.data().imported + function.as_u32();
        let seen = Seen { function, locals, operands };
        caller.data_mut().seen.push(seen);
        frame = this.parent(&mut *caller).unwrap();
    }
    let saving = caller.get_export(SAVING).and_then(wasmtime::Extern::into_global).unwrap();
    saving.set(caller, Val::I32(1)).unwrap();
}

/// Gives the host's functions to an instance.
fn connect(store: &mut Store<Host>, instance: wasmtime::Instance) {
    let mut set = |name: &str, function: &dyn Fn(&mut Store<Host>, wasmtime::FuncType) -> Func| {
        let Some(global) = instance.get_global(&mut *store, name) else { return };
        let ty = global.ty(&*store);
        let ty = ty.content().unwrap_ref().heap_type().unwrap_concrete_func().clone();
        let function = function(store, ty);
        global.set(&mut *store, Val::FuncRef(Some(function))).unwrap();
    };
    set(SAVE, &|store, ty| {
        Func::new(store, ty, |mut caller: Caller<'_, Host>, params, _| {
            let host = caller.data_mut();
            let frames = host.frames.clone();
            let is_whole =
                |saved: &Saved| saved.words.len() >= frames.points[saved.words[0] as usize].words();
            if host.saved.last().is_none_or(is_whole) {
                host.saved.push(Saved::default());
            }
            let saved = host.saved.last_mut().unwrap();
            saved.words.extend(params.iter().map(|word| word.unwrap_i64()));
            Ok(())
        })
    });
    for number in 0..64 {
        set(&format!("{SAVE}_reference_{number}"), &|store, ty| {
            Func::new(store, ty, |mut caller: Caller<'_, Host>, params, _| {
                let reference = shown(&mut caller.as_context_mut(), &params[0]);
                caller.data_mut().saved.last_mut().unwrap().references.push_back(reference);
                Ok(())
            })
        });
    }
}

/// Compares what was saved with what was seen. How many values there were.
fn compare(host: &mut Host) -> u64 {
    let mut compared = 0;
    assert_eq!(host.saved.len(), host.seen.len(), "{:?} {:?}", host.saved, host.seen);
    for (saved, seen) in host.saved.iter_mut().zip(&host.seen) {
        let point = &host.frames.points[saved.words[0] as usize];
        assert_eq!(point.function, seen.function);
        let mut next = saved.words[1..].iter().copied();
        let mut word = || next.next().unwrap();
        // Inside of an `if` with parameters, wasmtime's debugger sees these twice. So the saved operands are some of those that it sees, in
        // the same order.
        let mut operands: Vec<(u32, String)> = Vec::new();
        for slot in &point.slots {
            let value = match slot.ty {
                ValueType::I32 => format!("{:?}", Val::I32(word() as i32)),
                ValueType::I64 => format!("{:?}", Val::I64(word())),
                ValueType::F32 => format!("{:?}", Val::F32(word() as u32)),
                ValueType::F64 => format!("{:?}", Val::F64(word() as u64)),
                ValueType::V128 => {
                    let (low, high) = (word() as u64, word() as u64);
                    let value = u128::from(high) << 64 | u128::from(low);
                    format!("{:?}", Val::V128(value.into()))
                }
                ValueType::Reference(_) => saved.references.pop_front().unwrap(),
                other => panic!("{other:?} is no type of a value"),
            };
            match slot.what {
                SlotValue::Local(local) => {
                    assert_eq!(value, seen.locals[local as usize], "{slot:?} of {seen:?}");
                }
                SlotValue::Operand(height) => operands.push((height, value)),
                SlotValue::Nothing => continue,
            }
            compared += 1;
        }
        operands.sort_by_key(|(height, _)| *height);
        let mut all = seen.operands.iter();
        let is_seen = operands.iter().all(|(_, value)| all.any(|other| other == value));
        assert!(is_seen, "{operands:?} of {seen:?}");
    }
    compared
}

/// SlotValue was compared: calls, frames, and values.
#[derive(Debug, Default)]
struct Compared {
    calls: u64,
    frames: u64,
    values: u64,
}

/// Calls all functions that can be called with default values, and saves each call at each of its first calls of the host.
fn check(engine: &Engine, wasm: &[u8], compared: &mut Compared) {
    let new = transform_with(wasm, &Options::default().saves_calls(true)).unwrap();
    let module = Module::new(engine, &new.wasm).unwrap();
    let frames = Arc::new(new.frames);
    let imported = module.imports().filter(|import| import.ty().func().is_some()).count() as u32;
    let names = module.exports().filter(|export| export.ty().func().is_some());
    let names = names.map(|export| export.name().to_owned());
    let names: Vec<_> =
        names.filter(|name| !name.starts_with("__wasm_jobs_") || name == START).collect();
    for name in names {
        for left in 0..MOST_CALLS {
            let host =
                Host { left: Some(left), frames: frames.clone(), imported, ..Host::default() };
            let mut store = Store::new(engine, host);
            let mut linker = Linker::new(engine);
            let called_with = |mut caller: Caller<'_, Host>, _: i32| called(&mut caller);
            linker.func_wrap(HOST, LOG, called_with).unwrap();
            let shows = |mut caller: Caller<'_, Host>, _: Option<Rooted<ExternRef>>| {
                called(&mut caller);
            };
            linker.func_wrap(HOST, SHOW, shows).unwrap();
            linker
                .func_wrap(HOST, MAKE, |mut caller: Caller<'_, Host>, number: i32| {
                    called(&mut caller);
                    ExternRef::new(&mut caller, number).map(Some)
                })
                .unwrap();
            linker
                .func_wrap(HOST, BACK, |mut caller: Caller<'_, Host>| called(&mut caller))
                .unwrap();
            linker.define_unknown_imports_as_default_values(&mut store, &module).unwrap();
            let instance = linker.instantiate(&mut store, &module).unwrap();
            connect(&mut store, instance);
            if let Some(budget) = instance.get_global(&mut store, BUDGET) {
                budget.set(&mut store, Val::I32(20)).unwrap();
            }
            let function = instance.get_func(&mut store, &name).unwrap();
            let ty = function.ty(&store);
            let arguments: Option<Vec<Val>> = ty.params().map(|ty| ty.default_value()).collect();
            let Some(arguments) = arguments else { break };
            let mut results = vec![Val::I32(0); ty.results().len()];
            // Traps and exceptions are fine, but not when the call was saved.
            let ended = function.call(&mut store, &arguments, &mut results);
            store.take_pending_exception();
            if store.data().left.is_some() {
                break;
            }
            ended.unwrap();
            compared.values += compare(store.data_mut());
            compared.frames += store.data().saved.len() as u64;
            compared.calls += 1;
        }
    }
}

#[test]
fn random_programs_save_what_the_debugger_sees() {
    let mut config = Config::new();
    config.guest_debug(true).cranelift_opt_level(OptLevel::None);
    let engine = Engine::new(&config).unwrap();
    let mut compared = Compared::default();
    for seed in 0..if cfg!(debug_assertions) { 60 } else { 1_000 } {
        check(&engine, &program(seed), &mut compared);
    }
    println!("{compared:?}");
    assert!(compared.calls > 200 && compared.values > 2_000, "{compared:?}");
    assert!(compared.frames > compared.calls * 3 / 2, "{compared:?}");
}
