//! [`Trace`]: what the analysis of stops needs to know of a body: its control flow, its calls, and its uses of locals. It is recorded while
//! the body is validated, because only the validator knows how many operands there are.

use crate::layout::ValueType;
use crate::state::value_type;
use crate::stops::loops::{Back, Loop};
use std::collections::BTreeMap;
use std::ops::Range;
use wasmparser::types::CoreTypeId;
use wasmparser::{
    FuncValidator, HeapType, Operator, RefType, UnpackedIndex, ValType, WasmModuleResources,
};

/// There is an event after so many bytes at the latest, so that there are places for checks in long code without control flow.
const LONGEST_STEP: u32 = 64;

/// How many operands of its loop a check carries at most. There are not that many registers.
const MOST_OPERANDS: usize = 24;

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
    /// The types of the locals that are used, parameters among them.
    local_types: BTreeMap<u32, ValType>,
    /// The blocks that are open. Of loops, the index.
    open: Vec<Option<u32>>,
    /// Those of them that are loops.
    open_loops: Vec<u32>,
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
    /// Copies or fills as much of a memory or table as it is told to.
    Bulk,
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

impl Trace {
    /// An empty one of a body whose instructions begin at `entry`.
    pub(crate) fn new(entry: u32) -> Self {
        Self { entry, ..Self::default() }
    }

    /// A number greater than that of any local that is used.
    pub(crate) fn locals(&self) -> usize {
        self.local_types.last_key_value().map_or(0, |(last, _)| *last as usize + 1)
    }

    /// The type of a local that is used.
    pub(crate) fn local_type(&self, local: u32) -> ValueType {
        value_type(self.local_types[&local])
    }

