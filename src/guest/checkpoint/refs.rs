//! [`Refs`]: reads and writes the values of a guest's globals and tables. [`Names`] turns references into data, and data into references.

use crate::error::Error;
use crate::guest::checkpoint::codec::RefCodec;
use crate::guest::checkpoint::plan::Plan;
use crate::guest::checkpoint::value::{Run, Value, elements};
use crate::wait::block::block_on;
use std::collections::HashMap;
use wasmtime::{
    AsContext, AsContextMut, Extern, Func, Global, HeapType, Instance, ModuleExport, Ref,
    RootScope, Store, Table, Val,
};

/// The numbers of a guest's functions, by the address that wasmtime gives for a function. It is the same for each reference to it.
pub(crate) type Numbers = HashMap<usize, u32>;

/// A guest's store, with the names of what its references refer to.
pub(crate) struct Refs<'a, S: 'static> {
    pub(crate) store: &'a mut Store<S>,
    pub(crate) names: Names<'a, S>,
}

pub(crate) struct Names<'a, S: 'static> {
    pub(crate) plan: &'a Plan,
    pub(crate) instance: Instance,
    /// Made when the first reference to a function is read.
    pub(crate) numbers: &'a mut Option<Numbers>,
    pub(crate) codec: Option<&'a dyn RefCodec<S>>,
}

type Scope<'a, S> = RootScope<&'a mut Store<S>>;

impl<S: 'static> Refs<'_, S> {
    pub(crate) fn read_global(&mut self, global: Global, name: &str) -> Result<Value, Error> {
        let mut scope = RootScope::new(&mut *self.store);
        Ok(match global.get(&mut scope) {
            Val::I32(value) => Value::I32(value),
            Val::I64(value) => Value::I64(value),
            Val::F32(bits) => Value::F32(bits),
            Val::F64(bits) => Value::F64(bits),
            Val::V128(value) => Value::V128(value.as_u128()),
            reference => match reference.ref_() {
                Some(reference) => self.names.read(&mut scope, reference, || name.into())?,
                None => return Err(nameless(name.into())),
            },
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
                self.names.write(&mut scope, reference, ty.heap_type())?.into()
            }
        };
        Ok(global.set(scope, value)?)
    }

    pub(crate) fn read_table(&mut self, table: Table, name: &str) -> Result<Vec<Run>, Error> {
        let mut runs: Vec<Run> = Vec::new();
        for index in 0..table.size(&*self.store) {
            let mut scope = RootScope::new(&mut *self.store);
            let Some(element) = table.get(&mut scope, index) else { break };
            let place = || format!("element {index} of {name}").into();
            let value = self.names.read(&mut scope, element, place)?;
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
            // All elements are written later. Null is best until then, because making an object may have effects.
            let element = match ty.element().is_nullable() {
                true => Ref::null(ty.element().heap_type()),
                false => self.names.write(&mut scope, value, ty.element().heap_type())?,
            };
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
            let element = self.names.write(&mut scope, value, ty.element().heap_type())?;
            table.fill(&mut scope, index, element, *count)?;
            index += count;
        }
        Ok(())
    }
}

impl<S: 'static> Names<'_, S> {
    pub(crate) fn read(
        &mut self,
        scope: &mut Scope<'_, S>,
        reference: Ref,
        name: impl FnOnce() -> Box<str>,
    ) -> Result<Value, Error> {
        match reference {
            Ref::Func(None) | Ref::Extern(None) | Ref::Any(None) | Ref::Exn(None) => {
                Ok(Value::Null)
            }
            Ref::Func(Some(function)) => {
                self.number(scope, &function).map(Value::Function).ok_or_else(|| {
                    let why =
                        "it refers to a function that the module does not define or import".into();
                    Error::CannotSave { what: name(), why }
                })
            }
            Ref::Extern(Some(object)) => {
                let object = object.data(scope.as_context())?;
                let bytes = object.zip(self.codec).and_then(|(object, codec)| codec.encode(object));
                let why = match bytes {
                    // The bytes of a checkpoint count with 32 bits.
                    Some(bytes) if u32::try_from(bytes.len()).is_ok() => {
                        return Ok(Value::Object(bytes.into()));
                    }
                    Some(_) => "its codec has written 4 GiB or more",
                    None => "it refers to an object of the host's: see `Instance::set_ref_codec`",
                };
                Err(Error::CannotSave { what: name(), why: why.into() })
            }
            Ref::Any(Some(_)) | Ref::Exn(Some(_)) => Err(nameless(name())),
        }
    }

    /// The number of a function, if it is one of the module's.
    fn number(&mut self, scope: &mut Scope<'_, S>, function: &Func) -> Option<u32> {
        if self.numbers.is_none() {
            let functions = self.plan.functions.iter().filter_map(|(number, (export, _))| {
                let function = self.function(scope, export)?;
                Some((function.to_raw(scope.as_context_mut()).addr(), *number))
            });
            *self.numbers = Some(functions.collect());
        }
        let address = function.to_raw(scope.as_context_mut()).addr();
        self.numbers.as_ref()?.get(&address).copied()
    }

    pub(crate) fn write(
        &self,
        scope: &mut Scope<'_, S>,
        value: &Value,
        heap_type: &HeapType,
    ) -> Result<Ref, Error> {
        match value {
            Value::Null => Ok(Ref::null(heap_type)),
            Value::Function(number) => {
                let (export, _) = self.plan.function(*number).ok_or_else(mistyped)?;
                Ok(Ref::Func(Some(self.function(scope, export).ok_or_else(mistyped)?)))
            }
            Value::Object(bytes) => {
                let codec = self.codec.ok_or_else(no_codec)?;
                Ok(Ref::Extern(Some(codec.decode(bytes, scope.as_context_mut())?)))
            }
            _ => Err(mistyped()),
        }
    }

    fn function(&self, scope: &mut Scope<'_, S>, export: &ModuleExport) -> Option<Func> {
        self.instance.get_module_export(scope.as_context_mut(), export).and_then(Extern::into_func)
    }
}

fn nameless(what: Box<str>) -> Error {
    Error::CannotSave { what, why: "it refers to an exception or an object of the guest's".into() }
}

fn mistyped() -> Error {
    Error::InvalidCheckpoint { why: "a value is of another type than its place".into() }
}

/// The error for objects of the host's that nothing reads.
pub(crate) fn no_codec() -> Error {
    Error::CannotRestore {
        what: "an object of the host's".into(),
        why: "the instance has no codec: see `Instance::set_ref_codec`".into(),
    }
}
