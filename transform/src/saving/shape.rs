//! [`Shape`]: what is known of a body that is written anew: its blocks, its branches, and the calls at which it may be suspended, with the
//! operands that are on the stack there. It is recorded while the body is validated.

use crate::calls::callee;
use crate::layout::ValueType;
use crate::saving::types::{Signature, Types, is_never_null, operand};
use crate::state::value_type;
use crate::stops::trace::Callee;
use std::ops::Range;
use wasmparser::{BlockType, FuncValidator, Operator, WasmModuleResources};

#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// The type of the function.
    pub(crate) ty: Signature,
    /// The types of all locals, parameters first.
    pub(crate) locals: Vec<ValueType>,
    /// Where the first instruction is, from the beginning of the body.
    pub(crate) entry: u32,
    /// The instructions that matter, in order.
    pub(crate) items: Vec<Item>,
    /// The blocks. The first one is the function.
    pub(crate) blocks: Vec<Block>,
    pub(crate) points: Vec<Point>,
    /// How many items there are, and operands of items and below calls.
    pub(crate) size: usize,
    /// How many bytes a twin writes again because they are in a loop that has references as parameters. Those in several such loops count for each of them.
    pub(crate) repeated: usize,
    /// The types of the operands of items.
    operands: Vec<ValueType>,
    open: Vec<Open>,
    /// The operands outside of the blocks that are open.
    outside: Vec<(u32, ValueType)>,
    /// Whether a call that may be suspended takes the place of this one, and gives values of other types.
    pub(crate) has_other_tail_call: bool,
    /// How many calls there were, dead ones among them.
    calls: u32,
    /// The fewest operands that there were since the last item.
    low: u32,
    /// Where dead code began, and how many blocks were open.
    dead: Option<(u32, u32)>,
}

/// An instruction that matters. Offsets are from the beginning of the body.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) at: u32,
    pub(crate) end: u32,
    pub(crate) what: What,
    /// How many operands there are before it, and how many of them are outside of its block.
    pub(crate) height: u32,
    pub(crate) base: u32,
    /// The fewest that there were since the item before.
    pub(crate) low: u32,
    /// The first of its operands' types.
    first_operand: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The beginning of a block.
    Block(u32),
    Else,
    End,
    /// An instruction with labels, but for those that begin blocks.
    Branch,
    Point(u32),
    /// Reads a local whose type has no null.
    Get(u32),
    /// Code that is never reached, up to an `else` or `end`.
    Dead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Block,
    Loop,
    If,
    TryTable,
}

#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) kind: Kind,
    pub(crate) ty: Signature,
    /// Its points, those of blocks inside of it among them.
    pub(crate) points: Range<u32>,
    /// The first point after its `else`. If there is none, the end of `points`.
    pub(crate) first_of_else: u32,
    pub(crate) has_else: bool,
    /// The items inside of it that are points, or begin blocks with points. Those after an `else` come in the second list.
    pub(crate) parts: [Vec<u32>; 2],
}

/// A call at which the function may be suspended.
#[derive(Debug)]
pub(crate) struct Point {
    /// Its number among all calls of the body, dead ones among them.
    pub(crate) call: u32,
    pub(crate) callee: Callee,
    pub(crate) ty: Signature,
    /// How many operands the call takes. Those of the stack below are live.
    pub(crate) takes: u32,
    /// The operands on the whole stack that the call leaves alone: their heights and types.
    pub(crate) below: Vec<(u32, ValueType)>,
}

/// A block that is open.
#[derive(Debug)]
struct Open {
    block: u32,
    /// The item that begins it. The function has none.
    item: Option<u32>,
    in_else: bool,
    /// How many operands there are outside of the blocks around it.
    outside: usize,
}

impl Block {
    /// How many operands it takes: its parameters, and the condition of an `if`.
    pub(crate) fn takes(&self) -> u32 {
        self.ty.params.len() as u32 + u32::from(self.kind == Kind::If)
    }

    /// Whether it is a loop that has references as parameters.
    pub(crate) fn is_loop_with_references(&self) -> bool {
        let is_reference = |ty: &ValueType| matches!(ty, ValueType::Reference(_));
        self.kind == Kind::Loop && self.ty.params.iter().any(is_reference)
    }
}

