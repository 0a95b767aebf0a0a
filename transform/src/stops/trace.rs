//! [`Trace`]: what the analysis of stops needs to know of a body: its control flow, its calls, and its uses of locals. It is recorded while
//! the body is validated, because only the validator knows how many operands there are.

use std::ops::Range;
use wasmparser::types::CoreTypeId;
use wasmparser::{
    FuncValidator, HeapType, Operator, RefType, UnpackedIndex, ValType, WasmModuleResources,
};

/// There is an event after so many bytes at the latest, so that there are places for checks in long code without control flow.
const LONGEST_STEP: u32 = 64;

/// What happens in a body, in order.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// Where the first instruction is.
    pub(crate) entry: u32,
    pub(crate) events: Vec<Event>,
    pub(crate) calls: Vec<Call>,
    pub(crate) loops: Vec<Loop>,
    /// The labels of branches with several targets, as depths.
    targets: Vec<u32>,
    lists: Vec<Range<u32>>,
    /// The types of all locals, parameters among them.
    pub(crate) locals: Vec<ValType>,
    /// The last place since the last branch at which the block in progress has no operands.
    rest: Option<u32>,
    /// Whether there was a call since then.
    has_called: bool,
}

/// An instruction that matters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    /// The offset of the instruction from the beginning of the body.
    pub(crate) at: u32,
    pub(crate) what: What,
}

/// What an instruction does. Depths count labels from the inside.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// Reads a local.
    Get(u32),
    /// Writes a local.
    Set(u32),
    /// Does nothing that matters.
    Step,
    Block,
    /// The index of the loop.
    Loop(u32),
    If,
    Else,
    End,
    /// The number of the list of the handlers' labels, counted from outside of the block.
    TryTable(u32),
    Branch(u32),
    BranchIf(u32),
    /// The number of the list of its targets.
    BranchTable(u32),
    Return,
    Trap,
    Throw,
    /// The index of the call.
    Call(u32),
    /// The index of a call whose results are returned.
    TailCall(u32),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) callee: Callee,
    /// The last place before the call, in the same block and after any branch, at which the block has no operands; if there is none, the
    /// call itself.
    pub(crate) rest: u32,
    /// The same, but after any other call.
    pub(crate) rest_after_calls: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Callee {
    /// The function of this index.
    Function(u32),
    /// Any function of the type with this index.
    OfType(u32),
}

#[derive(Clone, Debug)]
pub(crate) struct Loop {
    /// Where its first instruction is.
    pub(crate) body: u32,
    /// What it takes from the stack.
    pub(crate) operands: Vec<ValType>,
}

impl Trace {
    /// An empty one. Only if it `is_kept`, it has the types of the locals.
    pub(crate) fn new<T: WasmModuleResources>(
        is_kept: bool,
        entry: u32,
        validator: &FuncValidator<T>,
    ) -> Self {
        let locals = if is_kept { validator.len_locals() } else { 0 };
        let locals = (0..locals).map_while(|local| validator.get_local_type(local)).collect();
        Self { entry, locals, ..Self::default() }
    }

    /// The validator names types by numbers of its own. Names them by indices instead.
    pub(crate) fn name_types(&mut self, index: impl Fn(CoreTypeId) -> Option<u32>) {
        let operands = self.loops.iter_mut().flat_map(|a_loop| &mut a_loop.operands);
        for ty in self.locals.iter_mut().chain(operands) {
            if let ValType::Ref(reference) = ty
                && let HeapType::Concrete(UnpackedIndex::Id(id)) = reference.heap_type()
                && let Some(index) = index(id)
                && let to = HeapType::Concrete(UnpackedIndex::Module(index))
                && let Some(named) = RefType::new(reference.is_nullable(), to)
            {
                *reference = named;
            }
        }
    }

    /// How many labels all lists have.
    pub(crate) fn targets(&self) -> usize {
        self.targets.len()
    }

    /// A list of labels.
    pub(crate) fn list(&self, number: u32) -> &[u32] {
        let Range { start, end } = self.lists[number as usize].clone();
        &self.targets[start as usize..end as usize]
    }

    /// To be called before the validator sees an operator that is at `at`.
    pub(crate) fn before<T: WasmModuleResources>(&mut self, at: u32, validator: &FuncValidator<T>) {
        if let Some(frame) = validator.get_control_frame(0)
            && frame.height == validator.operand_stack_height() as usize
        {
            self.rest = Some(at);
            self.has_called = false;
        }
    }

