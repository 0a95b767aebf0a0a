//! The types of exports in words. `wrapper!` writes the same words for its module when the host is built, and `wrapper` compares the
//! two, so `macros/src/expand.rs` must change with this file.

use std::fmt::Write as _;
#[cfg(feature = "macros")]
use wasmtime::ExternType;
use wasmtime::{FuncType, GlobalType, Mutability, RefType, ValType};

/// What an export is: its kind, followed by the type of a function or a global.
#[cfg(feature = "macros")]
pub(crate) fn extern_type(ty: &ExternType) -> String {
    match ty {
        ExternType::Func(ty) => format!("function {}", func_type(ty)),
        ExternType::Global(ty) => format!("global {}", global_type(ty)),
        ExternType::Memory(ty) if ty.is_shared() => "shared memory".into(),
        ExternType::Memory(_) => "memory".into(),
        ExternType::Table(_) => "table".into(),
        ExternType::Tag(_) => "tag".into(),
    }
}

/// `(i32, i64) -> (f32)`.
#[cfg(feature = "macros")]
fn func_type(ty: &FuncType) -> String {
    format!("({}) -> ({})", list(ty.params()), list(ty.results()))
}

/// `(i32, i64) -> f32`: as Rust writes the parameters and results with which a user asks for a function.
pub(crate) fn signature(ty: &FuncType) -> String {
    let tuple = |types: &mut dyn ExactSizeIterator<Item = ValType>| match types.len() {
        1 => list(types),
        _ => format!("({})", list(types)),
    };
    format!("{} -> {}", tuple(&mut ty.params()), tuple(&mut ty.results()))
}

/// `i32`, or `mut i32`.
pub(crate) fn global_type(ty: &GlobalType) -> String {
    let mutability = if ty.mutability() == Mutability::Var { "mut " } else { "" };
    format!("{mutability}{}", val_type(ty.content()))
}

/// A type as the text format has it, with `funcref` and `externref` in their short forms.
fn val_type(ty: &ValType) -> String {
    match ty {
        ValType::Ref(ty) if RefType::eq(ty, &RefType::FUNCREF) => "funcref".into(),
        ValType::Ref(ty) if RefType::eq(ty, &RefType::EXTERNREF) => "externref".into(),
        ty => ty.to_string(),
    }
}

fn list(types: impl Iterator<Item = ValType>) -> String {
    let mut list = String::new();
    for (index, ty) in types.enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        // Writing to a string does not fail.
        let _ = write!(list, "{separator}{}", val_type(&ty));
    }
    list
}