    /// Names the types by their indices.
    pub(crate) fn name_types(&mut self, index: impl Fn(CoreTypeId) -> Option<u32>) {
        let operands = self.loops.iter_mut().flat_map(|a_loop| &mut a_loop.operands).flatten();
        for ty in self.local_types.values_mut().chain(operands) {
            name_type(ty, &index);
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
            Operator::LocalGet { local_index } => {
                self.uses(local_index, validator);
                What::Get(local_index)
            }
            Operator::LocalSet { local_index } | Operator::LocalTee { local_index } => {
                self.uses(local_index, validator);
                What::Set(local_index)
            }
            Operator::Block { .. } => What::Block,
            Operator::Loop { .. } => {
                self.is_not_plain();
                let number = self.loops.len() as u32;
                self.loops.push(Loop {
                    whole: at..end,
                    body: end,
                    operands: operands(validator),
                    is_plain: true,
                    calls: false,
                    backs: 0,
                    last_back: None,
                });
                What::Loop(number)
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
            Operator::Call { function_index } => {
                What::Call(self.new_call(at, Callee::Function(function_index)))
            }
            Operator::CallIndirect { type_index, .. } | Operator::CallRef { type_index } => {
                What::Call(self.new_call(at, Callee::OfType(type_index)))
            }
            Operator::ReturnCall { function_index } => {
                What::TailCall(self.new_call(at, Callee::Function(function_index)))
            }
            Operator::ReturnCallIndirect { type_index, .. }
            | Operator::ReturnCallRef { type_index } => {
                What::TailCall(self.new_call(at, Callee::OfType(type_index)))
            }
            Operator::MemoryGrow { .. } => {
                self.open_loops_call();
                return;
            }
            Operator::MemoryInit { .. }
            | Operator::MemoryCopy { .. }
            | Operator::MemoryFill { .. }
            | Operator::TableGrow { .. }
            | Operator::TableInit { .. }
            | Operator::TableCopy { .. }
            | Operator::TableFill { .. } => {
                self.open_loops_call();
                What::Bulk
            }
            _ if at - self.events.last().map_or(self.entry, |last| last.at) >= LONGEST_STEP => {
                What::Step
            }
            _ => return,
        };
        match what {
            What::Get(_) | What::Set(_) | What::Step | What::Bulk => {}
            What::Call(_) => {
                self.is_not_plain();
                self.open_loops_call();
            }
            _ => self.rest = None,
        }
        match what {
            What::Branch(depth) | What::BranchIf(depth) => {
                let is_conditional = matches!(what, What::BranchIf(_));
                let is_simple = matches!(operator, Operator::Br { .. } | Operator::BrIf { .. });
                let back = Back { at, end, depth, is_conditional };
                self.leads_to(depth, Some(back).filter(|_| is_simple));
            }
            What::BranchTable(list) | What::TryTable(list) => {
                for n in 0..self.list(list).len() {
                    self.leads_to(self.list(list)[n], None);
                }
            }
            _ => {}
        }
        match what {
            What::Block | What::If => self.open.push(None),
            What::Loop(number) => {
                self.open.push(Some(number));
                self.open_loops.push(number);
            }
            What::TryTable(_) => {
                self.is_not_plain();
                self.open.push(None);
            }
            What::End => {
                if let Some(Some(number)) = self.open.pop() {
                    self.end_loop(number, end);
                }
            }
            What::BranchTable(_) | What::TailCall(_) => self.is_not_plain(),
            _ => {}
        }
        self.events.push(Event { at, what });
    }

    /// A branch leads to a label.
    fn leads_to(&mut self, depth: u32, back: Option<Back>) {
        let label = self.open.len().checked_sub(depth as usize + 1);
        let Some(Some(number)) = label.map(|label| self.open[label]) else { return };
        let is_innermost = self.open_loops.last() == Some(&number);
        let the_loop = &mut self.loops[number as usize];
        the_loop.backs += 1;
        the_loop.last_back = back.filter(|_| is_innermost);
    }

    fn uses<T: WasmModuleResources>(&mut self, local: u32, validator: &FuncValidator<T>) {
        let ty = || validator.get_local_type(local).expect("the instruction is valid");
        self.local_types.entry(local).or_insert_with(ty);
    }

    /// The innermost loop calls. Those around it learn that when it ends.
    fn open_loops_call(&mut self) {
        if let Some(number) = self.open_loops.last() {
            self.loops[*number as usize].calls = true;
        }
    }

    /// The innermost loop is not plain. Those around it are not because it is in them.
    fn is_not_plain(&mut self) {
        if let Some(number) = self.open_loops.last() {
            self.loops[*number as usize].is_plain = false;
        }
    }

    fn end_loop(&mut self, number: u32, end: u32) {
        self.open_loops.pop();
        let inner = &mut self.loops[number as usize];
        inner.whole.end = end;
        let calls = inner.calls;
        if calls {
            self.open_loops_call();
        }
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
}

/// The validator names types by numbers of its own. Names one by its index instead.
pub(crate) fn name_type(ty: &mut ValType, index: impl Fn(CoreTypeId) -> Option<u32>) {
    if let ValType::Ref(reference) = ty
        && let HeapType::Concrete(UnpackedIndex::Id(id)) = reference.heap_type()
        && let Some(index) = index(id)
        && let to = HeapType::Concrete(UnpackedIndex::Module(index))
        && let Some(named) = RefType::new(reference.is_nullable(), to)
    {
        *reference = named;
    }
}

/// The operands of the loop that has just begun. `None` if a check does not carry that many.
fn operands<T: WasmModuleResources>(validator: &FuncValidator<T>) -> Option<Vec<ValType>> {
    let frame = validator.get_control_frame(0)?;
    let count = validator.operand_stack_height() as usize - frame.height;
    if count > MOST_OPERANDS {
        return None;
    }
    let types = (0..count).rev().map(|depth| validator.get_operand_type(depth).flatten());
    // Code that cannot be reached may have operands of no type. It needs no check.
    Some(types.collect::<Option<_>>().unwrap_or_default())
}
