//! [`Refs`]: reads the values of a guest's globals and tables, and writes them.

use crate::error::Error;
use crate::guest::checkpoint::codec::RefCodec;
use crate::guest::checkpoint::plan::Plan;
use crate::guest::checkpoint::value::{Run, Value, elements};
use crate::wait::block::block_on;
use std::collections::HashMap;
use wasmtime::{
    AsContext, AsContextMut, Extern, Func, Global, HeapType, Instance, Ref, RootScope, Store,
    Table, Val,
};

/// The numbers of a guest's functions, by the address that wasmtime gives for a function. It is the same for each reference to it.
pub(crate) type Numbers = HashMap<usize, u32>;

/// Reads and writes values of a guest.
pub(crate) struct Refs<'a, S: 'static> {
    pub(crate) store: &'a mut Store<S>,
    pub(crate) plan: &'a Plan,
    pub(crate) instance: Instance,
    /// Made when the first reference to a function is read.
    pub(crate) numbers: &'a mut Option<Numbers>,
    pub(crate) codec: Option<&'a dyn RefCodec<S>>,
}

type Scope<'a, S> = RootScope<&'a mut Store<S>>;

impl<S: 'static> Refs<'_, S> {
    pub(crate) fn read_global(&mut self, global: Global, name: &str) -> Result<Value, Error> {
        let Self { store, plan, instance, numbers, codec } = self;
        let mut scope = RootScope::new(&mut **store);
        Ok(match global.get(&mut scope) {
            Val::I32(value) => Value::I32(value),
            Val::I64(value) => Value::I64(value),
            Val::F32(bits) => Value::F32(bits),
            Val::F64(bits) => Value::F64(bits),
            Val::V128(value) => Value::V128(value.as_u128()),
            reference => {
                let number = |scope: &mut _, function| number(scope, plan, *instance, numbers, function);
                match reference.ref_() {
                    Some(reference) => read(&mut scope, reference, number, *codec, || name.into())?,
                    None => return Err(unnamed(name.into())),
                }
            }
        })
    }

    pub(crate) fn write_global(&mut self, global: Global, value: &Value) -> Result<(), Error> {
        let ty = global.ty(&*self.store);
        let mut scope = RootScope::new(&mut *self.store);
        let value = match value {
            Value::I32(value) => Val::I32(*value),
            Value::I64(value) => Val::I64(*value),
            Value::F32(bits) => Val::F32(*bits),
            Value::F64(bits) => Val::F64(*bits),
            Value::V128(value) => Val::V128((*value).into()),
            reference => {
                let ty = ty.content().as_ref().ok_or_else(mistyped)?;
                write(&mut scope, reference, ty.heap_type(), self.plan, self.instance, self.codec)?
                    .into()
            }
        };
        Ok(global.set(scope, value)?)
    }

    pub(crate) fn read_table(&mut self, table: Table, name: &str) -> Result<Vec<Run>, Error> {
        let Self { store, plan, instance, numbers, codec } = self;
        let mut runs: Vec<Run> = Vec::new();
        for index in 0..table.size(&**store) {
            let mut scope = RootScope::new(&mut **store);
            let Some(element) = table.get(&mut scope, index) else { break };
            let number = |scope: &mut _, function| number(scope, plan, *instance, numbers, function);
            let place = || format!("element {index} of {name}").into();
            let value = read(&mut scope, element, number, *codec, place)?;
            match runs.last_mut() {
                Some(run) if run.value == value => run.count += 1,
                _ => runs.push(Run { count: 1, value }),
            }
        }
        Ok(runs)
    }

    /// Makes a table as large as these elements, as far as the limits allow.
    pub(crate) fn grow_table(&mut self, table: Table, runs: &[Run]) -> Result<(), Error>
    where
        S: Send,
    {
        let missing = elements(runs).saturating_sub(table.size(&*self.store));
        if let Some(Run { value, .. }) = runs.last()
            && missing > 0
        {
            let ty = table.ty(&*self.store);
            let mut scope = RootScope::new(&mut *self.store);
            let heap_type = ty.element().heap_type();
            let element =
                write(&mut scope, value, heap_type, self.plan, self.instance, self.codec)?;
            // A limiter of the user's may be asynchronous.
            block_on(table.grow_async(&mut scope, missing, element))?;
        }
        Ok(())
    }

