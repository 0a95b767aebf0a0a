//! [`Stops`]: the code of the checks, and what the module gets for them.

use crate::layout::{ReferenceType, Referent, ValueType};
use crate::module::{Body, Module};
use crate::state::value_type;
use crate::stops::graph;
use crate::stops::live::{Check, carried};
use std::collections::HashMap;
use wasm_encoder::{
    AbstractHeapType, BlockType, ConstExpr, HeapType, InstructionSink, MemArg, RefType, ValType,
};

/// How many operands of its loop a check carries at most. There are not that many registers, and each takes ten bytes of code.
const MOST_OPERANDS: usize = 32;

/// What a transformed module has for its checks. Indices are those of the transformed module.
#[derive(Debug)]
pub(crate) struct Stops {
    /// The memory with the flags.
    pub(crate) memory: u32,
    /// The type of the function that a check calls, and after it that of the host's stop function.
    pub(crate) first_type: u32,
    /// The function that a check calls when the flag is set.
    pub(crate) stopped: u32,
    /// The global with the address of the instance's flag, and after it the one with the stop function.
    pub(crate) first_global: u32,
    /// The types of the globals that carry values, in the order of the globals. They come after those two.
    pub(crate) carriers: Vec<ValueType>,
    /// The same by their types: which of them there are.
    carriers_of: HashMap<ValueType, Vec<u32>>,
    /// The checks of each body, in order.
    checks: Vec<Vec<Check>>,
}

/// What is inserted into a body for its checks.
pub(crate) struct Inserted {
    /// The types of the locals that are added.
    pub(crate) locals: Vec<ValueType>,
    /// The code, and the offset in the body of the instruction before which it comes.
    pub(crate) code: Vec<(u32, Vec<u8>)>,
}

impl Stops {
    /// `first_global` is the index of the first global that can be added.
    pub(crate) fn new(module: &Module<'_>, first_global: u32, interval: u32) -> Self {
        let points = graph::points(module, interval);
        let bodies = module.bodies.iter().zip(points);
        let checks: Vec<_> = bodies.map(|(body, points)| carried(&body.trace, &points)).collect();
        let mut carriers = Vec::new();
        let mut carriers_of = HashMap::new();
        for (body, checks) in module.bodies.iter().zip(&checks) {
            for check in checks {
                let mut types = carried_types(body, check);
                types.iter_mut().for_each(|ty| *ty = carrier_type(*ty));
                types.sort_unstable();
                add_missing(&mut carriers, &mut carriers_of, &types);
            }
        }
        Self {
            memory: module.imported.memories as u32,
            first_type: module.canonical_types.len() as u32,
            stopped: module.function_types.len() as u32,
            first_global,
            carriers,
            carriers_of,
            checks,
        }
    }

    /// How many checks there are.
    pub(crate) fn count(&self) -> usize {
        self.checks.iter().map(Vec::len).sum()
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
        self.first_type + 1
    }

    /// The body of the function that a check calls: it takes the bits out of the flag, and gives them to the stop function.
    pub(crate) fn stopped_body(&self) -> Vec<u8> {
        // No locals.
        let mut body = vec![0];
        InstructionSink::new(&mut body)
            .global_get(self.flag())
            .i32_const(0)
            .i32_atomic_rmw_xchg(self.word())
            .global_get(self.stop())
            .call_ref(self.stop_type())
            .end();
        body
    }

    fn word(&self) -> MemArg {
        MemArg { offset: 0, align: 2, memory_index: self.memory }
    }

    /// The code of the checks of the `n`th body, whose first free local is `first_local`.
    pub(crate) fn inserted(&self, n: usize, body: &Body, first_local: u32) -> Inserted {
        let mut locals = Vec::new();
        let code = self.checks[n].iter().map(|check| {
            let mut code = Vec::new();
            let operands = operands(body, check);
            let first = first_local + locals.len() as u32;
            locals.extend(&operands);
            self.check(&mut code, body, check, first..first + operands.len() as u32);
            (check.at, code)
        });
        let code = code.collect();
        Inserted { locals, code }
    }

