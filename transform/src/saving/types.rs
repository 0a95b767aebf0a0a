//! Types, as the rewriting of bodies needs them.

use crate::layout::{ReferenceType, Referent, ValueType};
use crate::saving::reach::Reach;
use crate::state::value_type;
use crate::stops::trace::{Callee, name_type};
use std::collections::HashMap;
use wasmparser::types::CoreTypeId;
use wasmparser::{FuncValidator, WasmModuleResources};

/// A function type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Signature {
    pub(crate) params: Vec<ValueType>,
    pub(crate) results: Vec<ValueType>,
}

/// What all shapes of a module need.
pub(crate) struct Types<'a> {
    /// The types of the module, by index.
    pub(crate) signatures: &'a [Signature],
    /// The types of the functions, as indices.
    pub(crate) functions: &'a [u32],
    /// The indices of the types, by the validator's own numbers.
    pub(crate) indices: &'a HashMap<CoreTypeId, u32>,
    /// For each type of the module, the first one that is equal to it.
    pub(crate) canonical: &'a [u32],
    pub(crate) reach: &'a Reach,
}

impl Types<'_> {
    /// The type of what a call leads to.
    pub(crate) fn type_of(&self, callee: Callee) -> &Signature {
        let index = match callee {
            Callee::Function(index) => self.functions[index as usize],
            Callee::OfType(index) => index,
        };
        &self.signatures[index as usize]
    }

    /// Whether two functions give values of the same types, whatever the indices of these.
    pub(crate) fn same_results(&self, one: &Signature, other: &Signature) -> bool {
        let canonical = |ty: &ValueType| match *ty {
            ValueType::Reference(ReferenceType {
                nullable,
                to: Referent::FunctionOfType(index),
            }) => {
                let to = Referent::FunctionOfType(self.canonical[index as usize]);
                ValueType::Reference(ReferenceType { nullable, to })
            }
            other => other,
        };
        one.results.iter().map(canonical).eq(other.results.iter().map(canonical))
    }
}

/// The type of an operand, which the validator knows because the code is not dead.
pub(crate) fn operand<T: WasmModuleResources>(
    validator: &FuncValidator<T>,
    depth: u32,
    types: &Types<'_>,
) -> ValueType {
    let ty = validator.get_operand_type(depth as usize).flatten();
    let mut ty = ty.expect("only in dead code there are operands of unknown types");
    name_type(&mut ty, |id| types.indices.get(&id).copied());
    value_type(ty)
}

pub(crate) fn is_never_null(ty: ValueType) -> bool {
    matches!(ty, ValueType::Reference(reference) if !reference.nullable)
}

/// The type with null.
pub(crate) fn with_null(ty: ValueType) -> ValueType {
    match ty {
        ValueType::Reference(mut reference) => {
            reference.nullable = true;
            ValueType::Reference(reference)
        }
        other => other,
    }
}