    /// Writes all elements of a table, which has to be as large.
    pub(crate) fn write_table(&mut self, table: Table, runs: &[Run]) -> Result<(), Error> {
        let ty = table.ty(&*self.store);
        let mut index = 0;
        for Run { count, value } in runs {
            let mut scope = RootScope::new(&mut *self.store);
            let heap_type = ty.element().heap_type();
            let element =
                write(&mut scope, value, heap_type, self.plan, self.instance, self.codec)?;
            table.fill(&mut scope, index, element, *count)?;
            index += count;
        }
        Ok(())
    }
}

fn read<S: 'static>(
    scope: &mut Scope<'_, S>,
    reference: Ref,
    number: impl FnOnce(&mut Scope<'_, S>, &Func) -> Option<u32>,
    codec: Option<&dyn RefCodec<S>>,
    name: impl FnOnce() -> Box<str>,
) -> Result<Value, Error> {
    match reference {
        Ref::Func(None) | Ref::Extern(None) | Ref::Any(None) | Ref::Exn(None) => Ok(Value::Null),
        Ref::Func(Some(function)) => {
            number(scope, &function).map(Value::Function).ok_or_else(|| {
                let why = "it refers to a function that is not the module's".into();
                Error::CannotSave { what: name(), why }
            })
        }
        Ref::Extern(Some(object)) => {
            let object = object.data(scope.as_context())?;
            let bytes = object.zip(codec).and_then(|(object, codec)| codec.encode(object));
            let bytes = bytes.ok_or_else(|| {
                let why = "it refers to an object of the host's: see `Instance::set_ref_codec`";
                Error::CannotSave { what: name(), why: why.into() }
            })?;
            Ok(Value::Object(bytes.into()))
        }
        Ref::Any(Some(_)) | Ref::Exn(Some(_)) => Err(unnamed(name())),
    }
}

/// The number of a function, if it is one of the module's.
fn number<S: 'static>(
    scope: &mut Scope<'_, S>,
    plan: &Plan,
    instance: Instance,
    numbers: &mut Option<Numbers>,
    function: &Func,
) -> Option<u32> {
    let numbers = numbers.get_or_insert_with(|| {
        let functions = plan.functions.iter().filter_map(|(number, (export, _))| {
            let function = get_function(scope, instance, export)?;
            Some((function.to_raw(scope.as_context_mut()).addr(), *number))
        });
        functions.collect()
    });
    numbers.get(&function.to_raw(scope.as_context_mut()).addr()).copied()
}

fn write<S: 'static>(
    scope: &mut Scope<'_, S>,
    value: &Value,
    heap_type: &HeapType,
    plan: &Plan,
    instance: Instance,
    codec: Option<&dyn RefCodec<S>>,
) -> Result<Ref, Error> {
    match value {
        Value::Null => Ok(Ref::null(heap_type)),
        Value::Function(number) => {
            let function = plan.function(*number);
            let function = function.and_then(|(export, _)| get_function(scope, instance, export));
            Ok(Ref::Func(Some(function.ok_or_else(mistyped)?)))
        }
        Value::Object(bytes) => {
            let codec = codec.ok_or_else(|| Error::InvalidCheckpoint {
                why: "it has an object of the host's, and the instance has no `RefCodec`".into(),
            })?;
            Ok(Ref::Extern(Some(codec.decode(bytes, scope.as_context_mut())?)))
        }
        _ => Err(mistyped()),
    }
}

fn get_function<S: 'static>(
    scope: &mut Scope<'_, S>,
    instance: Instance,
    export: &wasmtime::ModuleExport,
) -> Option<Func> {
    instance.get_module_export(scope.as_context_mut(), export).and_then(Extern::into_func)
}

fn unnamed(what: Box<str>) -> Error {
    Error::CannotSave { what, why: "it refers to an exception or an object of the guest's".into() }
}

fn mistyped() -> Error {
    Error::InvalidCheckpoint { why: "a value is of another type than its place".into() }
}
