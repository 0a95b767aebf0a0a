//! [`check`]: refuses a state, read from bytes, that no guest of the module can be in.

use crate::error::Error;
use crate::guest::checkpoint::plan::Plan;
use crate::guest::checkpoint::state::GuestState;
use crate::guest::checkpoint::value::{Value, elements};
use wasmtime::{HeapType, ValType};

/// Refuses a state that no guest of the module can be in.
pub(crate) fn check(plan: &Plan, state: &GuestState) -> Result<(), Error> {
    let counts = [
        (plan.globals.len(), state.globals.len()),
        (plan.memories.len(), state.memories.len()),
        (plan.tables.len(), state.tables.len()),
    ];
    if counts.iter().any(|(ours, theirs)| ours != theirs) {
        return Err(invalid("it has another number of globals, memories or tables"));
    }
    for (planned, value) in plan.globals.iter().zip(&state.globals) {
        check_value(plan, value, planned.ty.content())?;
    }
    for (planned, pages) in plan.memories.iter().zip(&state.memories) {
        let page = usize::try_from(planned.ty.page_size()).unwrap_or(usize::MAX);
        let wasm_pages = (pages.len() / page) as u64;
        let most = planned.ty.maximum();
        if pages.len() % page != 0
            || wasm_pages < planned.ty.minimum()
            || most.is_some_and(|most| wasm_pages > most)
        {
            return Err(invalid("a memory has a size that it cannot have"));
        }
    }
    for (planned, runs) in plan.tables.iter().zip(&state.tables) {
        let (count, most) = (elements(runs), planned.ty.maximum());
        if count < planned.ty.minimum() || most.is_some_and(|most| count > most) {
            return Err(invalid("a table has a size that it cannot have"));
        }
        let ty = ValType::Ref(planned.ty.element().clone());
        runs.iter().try_for_each(|run| check_value(plan, &run.value, &ty))?;
    }
    Ok(())
}

fn check_value(plan: &Plan, value: &Value, ty: &ValType) -> Result<(), Error> {
    let fits = match (value, ty) {
        (Value::I32(_), ValType::I32)
        | (Value::I64(_), ValType::I64)
        | (Value::F32(_), ValType::F32)
        | (Value::F64(_), ValType::F64)
        | (Value::V128(_), ValType::V128) => true,
        (Value::Null, ValType::Ref(ty)) => ty.is_nullable(),
        (Value::Object(_), ValType::Ref(ty)) => matches!(ty.heap_type(), HeapType::Extern),
        (Value::Function(number), ValType::Ref(ty)) => {
            match (plan.function(*number), ty.heap_type()) {
                (Some(_), HeapType::Func) => true,
                (Some(function), HeapType::ConcreteFunc(ty)) => function.1.matches(ty),
                _ => false,
            }
        }
        _ => false,
    };
    if fits { Ok(()) } else { Err(invalid("a value is of another type than its place")) }
}

fn invalid(why: &str) -> Error {
    Error::InvalidCheckpoint { why: why.into() }
}
