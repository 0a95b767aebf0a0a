//! What wasmtime's debugger reads from the frame of a guest that is stopped in a check, it reads again when the check is over.
//!
//! At each stop, the stop function reads all locals and operands of the guest's frame. Then the debugger steps through the rest of the check,
//! which takes the carried values out of the globals, and at the instruction after it reads them again.

#[path = "../../tests/it/program/mod.rs"]
#[allow(dead_code)]
mod program;
#[path = "../../tests/it/splitmix.rs"]
#[allow(dead_code)]
mod splitmix;

use program::{BUDGET, HOST, MAKE, program};
use splitmix::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use wasm_jobs_transform::{
    FLAG, FLAGS_MAX_PAGES, FLAGS_MEMORY, FLAGS_MODULE, Options, START, STOP, transform_with,
};
use wasmparser::{FunctionBody, Operator, Parser, Payload, TypeRef};
use wasmtime::{
    AsContextMut, Caller, Config, DebugEvent, DebugHandler, Engine, ExternRef, FrameHandle, Func,
    Linker, MemoryType, Module, OptLevel, SharedMemory, Store, StoreContextMut, TypedFunc, Val,
};

/// After so many stops, a guest is stopped no more: single steps take their time.
const MOST_STOPS: u64 = 30;

const ADDRESS: i32 = 8;

/// Sets the flag, in a store of its own.
const SETS: &str = r#"(module
    (import "__wasm_jobs" "flags" (memory 1 64 shared))
    (func (export "set") (param i32) (drop (i32.atomic.rmw.or (local.get 0) (i32.const 1)))))"#;

/// What the debugger reads from a frame.
#[derive(Debug, PartialEq)]
struct Frame {
    function: u32,
    locals: Vec<String>,
    operands: Vec<String>,
}

/// The data of a store.
#[derive(Default)]
struct Debugger {
    /// The frame of the guest that is in a check, and where the `end` of the check is.
    stopped: Option<(Frame, u32)>,
    code: Code,
    stops: u64,
    /// How many values were compared.
    compared: u64,
}

fn shown(store: &mut StoreContextMut<'_, Debugger>, value: &Val) -> String {
    match value {
        Val::ExternRef(Some(reference)) => {
            let number = reference.data(&*store).unwrap();
            format!("{:?}", number.and_then(|number| number.downcast_ref::<i32>()))
        }
        Val::ExnRef(Some(exception)) => {
            let fields: Vec<_> = exception.fields(&mut *store).unwrap().collect();
            fields.iter().map(|field| shown(store, field)).collect()
        }
        other => format!("{other:?}"),
    }
}

/// `end` is that of the check.
fn read(mut store: impl AsContextMut<Data = Debugger>, frame: &FrameHandle, end: u32) -> Frame {
    let mut store = store.as_context_mut();
    let (function, _) = frame.wasm_function_index_and_pc(&mut store).unwrap().unwrap();
    let Code { ends, locals } = &store.data().code;
    // The debugger must not read a local that cannot be null and was not written yet. What a check carries was written.
    let carried = &ends[&end];
    let locals = (0..).zip(&locals[function.as_u32() as usize]);
    let locals = locals.filter(|(local, has_value)| **has_value || carried.contains(local));
    let locals: Vec<_> = locals.map(|(local, _)| local).collect();
    let locals = locals.into_iter().map(|local| {
        let value = frame.local(&mut store, local).unwrap();
        shown(&mut store, &value)
    });
    let locals = locals.collect();
    let operands = frame.num_stacks(&mut store).unwrap();
    let operands = (0..operands).map(|operand| {
        let value = frame.stack(&mut store, operand).unwrap();
        shown(&mut store, &value)
    });
    let operands = operands.collect();
    Frame { function: function.as_u32(), locals, operands }
}

/// The stop function: reads the frame of the guest, and begins to step.
fn stop(caller: &mut Caller<'_, Debugger>) {
    // The innermost frame is that of the function that takes the bits out of the flag.
    let inner = caller.debug_exit_frames().next().unwrap();
    let frame = inner.parent(&mut *caller).unwrap().unwrap();
    let (_, pc) = frame.wasm_function_index_and_pc(&mut *caller).unwrap().unwrap();
    let debugger = caller.data_mut();
    debugger.stops += 1;
    let (&end, _) = debugger.code.ends.range(pc.raw()..).next().expect("each check ends");
    let seen = read(&mut *caller, &frame, end);
    let debugger = caller.data_mut();
    let before = debugger.stopped.replace((seen, end));
    assert!(before.is_none(), "the last check was seen to end");
    caller.edit_breakpoints().unwrap().single_step(true).unwrap();
}