    /// `operands` are the locals that hold the operands of the loop meanwhile.
    fn check(
        &self,
        code: &mut Vec<u8>,
        body: &Body,
        check: &Check,
        operands: std::ops::Range<u32>,
    ) {
        let mut code = InstructionSink::new(code);
        for local in operands.clone().rev() {
            code.local_set(local);
        }
        let types = carried_types(body, check);
        let locals = check.locals.iter().copied().chain(operands.clone());
        let carried: Vec<_> = locals.zip(self.carriers_of(&types)).zip(&types).collect();
        code.global_get(self.flag()).i32_load(self.word()).if_(BlockType::Empty);
        for ((local, global), _) in &carried {
            code.local_get(*local).global_set(*global);
        }
        code.call(self.stopped);
        for ((local, global), ty) in &carried {
            code.global_get(*global);
            if let ValueType::Reference(ReferenceType { nullable: false, .. }) = ty {
                code.ref_as_non_null();
            }
            code.local_set(*local);
            if let ValueType::Reference(ty) = ty {
                // Nothing refers to it any more that the guest does not know of.
                code.ref_null(heap_type(ty.to)).global_set(*global);
            }
        }
        code.end();
        for local in operands {
            code.local_get(local);
        }
    }

    /// A global for each value of these types.
    fn carriers_of(&self, types: &[ValueType]) -> Vec<u32> {
        let mut taken = HashMap::new();
        let carrier = |ty: &ValueType| {
            let ty = carrier_type(*ty);
            let taken = taken.entry(ty).or_insert(0);
            let carrier = self.carriers_of[&ty][*taken];
            *taken += 1;
            self.first_global + 2 + carrier
        };
        types.iter().map(carrier).collect()
    }
}

/// The types of what a check carries: its locals, and then the operands of its loop.
fn carried_types(body: &Body, check: &Check) -> Vec<ValueType> {
    let locals = check.locals.iter().map(|&local| value_type(body.trace.locals[local as usize]));
    locals.chain(operands(body, check)).collect()
}

fn operands(body: &Body, check: &Check) -> Vec<ValueType> {
    let Some(number) = check.of_loop else { return Vec::new() };
    let operands = &body.trace.loops[number as usize].operands;
    if operands.len() > MOST_OPERANDS {
        // They stay where they are.
        return Vec::new();
    }
    operands.iter().map(|&ty| value_type(ty)).collect()
}

/// Adds carriers until there is one for each of these types, which are sorted.
fn add_missing(
    carriers: &mut Vec<ValueType>,
    carriers_of: &mut HashMap<ValueType, Vec<u32>>,
    types: &[ValueType],
) {
    for same in types.chunk_by(|a, b| a == b) {
        let of_type = carriers_of.entry(same[0]).or_default();
        while of_type.len() < same.len() {
            of_type.push(carriers.len() as u32);
            carriers.push(same[0]);
        }
    }
}

/// The type of the global that carries a value. References in it can be null.
fn carrier_type(ty: ValueType) -> ValueType {
    match ty {
        ValueType::Reference(ty) => ValueType::Reference(ReferenceType { nullable: true, ..ty }),
        number => number,
    }
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

fn heap_type(to: Referent) -> HeapType {
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

/// The value with which a carrier begins.
pub(crate) fn nothing(ty: ValueType) -> ConstExpr {
    match ty {
        ValueType::I32 => ConstExpr::i32_const(0),
        ValueType::I64 => ConstExpr::i64_const(0),
        ValueType::F32 => ConstExpr::f32_const(0.0.into()),
        ValueType::F64 => ConstExpr::f64_const(0.0.into()),
        ValueType::V128 => ConstExpr::v128_const(0),
        ValueType::Reference(ty) => ConstExpr::ref_null(heap_type(ty.to)),
    }
}