    /// To be called after the validator has seen an operator that is at `at` and ends at `end`.
    pub(crate) fn after<T: WasmModuleResources>(
        &mut self,
        at: u32,
        end: u32,
        operator: &Operator<'_>,
        validator: &FuncValidator<T>,
    ) {
        let what = match *operator {
            Operator::LocalGet { local_index } => What::Get(local_index),
            Operator::LocalSet { local_index } | Operator::LocalTee { local_index } => {
                What::Set(local_index)
            }
            Operator::Block { .. } => What::Block,
            Operator::Loop { .. } => {
                let operands = operands(validator);
                self.loops.push(Loop { body: end, operands });
                What::Loop(self.loops.len() as u32 - 1)
            }
            Operator::If { .. } => What::If,
            Operator::Else => What::Else,
            Operator::End => What::End,
            Operator::TryTable { ref try_table } => {
                What::TryTable(self.new_list(try_table.catches.iter().map(|catch| match *catch {
                    wasmparser::Catch::One { label, .. }
                    | wasmparser::Catch::OneRef { label, .. }
                    | wasmparser::Catch::All { label }
                    | wasmparser::Catch::AllRef { label } => label,
                })))
            }
            Operator::Br { relative_depth } => What::Branch(relative_depth),
            Operator::BrIf { relative_depth }
            | Operator::BrOnNull { relative_depth }
            | Operator::BrOnNonNull { relative_depth } => What::BranchIf(relative_depth),
            Operator::BrTable { ref targets } => {
                let all = targets.targets().map_while(Result::ok).chain([targets.default()]);
                What::BranchTable(self.new_list(all))
            }
            Operator::Return => What::Return,
            Operator::Unreachable => What::Trap,
            Operator::Throw { .. } | Operator::ThrowRef => What::Throw,
            Operator::Call { function_index } => self.call(at, Callee::Function(function_index)),
            Operator::CallIndirect { type_index, .. } | Operator::CallRef { type_index } => {
                self.call(at, Callee::OfType(type_index))
            }
            Operator::ReturnCall { function_index } => {
                self.tail_call(at, Callee::Function(function_index))
            }
            Operator::ReturnCallIndirect { type_index, .. }
            | Operator::ReturnCallRef { type_index } => {
                self.tail_call(at, Callee::OfType(type_index))
            }
            _ if at - self.events.last().map_or(self.entry, |last| last.at) >= LONGEST_STEP => {
                What::Step
            }
            _ => return,
        };
        if !matches!(what, What::Get(_) | What::Set(_) | What::Step | What::Call(_)) {
            self.rest = None;
        }
        self.events.push(Event { at, what });
    }

    fn new_list(&mut self, labels: impl Iterator<Item = u32>) -> u32 {
        // Each once: tables of branches name the same labels again and again.
        let mut labels: Vec<_> = labels.collect();
        labels.sort_unstable();
        labels.dedup();
        let start = self.targets.len() as u32;
        self.targets.extend(labels);
        self.lists.push(start..self.targets.len() as u32);
        self.lists.len() as u32 - 1
    }

    fn new_call(&mut self, at: u32, callee: Callee) -> u32 {
        let rest = self.rest.unwrap_or(at);
        let rest_after_calls = if self.has_called { at } else { rest };
        self.calls.push(Call { callee, rest, rest_after_calls });
        self.has_called = true;
        self.calls.len() as u32 - 1
    }

    fn call(&mut self, at: u32, callee: Callee) -> What {
        What::Call(self.new_call(at, callee))
    }

    fn tail_call(&mut self, at: u32, callee: Callee) -> What {
        What::TailCall(self.new_call(at, callee))
    }
}

/// The operands of the block that has just begun.
fn operands<T: WasmModuleResources>(validator: &FuncValidator<T>) -> Vec<ValType> {
    let Some(frame) = validator.get_control_frame(0) else { return Vec::new() };
    let count = validator.operand_stack_height() as usize - frame.height;
    let types = (0..count).rev().map(|depth| validator.get_operand_type(depth).flatten());
    // Code that cannot be reached may have operands of no type. It needs no check.
    types.collect::<Option<_>>().unwrap_or_default()
}