#[derive(Clone)]
struct Steps;

impl DebugHandler for Steps {
    type Data = Debugger;

    async fn handle(&self, mut store: StoreContextMut<'_, Debugger>, event: DebugEvent<'_>) {
        if !matches!(event, DebugEvent::Breakpoint) {
            return;
        }
        let Some((before, end)) = store.data_mut().stopped.take() else { return };
        let frame = store.debug_exit_frames().next().unwrap();
        let (function, pc) = frame.wasm_function_index_and_pc(&mut store).unwrap().unwrap();
        if function.as_u32() != before.function || pc.raw() <= end {
            store.data_mut().stopped = Some((before, end));
            return;
        }
        let after = read(&mut store, &frame, end);
        assert_eq!(after, before, "at {end}");
        store.data_mut().compared += (after.locals.len() + after.operands.len()) as u64;
        store.edit_breakpoints().unwrap().single_step(false).unwrap();
    }
}

/// What has to be known of a module's functions.
#[derive(Default)]
struct Code {
    /// Where each check ends, and the locals that it carries.
    ends: BTreeMap<u32, BTreeSet<u32>>,
    /// For each local of each function, whether it always has a value.
    locals: Vec<Vec<bool>>,
}

impl Code {
    fn new(wasm: &[u8]) -> Self {
        let mut types = Vec::new();
        let mut functions = Vec::new();
        let mut imported = 0;
        let mut code = Self::default();
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.unwrap() {
                Payload::TypeSection(section) => {
                    let groups = section.into_iter().map(Result::unwrap);
                    let all = groups.flat_map(|group| group.into_types());
                    types.extend(all.map(|ty| ty.unwrap_func().params().len()));
                }
                Payload::ImportSection(imports) => {
                    let imports = imports.into_imports().map(|import| import.unwrap().ty);
                    imported = imports.filter(|ty| matches!(ty, TypeRef::Func(_))).count();
                }
                Payload::FunctionSection(section) => {
                    functions.extend(section.into_iter().map(Result::unwrap));
                }
                Payload::CodeSectionEntry(body) => {
                    let mut locals = vec![true; types[functions[code.locals.len()] as usize]];
                    for group in body.get_locals_reader().unwrap() {
                        let (count, ty) = group.unwrap();
                        locals.extend((0..count).map(|_| ty.is_defaultable()));
                    }
                    code.locals.push(locals);
                    // Each check calls the function that comes last.
                    code.checks(&body, (imported + functions.len() - 1) as u32);
                }
                _ => {}
            }
        }
        code
    }

    fn checks(&mut self, body: &FunctionBody<'_>, stopped: u32) {
        let mut carried = None;
        for operator in body.get_operators_reader().unwrap().into_iter_with_offsets() {
            match operator.unwrap() {
                (Operator::Call { function_index }, _) if function_index == stopped => {
                    carried = Some(BTreeSet::new());
                }
                (Operator::LocalSet { local_index }, _) => {
                    carried.iter_mut().for_each(|carried| _ = carried.insert(local_index));
                }
                (Operator::End, at) => {
                    self.ends.extend(carried.take().map(|carried| (at as u32, carried)));
                }
                _ => {}
            }
        }
    }
}

/// Runs a future that is never suspended.
fn run<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing suspends the guest"),
    }
}

fn engine() -> Engine {
    let mut config = Config::new();
    config.guest_debug(true).shared_memory(true).cranelift_opt_level(OptLevel::None);
    Engine::new(&config).unwrap()
}

