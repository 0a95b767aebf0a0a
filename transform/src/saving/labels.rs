//! Labels: what is written has other blocks around an instruction than what is read.

use crate::saving::rewrite::Rewrite;
use crate::saving::shape::Item;
use crate::state::value_type;
use crate::stops::check::encoded;
use wasm_encoder::{BlockType, Catch};
use wasmparser::{BinaryReader, Operator, OperatorsReader};

impl<'a> Rewrite<'a> {
    /// An instruction with labels.
    pub(super) fn branch(&mut self, item: &Item) {
        let operator = self.operator(item);
        match operator {
            Operator::Br { relative_depth } => {
                let to = self.label(relative_depth);
                self.sink().br(to);
            }
            Operator::BrIf { relative_depth } => {
                let to = self.label(relative_depth);
                self.sink().br_if(to);
            }
            Operator::BrOnNull { relative_depth } => {
                let to = self.label(relative_depth);
                self.sink().br_on_null(to);
            }
            Operator::BrOnNonNull { relative_depth } => {
                let to = self.label(relative_depth);
                self.sink().br_on_non_null(to);
            }
            Operator::BrTable { targets } => {
                let default = self.label(targets.default());
                let targets = targets.targets().map_while(Result::ok);
                let targets: Vec<_> = targets.map(|depth| self.label(depth)).collect();
                self.sink().br_table(targets, default);
            }
            other => unreachable!("it has no labels: {other:?}"),
        }
        self.copied = item.end;
    }

    /// The label in what is written of one in what is read. Both are counted from the inside.
    fn label(&self, depth: u32) -> u32 {
        self.level - self.open[self.open.len() - 1 - depth as usize].level
    }

    /// The instruction.
    fn operator(&self, item: &Item) -> Operator<'a> {
        let reader = BinaryReader::new(self.bytes(item.at..item.end), 0);
        OperatorsReader::new(reader).read().expect("it was read before")
    }

    /// The handlers of a block, as they are before the block begins, and its type.
    pub(super) fn catches(&self, item: &Item) -> (Vec<Catch>, BlockType) {
        let Operator::TryTable { try_table } = self.operator(item) else {
            unreachable!("it begins a block with handlers")
        };
        let label = |depth| self.label(depth);
        let catches = try_table.catches.iter().map(|catch| match *catch {
            wasmparser::Catch::One { tag, label: to } => Catch::One { tag, label: label(to) },
            wasmparser::Catch::OneRef { tag, label: to } => Catch::OneRef { tag, label: label(to) },
            wasmparser::Catch::All { label: to } => Catch::All { label: label(to) },
            wasmparser::Catch::AllRef { label: to } => Catch::AllRef { label: label(to) },
        });
        let ty = match try_table.ty {
            wasmparser::BlockType::Empty => BlockType::Empty,
            wasmparser::BlockType::Type(ty) => BlockType::Result(encoded(value_type(ty))),
            wasmparser::BlockType::FuncType(index) => BlockType::FunctionType(index),
        };
        (catches.collect(), ty)
    }
}