impl Shape {
    pub(crate) fn new(ty: Signature, locals: Vec<ValueType>, entry: u32) -> Self {
        let function = Block {
            kind: Kind::Block,
            ty: Signature { params: Vec::new(), results: ty.results.clone() },
            points: 0..0,
            first_of_else: 0,
            has_else: false,
            parts: Default::default(),
        };
        let open = vec![Open { block: 0, item: None, in_else: false, outside: 0 }];
        Self { ty, locals, entry, blocks: vec![function], open, ..Self::default() }
    }

    /// The types of an item's operands, from the `base` of its block on.
    pub(crate) fn operands(&self, item: &Item) -> &[ValueType] {
        let first = item.first_operand as usize;
        &self.operands[first..first + (item.height - item.base) as usize]
    }

    /// To be called before the validator sees an operator.
    pub(crate) fn before<T: WasmModuleResources>(
        &mut self,
        at: u32,
        end: u32,
        operator: &Operator<'_>,
        validator: &FuncValidator<T>,
        types: &Types<'_>,
    ) {
        let call = callee(operator);
        self.calls += u32::from(call.is_some());
        let closes = matches!(operator, Operator::Else | Operator::End);
        if let Some((from, depth)) = self.dead {
            if !closes || validator.control_stack_height() != depth {
                return;
            }
            self.dead = None;
            if from < at {
                self.item(from, at, What::Dead, validator);
            }
        }
        match operator {
            Operator::Block { blockty } => self.begin(Kind::Block, *blockty, types),
            Operator::Loop { blockty } => self.begin(Kind::Loop, *blockty, types),
            Operator::If { blockty } => self.begin(Kind::If, *blockty, types),
            Operator::TryTable { try_table } => self.begin(Kind::TryTable, try_table.ty, types),
            _ => {}
        }
        if let Operator::ReturnCall { .. }
        | Operator::ReturnCallIndirect { .. }
        | Operator::ReturnCallRef { .. } = operator
            && let Some(callee) = call
            && types.reach.suspends(callee)
        {
            let same = types.same_results(types.type_of(callee), &self.ty);
            self.has_other_tail_call |= !same;
        }
        let what = match operator {
            Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::TryTable { .. } => Some(What::Block(self.blocks.len() as u32 - 1)),
            Operator::Else => Some(What::Else),
            Operator::End => Some(What::End),
            Operator::Br { .. }
            | Operator::BrIf { .. }
            | Operator::BrTable { .. }
            | Operator::BrOnNull { .. }
            | Operator::BrOnNonNull { .. } => Some(What::Branch),
            Operator::LocalGet { local_index } | Operator::LocalTee { local_index } => {
                let never_null = is_never_null(self.locals[*local_index as usize]);
                never_null.then_some(What::Get(*local_index))
            }
            Operator::Call { .. } | Operator::CallIndirect { .. } | Operator::CallRef { .. } => {
                let callee = call.expect("it is a call");
                types.reach.suspends(callee).then(|| {
                    self.point(callee, operator, validator, types);
                    What::Point(self.points.len() as u32 - 1)
                })
            }
            _ => None,
        };
        if let Some(what) = what {
            let has_operands = matches!(what, What::Block(_) | What::Point(_));
            self.item(at, end, what, validator);
            let item = self.items.last_mut().expect("it was just added");
            if has_operands {
                item.first_operand = self.operands.len() as u32;
                let depths = (0..item.height - item.base).rev();
                let types = depths.map(|depth| operand(validator, depth, types));
                self.operands.extend(types);
                self.size += (item.height - item.base) as usize;
            }
            if let What::Point(number) = what {
                self.below(number);
            }
            self.structure(what);
        }
        let height = validator.operand_stack_height();
        self.low = match operator {
            Operator::Else | Operator::End => self.low.min(base(validator)),
            _ => {
                let takes = operator.operator_arity(validator).map_or(height, |(takes, _)| takes);
                self.low.min(height.saturating_sub(takes))
            }
        };
    }