/// Calls all functions of a module that take numbers. How many values were compared.
fn debug(engine: &Engine, wasm: &[u8], interval: u32) -> u64 {
    let options = Options::default().stops(true).check_interval(interval);
    let new = transform_with(wasm, &options).unwrap();
    let module = Module::new(engine, &new.wasm).unwrap();
    let ty = MemoryType::shared(1, FLAGS_MAX_PAGES as u32);
    let flags = SharedMemory::new(engine, ty).unwrap();
    let setter = setter(engine, &flags);
    let set = move || {
        let (store, set): &mut (Store<()>, TypedFunc<i32, ()>) = &mut setter.lock().unwrap();
        set.call(store, ADDRESS).unwrap();
    };

    let debugger = Debugger { code: Code::new(&new.wasm), ..Debugger::default() };
    let mut store = Store::new(engine, debugger);
    store.set_debug_handler(Steps);
    let mut linker = Linker::new(engine);
    linker.define(&store, FLAGS_MODULE, FLAGS_MEMORY, flags).unwrap();
    let make = |mut caller: Caller<'_, Debugger>, number: i32| {
        ExternRef::new(&mut caller, number).map(Some)
    };
    linker.func_wrap(HOST, MAKE, make).unwrap();
    linker.define_unknown_imports_as_default_values(&mut store, &module).unwrap();
    let Ok(instance) = run(linker.instantiate_async(&mut store, &module)) else { return 0 };
    let global = |store: &mut Store<Debugger>, name, value| {
        if let Some(global) = instance.get_global(&mut *store, name) {
            global.set(&mut *store, value).unwrap();
        }
    };
    global(&mut store, FLAG, Val::I32(ADDRESS));
    let set_again = set.clone();
    let stop = Func::wrap(&mut store, move |mut caller: Caller<'_, Debugger>, _: i32| {
        stop(&mut caller);
        if !caller.data().stops.is_multiple_of(MOST_STOPS) {
            set_again();
        }
    });
    global(&mut store, STOP, Val::FuncRef(Some(stop)));
    let names = module.exports().filter(|export| export.ty().func().is_some());
    let names = names.map(|export| export.name().to_owned());
    let names: Vec<_> =
        names.filter(|name| !name.starts_with("__wasm_jobs_") || name == START).collect();
    for name in names {
        let function = instance.get_func(&mut store, &name).unwrap();
        let ty = function.ty(&store);
        let arguments: Option<Vec<Val>> = ty.params().map(|ty| ty.default_value()).collect();
        let Some(arguments) = arguments else { continue };
        let mut results = vec![Val::I32(0); ty.results().len()];
        global(&mut store, BUDGET, Val::I32(20));
        set();
        // Traps and exceptions are fine, but not in a check.
        _ = run(function.call_async(&mut store, &arguments, &mut results));
        store.take_pending_exception();
        assert!(store.data().stopped.is_none(), "{name} left a check early");
    }
    store.data().compared
}

type Setter = Arc<Mutex<(Store<()>, TypedFunc<i32, ()>)>>;

fn setter(engine: &Engine, flags: &SharedMemory) -> Setter {
    let sets = Module::new(engine, wat::parse_str(SETS).unwrap()).unwrap();
    let mut store = Store::new(engine, ());
    let mut linker = Linker::new(engine);
    linker.define(&store, FLAGS_MODULE, FLAGS_MEMORY, flags.clone()).unwrap();
    let instance = linker.instantiate(&mut store, &sets).unwrap();
    let set = instance.get_typed_func(&mut store, "set").unwrap();
    Arc::new(Mutex::new((store, set)))
}

#[test]
fn locals_and_operands_are_the_same_before_and_after_a_check() {
    let text = r#"(module
        (func (export "f") (param i32) (result i32)
            (local i64 f32 f64 v128 funcref externref exnref i32)
            (local.set 1 (i64.const 1)) (local.set 2 (f32.const 2)) (local.set 3 (f64.const 3))
            (local.set 4 (v128.const i64x2 4 5)) (local.set 5 (ref.func 0)) (local.set 8 (i32.const 9))
            (i32.const 77)
            (i64.const 6) (f64.const 7)
            (loop (param i64 f64) (result f64 i64)
                (local.set 3) (local.set 1)
                (local.set 4 (i64x2.add (local.get 4) (local.get 4)))
                (local.set 2 (f32.add (local.get 2) (local.get 2)))
                (drop (ref.is_null (local.get 5))) (drop (ref.is_null (local.get 6)))
                (drop (ref.is_null (local.get 7)))
                (i64.add (local.get 1) (i64.const 1)) (f64.add (local.get 3) (f64.const 1))
                (br_if 0 (local.tee 8 (i32.sub (local.get 8) (i32.const 1))))
                (local.set 3) (local.set 1) (local.get 3) (local.get 1))
            (drop) (drop)))"#;
    let compared = debug(&engine(), &wat::parse_str(text).unwrap(), 40_000);
    // Nine stops, with nine locals and two more for the loop's operands, and one operand.
    assert_eq!(compared, 9 * 12);
}

#[test]
fn locals_and_operands_of_random_programs_are_the_same() {
    let engine = engine();
    let mut compared = 0;
    for seed in 0..if cfg!(debug_assertions) { 30 } else { 1_000 } {
        let interval = Random(seed).of(&[5, 50, 40_000]);
        compared += debug(&engine, &program(seed), interval);
    }
    println!("{compared} values");
    assert!(compared > 1_000, "{compared}");
}
