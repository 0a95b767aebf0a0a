//! [`Context`]: what all bodies of a module share: the types, globals and functions that are added for calls that become data.

use crate::layout::{ReferenceType, Referent, ValueType};
use crate::saving::types::{Signature, with_null};
use crate::stops::check::{encoded, function_type, heap_type};
use std::collections::HashMap;
use wasm_encoder::{BlockType, Encode, InstructionSink, ValType};

/// How many words a call of the host carries.
pub(crate) const WORDS: usize = 8;

/// The functions of the host's, each in a global of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Host {
    /// Takes some words of a frame.
    Save,
    /// Gives some words of a frame.
    Load,
    /// Tells which function comes next, by its index in the table.
    Next,
    /// Goes on to the next frame, and gives its point.
    Point,
    /// Takes a reference of a frame.
    SaveReference(ReferenceType),
    /// Gives a reference of a frame.
    LoadReference(ReferenceType),
}

/// Indices are those of the transformed module.
#[derive(Debug)]
pub(crate) struct Context {
    first_type: u32,
    first_function: u32,
    first_global: u32,
    /// The table with the twins.
    pub(crate) table: u32,
    /// Whether functions take as much fuel as their twins.
    pub(crate) counts_fuel: bool,
    types: Vec<Signature>,
    type_of: HashMap<Signature, u32>,
    /// The host functions, in the order of their globals. Those come after the first one that is added, which tells whether the call is being saved.
    pub(crate) hosts: Vec<Host>,
    host_of: HashMap<Host, u32>,
    /// The functions that are added, with their types, in order.
    pub(crate) functions: Vec<(u32, Vec<u8>)>,
    savers: HashMap<Vec<ValueType>, u32>,
    loaders: HashMap<Vec<ValueType>, u32>,
    goes_on: HashMap<Vec<ValueType>, u32>,
    /// For types whose values cannot be null, a function that is never called.
    stand_ins: HashMap<Referent, u32>,
}

impl Context {
    pub(crate) fn new(
        types: u32,
        functions: u32,
        globals: u32,
        table: u32,
        counts_fuel: bool,
    ) -> Self {
        Self {
            first_type: types,
            first_function: functions,
            first_global: globals,
            table,
            counts_fuel,
            types: Vec::new(),
            type_of: HashMap::new(),
            hosts: Vec::new(),
            host_of: HashMap::new(),
            functions: Vec::new(),
            savers: HashMap::new(),
            loaders: HashMap::new(),
            goes_on: HashMap::new(),
            stand_ins: HashMap::new(),
        }
    }

    /// The types that are added, as they are written.
    pub(crate) fn types(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        self.types.iter().map(|ty| function_type(&ty.params, &ty.results))
    }

    pub(crate) fn type_index(&mut self, ty: Signature) -> u32 {
        let next = self.first_type + self.types.len() as u32;
        *self.type_of.entry(ty).or_insert_with_key(|ty| {
            self.types.push(ty.clone());
            next
        })
    }

    /// The type of a block without parameters.
    pub(crate) fn gives(&mut self, results: &[ValueType]) -> BlockType {
        match results {
            [] => BlockType::Empty,
            [one] => BlockType::Result(encoded(*one)),
            _ => BlockType::FunctionType(self.function_that_gives(results)),
        }
    }

    /// The type of a block.
    pub(crate) fn type_of_block(&mut self, ty: &Signature) -> BlockType {
        match ty.params[..] {
            [] => self.gives(&ty.results),
            _ => BlockType::FunctionType(self.type_index(ty.clone())),
        }
    }

    pub(crate) fn function_that_gives(&mut self, results: &[ValueType]) -> u32 {
        self.type_index(Signature { params: Vec::new(), results: results.to_vec() })
    }

    /// The global that tells whether the call is being saved.
    pub(crate) fn saving(&self) -> u32 {
        self.first_global
    }