    /// To be called after the validator has seen an operator that ends at `end`.
    pub(crate) fn after<T: WasmModuleResources>(&mut self, end: u32, validator: &FuncValidator<T>) {
        if self.dead.is_none() && validator.get_control_frame(0).is_some_and(|f| f.unreachable) {
            self.dead = Some((end, validator.control_stack_height()));
        }
    }

    fn item<T: WasmModuleResources>(
        &mut self,
        at: u32,
        end: u32,
        what: What,
        validator: &FuncValidator<T>,
    ) {
        let height = validator.operand_stack_height();
        let (base, low) = (base(validator), self.low.min(height));
        self.items.push(Item { at, end, what, height, base, low, first_operand: 0 });
        self.low = height;
        self.size += 1;
    }

    fn begin(&mut self, kind: Kind, ty: BlockType, types: &Types<'_>) {
        let ty = match ty {
            BlockType::Empty => Signature::default(),
            BlockType::Type(ty) => Signature { params: Vec::new(), results: vec![value_type(ty)] },
            BlockType::FuncType(index) => types.signatures[index as usize].clone(),
        };
        let points = self.points.len() as u32;
        let points = points..points;
        let first_of_else = points.start;
        let has_else = false;
        let block = Block { kind, ty, points, first_of_else, has_else, parts: Default::default() };
        self.blocks.push(block);
    }

    fn point<T: WasmModuleResources>(
        &mut self,
        callee: Callee,
        operator: &Operator<'_>,
        validator: &FuncValidator<T>,
        types: &Types<'_>,
    ) {
        let takes = operator.operator_arity(validator).map_or(0, |(takes, _)| takes);
        let ty = types.type_of(callee).clone();
        self.points.push(Point { call: self.calls - 1, callee, ty, takes, below: Vec::new() });
    }

    /// Finds the operands below those of a call.
    fn below(&mut self, number: u32) {
        let takes = self.points[number as usize].takes;
        let mut below = self.outside.clone();
        below.extend(self.left(takes));
        self.size += below.len();
        self.points[number as usize].below = below;
    }

    /// The operands of the last item's block that the item does not take.
    fn left(&self, takes: u32) -> impl Iterator<Item = (u32, ValueType)> + '_ {
        let item = self.items.last().expect("an item was added");
        (item.base..item.height - takes).zip(self.operands(item).iter().copied())
    }

    /// Keeps track of which block is in which.
    fn structure(&mut self, what: What) {
        let item = self.items.len() as u32 - 1;
        let points = self.points.len() as u32;
        match what {
            What::Block(block) => {
                let outside = self.outside.len();
                self.open.push(Open { block, item: Some(item), in_else: false, outside });
                let left: Vec<_> = self.left(self.blocks[block as usize].takes()).collect();
                self.outside.extend(left);
            }
            What::Point(_) => self.part(item),
            What::Else => {
                if let Some(open) = self.open.last_mut() {
                    open.in_else = true;
                    let block = &mut self.blocks[open.block as usize];
                    block.first_of_else = points;
                    block.has_else = true;
                }
            }
            What::End => {
                let Some(open) = self.open.pop() else { return };
                self.outside.truncate(open.outside);
                let block = &mut self.blocks[open.block as usize];
                block.points.end = points;
                if !open.in_else {
                    block.first_of_else = points;
                }
                if let Some(begin) = open.item
                    && !block.points.is_empty()
                {
                    if block.is_loop_with_references() {
                        let (begins, ends) =
                            (&self.items[begin as usize], &self.items[item as usize]);
                        self.repeated += (ends.at - begins.at) as usize;
                    }
                    self.part(begin);
                }
            }
            What::Branch | What::Get(_) | What::Dead => {}
        }
    }

    fn part(&mut self, item: u32) {
        if let Some(open) = self.open.last() {
            let part = usize::from(open.in_else);
            self.blocks[open.block as usize].parts[part].push(item);
        }
    }
}

/// How many operands are outside of the block.
fn base<T: WasmModuleResources>(validator: &FuncValidator<T>) -> u32 {
    validator.get_control_frame(0).map_or(0, |frame| frame.height as u32)
}
