//! [`Reentry`]: how a guest goes back into the functions of a frozen call. Each function's twin takes the values of its function from the guest's
//! [rewind](crate::guest::freeze::rewind), and calls the next one.

use crate::guest::freeze::frames::Reference;
use crate::guest::freeze::freezable_module::{Exports, OURS, SavingPlan};
use crate::guest::freeze::resumable::Resumable;
use crate::guest::freeze::rewind::{Rewind, finish_rewind, too_little, with_rewind};
use crate::guest::freeze::saving::{function_type, set};
use crate::guest::freeze::waiting::{Again, Waiting, wait};
use crate::guest::limit::control::Control;
use std::sync::Arc;
use wasm_jobs_transform::{LOAD, NEXT, POINT, reference_export};
use wasmtime::{AsContextMut, Extern, Func, Instance, Linker, Ref, Store, Table, Val, ValType};

/// What an instance with twins has for going back.
pub(crate) struct Reentry {
    /// `None` if calls never wait in functions of its module. An export can be a host function, in which calls do.
    twins: Option<Table>,
    /// Where the table has the function that the call waits in: at its end.
    last: u64,
    /// The functions that calls have waited in, by the names of their imports.
    waits: Vec<(Box<str>, Box<str>, Func)>,
}

/// The wait at the end of a rewind.
pub(crate) enum Wait<S: 'static> {
    /// It begins anew, from data.
    Begins(Again<S>),
    /// It goes on.
    GoesOn(Box<dyn Waiting<S>>),
}

/// What is done at the end of a rewind, once all frames are there.
pub(crate) struct End<S: 'static> {
    pub(crate) wait: Wait<S>,
    /// The fuel that the guest has once it is back, if the engine counts fuel.
    pub(crate) fuel: Option<u64>,
    pub(crate) control: Arc<Control>,
}

impl Reentry {
    /// Gives an instance with twins the functions of the host's.
    pub(crate) fn connect<S: Send + 'static>(
        instance: Instance,
        store: &mut Store<S>,
        of: &SavingPlan,
    ) -> Self {
        let SavingPlan { freezable, exports, .. } = of;
        let twins = exports.twins.as_ref();
        let twins = twins.and_then(|twins| instance.get_module_export(&mut *store, twins));
        let twins = twins.and_then(Extern::into_table);
        let last = twins.map_or(0, |twins| twins.size(&*store).saturating_sub(1));
        let Exports { load, point, next, .. } = exports;
        for (export, name) in [(load, LOAD), (point, POINT), (next, NEXT)] {
            let Some(export) = export else { continue };
            let global = instance.get_module_export(&mut *store, export);
            if let Some(global) = global.and_then(Extern::into_global) {
                let function = of.function(&mut *store, OURS, name);
                set(&global, &mut *store, Val::FuncRef(function));
            }
        }
        for number in 0..freezable.frames.references.len() as u32 {
            let global = instance.get_global(&mut *store, &reference_export(LOAD, number));
            let Some(global) = global else { continue };
            let Some(ty) = function_type(&global, store) else { continue };
            let Some(result) = ty.results().next() else { continue };
            let load = Func::new(&mut *store, ty, move |mut caller, _, results| {
                results[0] = value(&mut caller, with_rewind(Rewind::load_reference)?, &result)?;
                Ok(())
            });
            set(&global, &mut *store, Val::FuncRef(Some(load)));
        }
        Self { twins, last, waits: Vec::new() }
    }

    /// Where the table has the function that the call waits in.
    pub(crate) fn last(&self) -> u32 {
        // The table has fewer than 2³² elements.
        self.last as u32
    }

    /// Begins to rewind the guest into a call, and gives the function to call. Nothing of the guest has run then.
    ///
    /// # Errors
    ///
    /// Those of wasmtime, if the call waits in a function that the innermost frame cannot have called.
    pub(crate) fn begin<S: Send + 'static>(
        &mut self,
        rewind: &Rewind,
        of: &SavingPlan,
        store: &mut Store<S>,
    ) -> wasmtime::Result<Option<Func>> {
        let Some(waits) = self.waits_in(rewind, of, store) else { return Ok(None) };
        if let Some(twins) = &self.twins {
            twins.set(&mut *store, self.last, Ref::Func(Some(waits)))?;
        }
        match rewind.next() {
            // The export is the function itself.
            None => Ok(Some(waits)),
            Some(function) => {
                let twins = self.twins.as_ref();
                let twin = twins.and_then(|twins| twins.get(&mut *store, function.into()));
                Ok(twin.and_then(|twin| twin.as_func().flatten().copied()))
            }
        }
    }

    /// The function in the place of the one that the call waits in.
    fn waits_in<S: 'static>(
        &mut self,
        rewind: &Rewind,
        of: &SavingPlan,
        store: &mut Store<S>,
    ) -> Option<Func> {
        let (module, name) = (&rewind.call.pending.module, &rewind.call.pending.name);
        let known = self.waits.iter().find(|(of, called, _)| (of, called) == (module, name));
        if let Some((.., function)) = known {
            return Some(*function);
        }
        let function = of.function(store, module, name)?;
        self.waits.push((module.clone(), name.clone(), function));
        Some(function)
    }
}

/// Defines what calls wait in when they are back, under the names of the imports in whose places it is.
pub(crate) fn define_waits<S: Send + 'static>(
    linker: &mut Linker<S>,
    resumable: &[Resumable<S>],
) -> wasmtime::Result<()> {
    // A module can import one function several times.
    linker.allow_shadowing(true);
    for Resumable { module, name, continues, .. } in resumable {
        let types: Arc<[ValType]> = continues.results().collect();
        linker.func_new_async(module, name, continues.clone(), move |mut caller, _, results| {
            let (types, rewind) = (types.clone(), finish_rewind());
            Box::new(async move {
                let Rewind { call, end, .. } = rewind?;
                let Ok(end) = end.downcast::<End<S>>() else {
                    unreachable!("the guest is of a store with this state");
                };
                let End { wait: next, fuel, control } = *end;
                if let Some(fuel) = fuel {
                    caller.set_fuel(fuel)?;
                    control.end_lending(fuel);
                }
                let waiting = match next {
                    Wait::Begins(again) => again(&mut caller, &call.pending)?,
                    Wait::GoesOn(waiting) => waiting,
                };
                match wait(&mut caller, waiting).await {
                    Some(mut over) => over.end(&mut caller, results),
                    // The call is being saved, and what this returns means nothing.
                    None => {
                        let any = types.iter().filter_map(ValType::default_value);
                        results.iter_mut().zip(any).for_each(|(result, any)| *result = any);
                        Ok(())
                    }
                }
            })
        })?;
    }
    Ok(())
}

fn value(
    store: &mut impl AsContextMut,
    reference: Reference,
    ty: &ValType,
) -> wasmtime::Result<Val> {
    Ok(match reference {
        Reference::Function(function) => Val::FuncRef(Some(function)),
        Reference::Object(object) => Val::ExternRef(Some(object.to_rooted(store.as_context_mut()))),
        Reference::Null => ty.default_value().ok_or_else(too_little)?,
    })
}