    /// The type of a function of the host's.
    pub(crate) fn host_type(&mut self, host: Host) -> u32 {
        let words = || vec![ValueType::I64; WORDS];
        let (params, results) = match host {
            Host::Save => (words(), Vec::new()),
            Host::Load => (Vec::new(), words()),
            Host::Next | Host::Point => (Vec::new(), vec![ValueType::I32]),
            Host::SaveReference(ty) => (vec![ValueType::Reference(ty)], Vec::new()),
            Host::LoadReference(ty) => (Vec::new(), vec![ValueType::Reference(ty)]),
        };
        self.type_index(Signature { params, results })
    }

    /// Calls a function of the host's.
    pub(crate) fn call_host(&mut self, host: Host, code: &mut Vec<u8>) {
        let next = self.first_global + 1 + self.hosts.len() as u32;
        let global = *self.host_of.entry(host).or_insert_with(|| {
            self.hosts.push(host);
            next
        });
        let ty = self.host_type(host);
        InstructionSink::new(code).global_get(global).call_ref(ty);
    }

    pub(crate) fn add_function(&mut self, ty: Signature, body: Vec<u8>) -> u32 {
        let ty = self.type_index(ty);
        self.functions.push((ty, body));
        self.first_function + self.functions.len() as u32 - 1
    }

    /// The function that gives values of these types to the host. It takes the number of a point before them.
    pub(crate) fn saver(&mut self, types: &[ValueType]) -> u32 {
        if let Some(&function) = self.savers.get(types) {
            return function;
        }
        // No locals.
        let mut code = vec![0];
        let mut words = 1;
        InstructionSink::new(&mut code).local_get(0).i64_extend_i32_u();
        let full = |words: usize| words.is_multiple_of(WORDS);
        for (&ty, local) in types.iter().zip(1..) {
            for half in 0..words_of(ty) {
                word(&mut InstructionSink::new(&mut code), ty, local, half);
                words += 1;
                if full(words) {
                    self.call_host(Host::Save, &mut code);
                }
            }
        }
        if !full(words) {
            while !full(words) {
                InstructionSink::new(&mut code).i64_const(0);
                words += 1;
            }
            self.call_host(Host::Save, &mut code);
        }
        for (&ty, local) in types.iter().zip(1..) {
            if let Some(ty) = saved_reference(ty) {
                InstructionSink::new(&mut code).local_get(local);
                self.call_host(Host::SaveReference(ty), &mut code);
            }
        }
        InstructionSink::new(&mut code).end();
        let params = [ValueType::I32].iter().chain(types).copied().collect();
        let ty = Signature { params, results: Vec::new() };
        let function = self.add_function(ty, code);
        self.savers.insert(types.to_vec(), function);
        function
    }

    /// The function that takes values of these types from the host.
    pub(crate) fn loader(&mut self, types: &[ValueType]) -> u32 {
        if let Some(&function) = self.loaders.get(types) {
            return function;
        }
        let words = 1 + types.iter().map(|&ty| words_of(ty)).sum::<usize>();
        let calls = words.div_ceil(WORDS);
        let mut code = Vec::new();
        // One group of locals, for the words.
        1u32.encode(&mut code);
        ((calls * WORDS) as u32).encode(&mut code);
        ValType::I64.encode(&mut code);
        for call in 0..calls {
            self.call_host(Host::Load, &mut code);
            let mut code = InstructionSink::new(&mut code);
            for word in (call * WORDS..(call + 1) * WORDS).rev() {
                code.local_set(word as u32);
            }
        }
        // The first word is the number of the point.
        let mut next = 1;
        for &ty in types {
            if let Some(ty) = saved_reference(ty) {
                self.call_host(Host::LoadReference(ty), &mut code);
            }
            let mut code = InstructionSink::new(&mut code);
            match ty {
                ValueType::I32 => code.local_get(next).i32_wrap_i64(),
                ValueType::I64 => code.local_get(next),
                ValueType::F32 => code.local_get(next).i32_wrap_i64().f32_reinterpret_i32(),
                ValueType::F64 => code.local_get(next).f64_reinterpret_i64(),
                ValueType::V128 => {
                    code.local_get(next).i64x2_splat().local_get(next + 1).i64x2_replace_lane(1)
                }
                ValueType::Reference(reference) if saved_reference(ty).is_none() => {
                    code.ref_null(heap_type(reference.to))
                }
                ValueType::Reference(_) => &mut code,
            };
            next += words_of(ty) as u32;
        }
        InstructionSink::new(&mut code).end();
        let ty = Signature { params: Vec::new(), results: types.to_vec() };
        let function = self.add_function(ty, code);
        self.loaders.insert(types.to_vec(), function);
        function
    }

