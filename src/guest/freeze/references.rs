//! [`check`]: checks that everything the guest's globals and tables refer to can become data. It runs before the guest saves itself, because a guest that has unwound cannot go on.

use crate::error::cannot_freeze::CannotFreeze;
use crate::guest::checkpoint::plan::Plan;
use crate::guest::freeze::request::Target;
use std::collections::HashSet;
use wasmtime::{Caller, Extern, Ref, RootScope};

/// Refuses a guest with a reference that is no data.
pub(crate) fn check<S: 'static>(
    caller: &mut Caller<'_, S>,
    target: &Target,
) -> Result<(), CannotFreeze> {
    let plan = &target.of.plan;
    let mut references = References { plan, target, functions: None };
    for global in &plan.globals {
        if !global.ty.content().is_ref() {
            continue;
        }
        let found = caller.get_module_export(&global.export).and_then(Extern::into_global);
        let Some(found) = found else { continue };
        let read = |scope: &mut Scope<'_, '_, S>| found.get(scope).ref_();
        references.check(caller, read, || global.name.clone())?;
    }
    for table in &plan.tables {
        let found = caller.get_module_export(&table.export).and_then(Extern::into_table);
        let Some(found) = found else { continue };
        for index in 0..found.size(&*caller) {
            let read = |scope: &mut Scope<'_, '_, S>| found.get(scope, index);
            let place = || format!("element {index} of {}", table.name).into();
            references.check(caller, read, place)?;
        }
    }
    Ok(())
}

type Scope<'a, 'c, S> = RootScope<&'a mut Caller<'c, S>>;

struct References<'a> {
    plan: &'a Plan,
    target: &'a Target,
    /// The addresses of the functions that have numbers. Read for the first reference to a function.
    functions: Option<HashSet<usize>>,
}

/// What a reference is to.
enum Referent {
    Data,
    Function(usize),
    /// What is no data, and why.
    Other(&'static str),
}

impl References<'_> {
    fn check<'c, S: 'static>(
        &mut self,
        caller: &mut Caller<'c, S>,
        read: impl FnOnce(&mut Scope<'_, 'c, S>) -> Option<Ref>,
        place: impl FnOnce() -> Box<str>,
    ) -> Result<(), CannotFreeze> {
        let referent = self.referent(&mut RootScope::new(&mut *caller), read);
        let why = match referent {
            Referent::Data => return Ok(()),
            Referent::Function(address) if self.functions(caller).contains(&address) => {
                return Ok(());
            }
            Referent::Function(_) => {
                "it refers to a function that the module does not define or import"
            }
            Referent::Other(why) => why,
        };
        Err(CannotFreeze::Reference { place: place(), why: why.into() })
    }

    fn referent<'c, S: 'static>(
        &self,
        scope: &mut Scope<'_, 'c, S>,
        read: impl FnOnce(&mut Scope<'_, 'c, S>) -> Option<Ref>,
    ) -> Referent {
        match read(scope) {
            None | Some(Ref::Func(None) | Ref::Extern(None) | Ref::Any(None) | Ref::Exn(None)) => {
                Referent::Data
            }
            Some(Ref::Func(Some(function))) => Referent::Function(function.to_raw(scope).addr()),
            Some(Ref::Extern(Some(object))) => match (object.data(&*scope), &self.target.encodes) {
                (Ok(Some(object)), Some(encodes)) if encodes(object) => Referent::Data,
                _ => Referent::Other(
                    "it refers to an object of the host's: see `Instance::set_ref_codec`",
                ),
            },
            Some(Ref::Any(Some(_)) | Ref::Exn(Some(_))) => {
                Referent::Other("it refers to an exception or an object of the guest's")
            }
        }
    }

    fn functions<S: 'static>(&mut self, caller: &mut Caller<'_, S>) -> &HashSet<usize> {
        self.functions.get_or_insert_with(|| {
            let functions = self.plan.functions.iter().filter_map(|(_, (export, _))| {
                let function = caller.get_module_export(export).and_then(Extern::into_func)?;
                Some(function.to_raw(&mut *caller).addr())
            });
            functions.collect()
        })
    }
}
