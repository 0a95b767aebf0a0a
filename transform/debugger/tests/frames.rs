//! What wasmtime's debugger reads from the frame of a guest that is stopped in a check, it reads again when the check is over.
//!
//! The stop function reads all locals and operands of the guest's frame. Then the cold path takes back what it carried around the call. At the
//! instruction after, there is a breakpoint, where they are read again.

#[path = "../../tests/it/program/mod.rs"]
#[allow(dead_code)]
mod program;
#[path = "../../tests/it/splitmix.rs"]
#[allow(dead_code)]
mod splitmix;

use program::{BUDGET, HOST, MAKE, program};
use splitmix::Random;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use wasm_jobs_transform::{
    FLAG, FLAGS_MAX_PAGES, FLAGS_MEMORY, FLAGS_MODULE, Options, START, STOP, transform_with,
};
use wasmparser::{FunctionBody, Operator, Parser, Payload, TypeRef};
use wasmtime::{
    AsContextMut, Caller, Config, DebugEvent, DebugHandler, Engine, ExternRef, FrameHandle, Func,
    Linker, MemoryType, Module, ModulePC, OptLevel, SharedMemory, Store, StoreContextMut,
    TypedFunc, Val,
};

/// After so many stops, a call of the guest is stopped no more.
const MOST_STOPS: u64 = 100;

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
    /// The frame of the guest that is in a check, and where the instruction after the check is.
    stopped: Option<(Frame, u32)>,
    code: Code,
    /// How often the call in progress was stopped.
    stops: u64,
    compared: Compared,
}

/// How much was compared, by the place of the check.
type Compared = BTreeMap<Place, Counts>;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    stops: u64,
    locals: u64,
    operands: u64,
    /// How many of the locals were carried.
    carried: u64,
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

fn function_and_pc(store: impl AsContextMut, frame: &FrameHandle) -> (u32, u32) {
    let (function, pc) = frame.wasm_function_index_and_pc(store).unwrap().unwrap();
    (function.as_u32(), pc.raw())
}