    /// Adds a function that is never called, and makes a tail call. So an engine that has none refuses this module, and not only that with twins, whose calls are
    /// to go on later.
    pub(crate) fn need_tail_calls(&mut self) {
        let itself = self.first_function + self.functions.len() as u32;
        let mut code = vec![0];
        InstructionSink::new(&mut code).return_call(itself).end();
        self.add_function(Signature::default(), code);
    }

    /// The function that goes on with the next frame, which gives such results. A tail call takes its place.
    pub(crate) fn goes_on(&mut self, results: &[ValueType]) -> u32 {
        if let Some(&function) = self.goes_on.get(results) {
            return function;
        }
        let ty = self.function_that_gives(results);
        let mut code = vec![0];
        self.call_host(Host::Next, &mut code);
        InstructionSink::new(&mut code).return_call_indirect(self.table, ty).end();
        let ty = Signature { params: Vec::new(), results: results.to_vec() };
        let function = self.add_function(ty, code);
        self.goes_on.insert(results.to_vec(), function);
        function
    }

    /// A value of the type, whatever it is. `None` if there is none.
    pub(crate) fn some_value(
        &mut self,
        code: &mut Vec<u8>,
        ty: ValueType,
        signatures: &[Signature],
    ) -> Option<()> {
        if let ValueType::Reference(ReferenceType { nullable: false, to }) = ty {
            let signature = match to {
                Referent::Function => Signature::default(),
                Referent::FunctionOfType(index) => signatures[index as usize].clone(),
                _ => return None,
            };
            let function = match self.stand_ins.get(&to) {
                Some(&function) => function,
                None => {
                    let mut body = vec![0];
                    InstructionSink::new(&mut body).unreachable().end();
                    let function = self.add_function(signature, body);
                    self.stand_ins.insert(to, function);
                    function
                }
            };
            InstructionSink::new(code).ref_func(function);
            return Some(());
        }
        let mut code = InstructionSink::new(code);
        match ty {
            ValueType::I32 => code.i32_const(0),
            ValueType::I64 => code.i64_const(0),
            ValueType::F32 => code.f32_const(0.0.into()),
            ValueType::F64 => code.f64_const(0.0.into()),
            ValueType::V128 => code.v128_const(0),
            ValueType::Reference(ReferenceType { to, .. }) => code.ref_null(heap_type(to)),
        };
        Some(())
    }

    /// The functions that code makes references to, though no table has them.
    pub(crate) fn declared(&self) -> Vec<u32> {
        let mut declared: Vec<_> = self.stand_ins.values().copied().collect();
        declared.sort_unstable();
        declared
    }
}

/// How many words a value takes.
pub(crate) fn words_of(ty: ValueType) -> usize {
    match ty {
        ValueType::I32 | ValueType::I64 | ValueType::F32 | ValueType::F64 => 1,
        ValueType::V128 => 2,
        ValueType::Reference(_) => 0,
    }
}

/// The type by which a reference is saved. `None` if it is no reference, or always null.
pub(crate) fn saved_reference(ty: ValueType) -> Option<ReferenceType> {
    match with_null(ty) {
        ValueType::Reference(ty) => match ty.to {
            Referent::NoFunction | Referent::NoExtern | Referent::NoException => None,
            _ => Some(ty),
        },
        _ => None,
    }
}

/// A word of a local's value.
fn word(code: &mut InstructionSink<'_>, ty: ValueType, local: u32, half: usize) {
    code.local_get(local);
    match ty {
        ValueType::I32 => code.i64_extend_i32_u(),
        ValueType::F32 => code.i32_reinterpret_f32().i64_extend_i32_u(),
        ValueType::F64 => code.i64_reinterpret_f64(),
        ValueType::V128 => code.i64x2_extract_lane(half as u8),
        ValueType::I64 | ValueType::Reference(_) => code,
    };
}
