//! [`Stops`]: the code of the checks, and what the module gets for them.

use crate::layout::{ReferenceType, Referent, ValueType};
use crate::module::{Body, Module};
use crate::state::value_type;
use crate::stops::graph;
use crate::stops::live::{Check, Place, carried};
use crate::stops::loops::Back;
use std::collections::HashMap;
use std::ops::Range;
use wasm_encoder::{
    AbstractHeapType, BlockType, Encode, HeapType, InstructionSink, MemArg, RefType, ValType,
};

/// What a transformed module has for its checks. Indices are those of the transformed module.
#[derive(Debug)]
pub(crate) struct Stops {
    /// The memory with the flags.
    pub(crate) memory: u32,
    /// The type of the stop function, and after it those of the functions that checks call.
    first_type: u32,
    /// The first of the functions that checks call.
    first_function: u32,
    /// The global with the address of the instance's flag, and after it the one with the stop function.
    pub(crate) first_global: u32,
    /// The types of what each of the functions that checks call carries. The first one carries nothing.
    carriers: Vec<Vec<ValueType>>,
    /// The checks of each body, in order.
    checks: Vec<Vec<Check>>,
}

/// What is inserted into a body for its checks.
pub(crate) struct Inserted {
    /// The types of the locals that are added.
    pub(crate) locals: Vec<ValueType>,
    pub(crate) code: Vec<InsertedCode>,
}

pub(crate) struct InsertedCode {
    /// The offset in the body of the instruction before which it comes.
    pub(crate) at: u32,
    /// How many bytes from there it replaces.
    pub(crate) replaced: u32,
    pub(crate) code: Vec<u8>,
}

/// The locals that are added to a body.
struct NewLocals {
    /// The index of the first one.
    first: u32,
    types: Vec<ValueType>,
    /// Those that hold operands. Each check uses the same ones, because it needs them for itself only.
    of_type: HashMap<ValueType, Vec<u32>>,
}

impl NewLocals {
    fn add(&mut self, ty: ValueType) -> u32 {
        self.types.push(ty);
        self.first + self.types.len() as u32 - 1
    }

    /// One for each of the operands of a check.
    fn some(&mut self, operands: impl Iterator<Item = ValueType>) -> Vec<u32> {
        let mut used = HashMap::new();
        let mut local = |ty| {
            let nth: &mut usize = used.entry(ty).or_default();
            *nth += 1;
            if let Some(&local) = self.of_type.get(&ty).and_then(|locals| locals.get(*nth - 1)) {
                return local;
            }
            let local = self.add(ty);
            self.of_type.entry(ty).or_default().push(local);
            local
        };
        operands.map(&mut local).collect()
    }
}

impl Stops {
    /// `first_global` is the index of the first global that can be added.
    pub(crate) fn new(module: &Module<'_>, first_global: u32, interval: u32) -> Self {
        let points = graph::points(module, interval);
        let mut stops = Self {
            memory: module.imported.memories as u32,
            first_type: module.canonical_types.len() as u32,
            first_function: module.function_types.len() as u32,
            first_global,
            carriers: vec![Vec::new()],
            checks: Vec::with_capacity(module.bodies.len()),
        };
        let mut carrier_of = HashMap::from([(Vec::new(), 0)]);
        for (body, points) in module.bodies.iter().zip(points) {
            let mut checks = carried(&body.trace, &points);
            for check in &mut checks {
                // In the order of their types, so that few functions are enough.
                check.locals.sort_by_key(|&local| body.trace.local_type(local));
                let locals = check.locals.iter().map(|&local| body.trace.local_type(local));
                let types: Vec<_> = locals.chain(operands(body, check)).collect();
                check.carrier = *carrier_of.entry(types).or_insert_with_key(|types| {
                    stops.carriers.push(types.clone());
                    stops.carriers.len() as u32 - 1
                });
            }
            stops.checks.push(checks);
        }
        stops
    }

    /// How many checks there are.
    pub(crate) fn count(&self) -> usize {
        self.checks.iter().map(Vec::len).sum()
    }

    /// The checks of the `n`th body, in order.
    pub(crate) fn checks(&self, n: usize) -> &[Check] {
        &self.checks[n]
    }

    /// The global with the address of the flag.
    pub(crate) fn flag(&self) -> u32 {
        self.first_global
    }

    /// The global with the stop function.
    pub(crate) fn stop(&self) -> u32 {
        self.first_global + 1
    }

    /// The type of the stop function.
    pub(crate) fn stop_type(&self) -> u32 {
        self.first_type
    }