fn read(
    mut store: impl AsContextMut<Data = Debugger>,
    frame: &FrameHandle,
    check: &Check,
) -> Frame {
    let mut store = store.as_context_mut();
    let (function, _) = function_and_pc(&mut store, frame);
    // The debugger must not read a local that cannot be null and was not written yet. What a check carries was written.
    let has_value = store.data().code.locals[function as usize].clone();
    assert_eq!(frame.num_locals(&mut store).unwrap(), has_value.len() as u32);
    let locals = (0..).zip(has_value);
    let locals = locals.filter(|(local, has_value)| *has_value || check.carried.contains(local));
    let locals = locals.map(|(local, _)| {
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
    Frame { function, locals, operands }
}

/// The stop function: reads the frame of the guest.
fn stop(caller: &mut Caller<'_, Debugger>) {
    let mut frame = caller.debug_exit_frames().next().unwrap();
    // The innermost frames are those of the functions that checks call.
    let pc = loop {
        let (function, pc) = function_and_pc(&mut *caller, &frame);
        if (function as usize) < caller.data().code.locals.len() {
            break pc;
        }
        frame = frame.parent(&mut *caller).unwrap().unwrap();
    };
    let check = caller.data().code.checks[&pc].clone();
    let mut seen = read(&mut *caller, &frame, &check);
    // The last operands are the arguments of the call.
    let own = seen.operands.len() - check.carried.len();
    seen.operands.truncate(own);
    // References move. Before all locals were written, wasmtime must not collect: it would take what is in the place of a local that cannot be
    // null for a reference ("BUG: gc object and/or heap misaligned"). What a loop carries was written, and in these programs so was the rest.
    if !check.carried.is_empty() {
        caller.as_context_mut().gc(None).unwrap();
    }
    let debugger = caller.data_mut();
    debugger.stops += 1;
    let before = debugger.stopped.replace((seen, pc));
    assert!(before.is_none(), "the last check was seen to end");
}

#[derive(Clone)]
struct Breakpoints;

impl DebugHandler for Breakpoints {
    type Data = Debugger;

    async fn handle(&self, mut store: StoreContextMut<'_, Debugger>, event: DebugEvent<'_>) {
        if !matches!(event, DebugEvent::Breakpoint) {
            return;
        }
        let frame = store.debug_exit_frames().next().unwrap();
        let (before, call) = store.data_mut().stopped.take().expect("the host was called");
        let check = store.data().code.checks[&call].clone();
        assert_eq!(function_and_pc(&mut store, &frame), (before.function, check.after));
        let after = read(&mut store, &frame, &check);
        assert_eq!(after, before, "{check:?}");
        let counts = store.data_mut().compared.entry(check.place).or_default();
        counts.stops += 1;
        counts.locals += after.locals.len() as u64;
        counts.operands += after.operands.len() as u64;
        counts.carried += check.carried.len() as u64;
    }
}

/// Where a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// At the beginning of a loop.
    Loop,
    /// At the branch that leads back to the beginning of a loop.
    Back,
    /// In a short loop whose body is written anew.
    Short,
    /// At an entry, before a call, or in long code.
    Elsewhere,
}

#[derive(Clone, Debug)]
struct Check {
    place: Place,
    /// The locals that it carries.
    carried: Vec<u32>,
    /// Where the instruction is that comes after it.
    after: u32,
}

/// What has to be known of the module's own functions.
#[derive(Default)]
struct Code {
    /// By where a caller is during the call of the check.
    checks: BTreeMap<u32, Check>,
    /// For each local of each function, whether it always has a value.
    locals: Vec<Vec<bool>>,
}

impl Code {
    /// `new` is the transformed module. The functions that checks call come after the module's own.
    fn new(old: &[u8], new: &[u8]) -> Self {
        let (imported, functions, _) = functions(old);
        let own = functions.len();
        let (_, functions, types) = self::functions(new);
        let mut code = Self::default();
        for payload in Parser::new(0).parse_all(new) {
            let Payload::CodeSectionEntry(body) = payload.unwrap() else { continue };
            if code.locals.len() == own {
                break;
            }
            let mut locals = vec![true; types[functions[code.locals.len()] as usize]];
            for group in body.get_locals_reader().unwrap() {
                let (count, ty) = group.unwrap();
                locals.extend((0..count).map(|_| ty.is_defaultable()));
            }
            code.locals.push(locals);
            code.checks(&body, (imported + own) as u32);
        }
        code
    }

    fn checks(&mut self, body: &FunctionBody<'_>, first: u32) {
        let operators = body.get_operators_reader().unwrap().into_iter_with_offsets();
        let all: Vec<_> = operators.map(Result::unwrap).collect();
        for (call, (operator, _)) in all.iter().enumerate() {
            let Operator::Call { function_index } = operator else { continue };
            if *function_index < first {
                continue;
            }
            let carried = all[..call].iter().rev().map_while(|(operator, _)| match operator {
                Operator::LocalGet { local_index } => Some(*local_index),
                _ => None,
            });
            let carried: Vec<_> = carried.collect();
            let condition = &all[..call - carried.len() - 1];
            let [before @ .., (address, _), (Operator::I32Load { .. }, _)] = condition else {
                panic!("a check reads the flag")
            };
            let mut before = before.iter().map(|(operator, _)| operator);
            let is_set = |operator: &&Operator<'_>| matches!(operator, Operator::LocalSet { .. });
            let (after, at) = &all[call + 1 + carried.len()];
            let place = match (address, after) {
                (Operator::LocalGet { .. }, _) => Place::Short,
                (_, Operator::Br { .. }) => Place::Back,
                _ => match before.rfind(|operator| !is_set(operator)) {
                    Some(Operator::Loop { .. }) => Place::Loop,
                    _ => Place::Elsewhere,
                },
            };
            let check = Check { place, carried, after: *at as u32 };
            // In a block with handlers, wasmtime's debugger has the caller at the call, elsewhere at the next instruction.
            self.checks.insert(all[call].1 as u32, check.clone());
            self.checks.insert(all[call + 1].1 as u32, check);
        }
    }
}

/// How many functions a module imports; the types of those it has; and how many parameters each type has.
fn functions(wasm: &[u8]) -> (usize, Vec<u32>, Vec<usize>) {
    let (mut imported, mut functions, mut types) = (0, Vec::new(), Vec::new());
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
            _ => {}
        }
    }
    (imported, functions, types)
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

/// Calls all functions of a module that can be called with default values.
fn debug(engine: &Engine, wasm: &[u8], interval: u32) -> Compared {
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

    let debugger = Debugger { code: Code::new(wasm, &new.wasm), ..Debugger::default() };
    let mut store = Store::new(engine, debugger);
    store.set_debug_handler(Breakpoints);
    let mut linker = Linker::new(engine);
    linker.define(&store, FLAGS_MODULE, FLAGS_MEMORY, flags).unwrap();
    let make = |mut caller: Caller<'_, Debugger>, number: i32| {
        ExternRef::new(&mut caller, number).map(Some)
    };
    linker.func_wrap(HOST, MAKE, make).unwrap();
    linker.define_unknown_imports_as_default_values(&mut store, &module).unwrap();
    let instance = run(linker.instantiate_async(&mut store, &module)).unwrap();
    let after: Vec<_> = store.data().code.checks.values().map(|check| check.after).collect();
    let mut breakpoints = store.edit_breakpoints().unwrap();
    for after in after {
        breakpoints.add_breakpoint(&module, ModulePC::new(after)).unwrap();
    }
    drop(breakpoints);
    let global = |store: &mut Store<Debugger>, name, value| {
        if let Some(global) = instance.get_global(&mut *store, name) {
            global.set(&mut *store, value).unwrap();
        }
    };
    global(&mut store, FLAG, Val::I32(ADDRESS));
    let set_again = set.clone();
    let stop = Func::wrap(&mut store, move |mut caller: Caller<'_, Debugger>, _: i32| {
        stop(&mut caller);
        if caller.data().stops < MOST_STOPS {
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
        store.data_mut().stops = 0;
        set();
        // Traps and exceptions are fine, but not in a check.
        _ = run(function.call_async(&mut store, &arguments, &mut results));
        store.take_pending_exception();
        assert!(store.data().stopped.is_none(), "{name} left a check early");
    }
    store.data().compared.clone()
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

/// Runs code that is stopped at each of its checks, with an operand below it. There are a local of each type, `$n`, which is 5, and the type `$t`
/// of functions. USES uses the others, and NEXT takes one from `$n`.
fn debug_code(code: &str, interval: u32) -> Compared {
    let text = r#"(module
        (type $t (func (result i32)))
        (import "host" "make" (func $make (param i32) (result externref)))
        (tag $tag (param i32))
        (elem declare func $function)
        (func $function (type $t) (i32.const 9))
        (type $u (func (param i32)))
        (table funcref (elem $even $odd))
        (func $even (type $u) (local i64 externref)
            (if (local.get 0) (then (i64.const 3) (block
                (call_indirect (type $u) (i32.sub (local.get 0) (i32.const 1)) (i32.const 1)))
                (drop))))
        (func $odd (type $u) (local i64 externref)
            (if (local.get 0) (then (i64.const 3) (block
                (call_indirect (type $u) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0)))
                (drop))))
        (func $f (export "f") (param $n i32)
            (local $i32 i32) (local $i64 i64) (local $f32 f32) (local $f64 f64) (local $v128 v128)
            (local $func funcref) (local $extern externref) (local $exn exnref)
            (local $null (ref null $t)) (local $ref (ref $t)) (local $some_func (ref func))
            (local $some_extern (ref extern)) (local $some_exn (ref exn))
            (local.set $i32 (i32.const 1)) (local.set $i64 (i64.const 2))
            (local.set $f32 (f32.const 3)) (local.set $f64 (f64.const 4))
            (local.set $v128 (v128.const i64x2 5 6))
            (local.set $func (ref.func $f)) (local.set $null (ref.func $function))
            (local.set $ref (ref.func $function)) (local.set $some_func (ref.func $f))
            (local.set $extern (call $make (i32.const 7)))
            (local.set $some_extern (ref.as_non_null (call $make (i32.const 8))))
            (block $caught (result (ref exn))
                (try_table (catch_all_ref $caught) (throw $tag (i32.const 10)))
                (unreachable))
            (local.tee $some_exn) (local.set $exn)
            (local.set $n (i32.sub (i32.const 5) (local.get $n)))
            (i32.const 77) CODE (drop)))"#;
    let uses = "(drop (local.get $i32)) (drop (local.get $i64)) (drop (local.get $f32))
        (drop (local.get $f64)) (drop (local.get $v128)) (drop (local.get $func))
        (drop (local.get $extern)) (drop (local.get $exn)) (drop (local.get $null))
        (drop (local.get $ref)) (drop (local.get $some_func)) (drop (local.get $some_extern))
        (drop (local.get $some_exn))";
    let next = "(local.tee $n (i32.sub (local.get $n) (i32.const 1)))";
    let text = text.replace("CODE", code).replace("USES", uses).replace("NEXT", next);
    debug(&engine(), &wat::parse_str(text).unwrap(), interval)
}