    /// The functions that checks call: their index, and their type with its index.
    pub(crate) fn functions(&self) -> impl Iterator<Item = (u32, (u32, &[ValueType]))> + '_ {
        let functions = (self.first_function..).zip(self.first_type + 1..);
        functions.zip(&self.carriers).map(|((function, ty), types)| (function, (ty, &types[..])))
    }

    /// Their indices.
    pub(crate) fn function_indices(&self) -> Range<u32> {
        self.first_function..self.first_function + self.carriers.len() as u32
    }

    /// The body of a function that checks call. All of them call the first one. That takes the bits out of the flag, and gives them to the stop
    /// function.
    pub(crate) fn body(&self, function: u32) -> Vec<u8> {
        // No locals.
        let mut body = vec![0];
        let mut code = InstructionSink::new(&mut body);
        if function == self.first_function {
            code.global_get(self.flag())
                .i32_const(0)
                .i32_atomic_rmw_xchg(self.word())
                .global_get(self.stop())
                .call_ref(self.stop_type());
        } else {
            code.call(self.first_function);
            let types = &self.carriers[(function - self.first_function) as usize];
            for parameter in 0..types.len() as u32 {
                code.local_get(parameter);
            }
        }
        code.end();
        body
    }

    fn word(&self) -> MemArg {
        MemArg { offset: 0, align: 2, memory_index: self.memory }
    }

    /// The code of the checks of the `n`th body, whose first free local is `first_local`.
    pub(crate) fn inserted(&self, n: usize, body: &Body, first_local: u32) -> Inserted {
        let mut locals =
            NewLocals { first: first_local, types: Vec::new(), of_type: HashMap::new() };
        let mut inserted = Vec::new();
        // The local with the address of the flag, for short loops.
        let mut flag = None;
        for check in &self.checks[n] {
            let mut code = Vec::new();
            let mut replaced = 0;
            match check.place {
                Place::Loop(_) | Place::Elsewhere => {
                    let operands = locals.some(operands(body, check));
                    self.in_line(&mut code, check, &operands);
                }
                Place::Back(number) => {
                    let back = body.trace.loops[number as usize].back();
                    let back = back.expect("only then the check is there");
                    if back.is_conditional {
                        replaced = back.end - back.at;
                    }
                    self.at_back(&mut code, check, back);
                }
                Place::Twice(number) => {
                    let flag = *flag.get_or_insert_with(|| locals.add(ValueType::I32));
                    let mut code_before = Vec::new();
                    InstructionSink::new(&mut code_before).global_get(self.flag()).local_set(flag);
                    let at = body.trace.loops[number as usize].whole.start;
                    inserted.push(InsertedCode { at, replaced, code: code_before });
                    self.at_short_loop(&mut code, check, flag);
                }
            }
            inserted.push(InsertedCode { at: check.at, replaced, code });
        }
        Inserted { locals: locals.types, code: inserted }
    }

    /// The check at the beginning of a loop, or outside of loops. `operands` are the locals that hold what the loop takes from the stack.
    fn in_line(&self, code: &mut Vec<u8>, check: &Check, operands: &[u32]) {
        let mut code = InstructionSink::new(code);
        for local in operands.iter().rev() {
            code.local_set(*local);
        }
        self.is_set(&mut code);
        code.if_(BlockType::Empty);
        self.cold_path(&mut code, check, operands);
        code.end();
        for local in operands {
            code.local_get(*local);
        }
    }

    /// The check at a branch that leads back to the beginning of a loop. It replaces a conditional branch.
    ///
    /// The cold path leads back as well, so that wasmtime puts it after the loop, and the hot path jumps over nothing.
    fn at_back(&self, code: &mut Vec<u8>, check: &Check, back: Back) {
        let mut code = InstructionSink::new(code);
        let mut depth = back.depth;
        if back.is_conditional {
            code.if_(BlockType::Empty);
            depth += 1;
        }
        self.is_set(&mut code);
        code.if_(BlockType::Empty);
        self.cold_path(&mut code, check, &[]);
        code.br(depth + 1).end();
        if back.is_conditional {
            code.br(depth).end();
        }
    }

    /// The check at the beginning of a short loop, but for its `end`. It takes the address of the flag from a local, and so reads memory once.
    fn at_short_loop(&self, code: &mut Vec<u8>, check: &Check, flag: u32) {
        let mut code = InstructionSink::new(code);
        code.local_get(flag).i32_load(self.word()).if_(BlockType::Empty);
        self.cold_path(&mut code, check, &[]);
    }

    /// Whether the flag is set.
    fn is_set(&self, code: &mut InstructionSink<'_>) {
        code.global_get(self.flag()).i32_load(self.word());
    }

    /// Gives the values to a function that calls the host, and takes them back from it.
    fn cold_path(&self, code: &mut InstructionSink<'_>, check: &Check, operands: &[u32]) {
        let carried = || check.locals.iter().chain(operands);
        for local in carried() {
            code.local_get(*local);
        }
        code.call(self.first_function + check.carrier);
        for local in carried().rev() {
            code.local_set(*local);
        }
    }
}

/// The types of the operands that a check carries: those of its loop, if they are not too many.
fn operands(body: &Body, check: &Check) -> impl Iterator<Item = ValueType> {
    let operands = match check.place {
        Place::Loop(number) => body.trace.loops[number as usize].operands.as_deref(),
        _ => None,
    };
    operands.unwrap_or_default().iter().map(|&ty| value_type(ty))
}

/// The type of a function, in the type section.
pub(crate) fn function_type(parameters: &[ValueType], results: &[ValueType]) -> Vec<u8> {
    let mut ty = vec![0x60];
    for types in [parameters, results] {
        (types.len() as u32).encode(&mut ty);
        types.iter().for_each(|&of| encoded(of).encode(&mut ty));
    }
    ty
}

/// How a type is written.
pub(crate) fn encoded(ty: ValueType) -> ValType {
    match ty {
        ValueType::I32 => ValType::I32,
        ValueType::I64 => ValType::I64,
        ValueType::F32 => ValType::F32,
        ValueType::F64 => ValType::F64,
        ValueType::V128 => ValType::V128,
        ValueType::Reference(ReferenceType { nullable, to }) => {
            ValType::Ref(RefType { nullable, heap_type: heap_type(to) })
        }
    }
}

pub(crate) fn heap_type(to: Referent) -> HeapType {
    let ty = match to {
        Referent::FunctionOfType(index) => return HeapType::Concrete(index),
        Referent::Function => AbstractHeapType::Func,
        Referent::NoFunction => AbstractHeapType::NoFunc,
        Referent::Extern => AbstractHeapType::Extern,
        Referent::NoExtern => AbstractHeapType::NoExtern,
        Referent::Exception => AbstractHeapType::Exn,
        Referent::NoException => AbstractHeapType::NoExn,
    };
    HeapType::Abstract { shared: false, ty }
}