/// What code has one kind of checks for, beside the one at the entry.
#[track_caller]
fn compares(code: &str, place: Place, stops: u64, each: [u64; 3]) {
    let [locals, operands, carried] = each.map(|count| stops * count);
    let compared = debug_code(code, 50_000);
    assert_eq!(compared[&place], Counts { stops, locals, operands, carried });
    assert_eq!(compared[&Place::Elsewhere].stops, 1);
}

#[test]
fn a_short_loop_keeps_all_values() {
    // One more local has the flag's address.
    compares("(loop $again USES (br_if $again NEXT))", Place::Short, 5, [15, 1, 14]);
}

#[test]
fn a_branch_back_keeps_all_values() {
    compares("(loop $again USES USES (br_if $again NEXT))", Place::Back, 4, [14, 1, 14]);
    let unconditional = "(block $out (loop $again
        USES USES (br_if $out (i32.eqz NEXT)) (br $again)))";
    compares(unconditional, Place::Back, 4, [14, 1, 14]);
}

#[test]
fn the_beginning_of_a_loop_keeps_all_values() {
    let two = "(loop $again USES USES (br_if $again NEXT) (br_if $again (local.get $n)))";
    compares(two, Place::Loop, 5, [14, 1, 14]);
}

#[test]
fn a_loop_with_operands_keeps_all_values() {
    let some = "(local.get $i64) (local.get $some_extern) (local.get $some_exn)
        (local.get $v128) (local.get $ref)
        (loop $again
            (param i64 (ref extern) (ref exn) v128 (ref $t))
            (result i64 (ref extern) (ref exn) v128 (ref $t))
            USES (br_if $again NEXT))
        (drop) (drop) (drop) (drop) (drop)";
    compares(some, Place::Loop, 5, [19, 1, 19]);
    // They stay on the stack.
    let many = format!(
        "{} (loop $again (param {types}) (result {types}) USES (br_if $again NEXT)) {}",
        "(local.get $i64)".repeat(30),
        "(drop)".repeat(30),
        types = "i64 ".repeat(30)
    );
    compares(&many, Place::Loop, 5, [14, 31, 14]);
}

#[test]
fn a_loop_in_a_block_with_handlers_keeps_all_values() {
    let code = "(block $out (try_table (catch_all $out)
        (loop $again USES USES (br_if $again NEXT))))";
    compares(code, Place::Back, 4, [14, 1, 14]);
}

#[test]
fn entries_calls_and_long_code_keep_all_values() {
    let elsewhere = |code, interval| debug_code(code, interval)[&Place::Elsewhere];
    // Four locals cannot be null, and were not written.
    let entry = Counts { stops: 1, locals: 10, operands: 0, carried: 0 };
    assert_eq!(elsewhere("", 50_000), entry);
    // The functions of the type call each other, so there is a check before each call of the type.
    let call = "(call $odd (local.get $n))";
    let calls = Counts { stops: 1 + 5, locals: 10 + 5 * 3, operands: 5, carried: 0 };
    assert_eq!(elsewhere(call, 50_000), calls);
    let long = elsewhere("USES USES", 20);
    assert!(long.stops > 5 && long.operands > 0, "{long:?}");
}

#[test]
fn random_programs_keep_all_values() {
    let engine = engine();
    let mut compared = Compared::new();
    for seed in 0..if cfg!(debug_assertions) { 60 } else { 1_000 } {
        let interval = Random(seed).of(&[5, 50, 40_000]);
        for (place, counts) in debug(&engine, &program(seed), interval) {
            let all = compared.entry(place).or_default();
            all.stops += counts.stops;
            all.locals += counts.locals;
            all.operands += counts.operands;
            all.carried += counts.carried;
        }
    }
    println!("{compared:?}");
    for place in [Place::Loop, Place::Back, Place::Short] {
        assert!(compared[&place].carried > 100, "{compared:?}");
    }
    assert!(compared[&Place::Elsewhere].locals > 1_000, "{compared:?}");
}
