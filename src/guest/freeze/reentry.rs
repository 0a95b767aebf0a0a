//! [`Reentry`]: how a guest goes back into the functions of a frozen call. Each function's twin takes the values of its function from here, and calls the next one.

use crate::guest::checkpoint::value::Value;
use crate::guest::freeze::frames::{FrameStart, Frames, Pending, Reference};
use crate::guest::freeze::freezable_module::{Exports, FreezableModule, SavingPlan, WORDS};
use crate::guest::freeze::frozen_call::FrozenCall;
use crate::guest::freeze::saving::{function_type, set};
use crate::guest::freeze::waiting::{Again, Waiting, wait};
use crate::guest::limit::control::Control;
use parking_lot::Mutex;
use std::sync::Arc;
use wasm_jobs_transform::{LOAD, reference_export};
use wasmtime::{AsContextMut, Extern, Func, FuncType, Instance, Ref, Store, Table, Val, ValType};

/// The functions of the host's that an instance with twins has, and the call that it goes back into.
pub(crate) struct Reentry<S: 'static> {
    progress: Arc<Mutex<Progress<S>>>,
    /// `None` if calls never wait in functions of its module. An export can be a host function, in which calls do.
    twins: Option<Table>,
    /// Where the table has the function that the call waits in: at its end.
    last: u64,
    /// The functions that calls have waited in, by the names of their imports.
    waits: Vec<(Box<str>, Box<str>, Func)>,
}

/// The wait at the end of the way.
pub(crate) enum Wait<S: 'static> {
    /// It begins anew, from data.
    Begins(Again<S>),
    /// It goes on.
    GoesOn(Box<dyn Waiting<S>>),
}

/// What a guest goes back to.
pub(crate) struct WayBack<S: 'static> {
    pub(crate) call: Arc<FrozenCall>,
    /// The references of all frames.
    pub(crate) references: Vec<Reference>,
    pub(crate) wait: Wait<S>,
    /// The fuel that the guest has once it is back, if the engine counts fuel.
    pub(crate) fuel: Option<u64>,
    pub(crate) control: Arc<Control>,
}

/// How far a guest has come on its way back.
struct Progress<S: 'static> {
    /// `None` once it is back.
    back: Option<WayBack<S>>,
    /// How many frames are left to go back into. The innermost comes last.
    left: usize,
    /// Where the frame goes on that was begun last.
    at: FrameStart,
}

impl<S: 'static> Progress<S> {
    fn frames(&self) -> Option<&Frames<Value>> {
        self.back.as_ref().map(|back| &back.call.frames)
    }

    /// The function of the next frame. The table has a twin for each.
    fn next(&self, freezable: &FreezableModule) -> Option<u32> {
        let point = self.frames()?.point(self.left.checked_sub(1)?);
        Some(freezable.frames.points.get(point as usize)?.function)
    }

    /// Goes on to the next frame, and gives its point.
    fn point(&mut self) -> Option<u32> {
        let left = self.left.checked_sub(1)?;
        let frames = self.frames()?;
        (self.at, self.left) = (frames.starts[left], left);
        self.frames().map(|frames| frames.point(left))
    }

    fn load(&mut self) -> Option<[i64; WORDS]> {
        let from = self.at.word;
        let words = *self.frames()?.words.get(from..)?.first_chunk()?;
        self.at.word += WORDS;
        Some(words)
    }

    fn load_reference(&mut self) -> Option<Reference> {
        let reference = self.back.as_ref()?.references.get(self.at.reference)?.clone();
        self.at.reference += 1;
        Some(reference)
    }
}

/// A frozen call that was read from bytes may have fewer frames and values than its functions ask for.
fn too_little() -> wasmtime::Error {
    wasmtime::Error::msg("the frozen call has fewer values than its functions")
}

impl<S: Send + 'static> Reentry<S> {
    /// Gives an instance with twins the functions of the host's.
    pub(crate) fn connect(instance: Instance, store: &mut Store<S>, of: &SavingPlan) -> Self {
        let SavingPlan { freezable, exports, .. } = of;
        let twins = exports.twins.as_ref();
        let twins = twins.and_then(|twins| instance.get_module_export(&mut *store, twins));
        let twins = twins.and_then(Extern::into_table);
        let last = twins.map_or(0, |twins| twins.size(&*store).saturating_sub(1));
        let none = FrameStart { word: 0, reference: 0 };
        let progress = Progress { back: None, left: 0, at: none };
        let progress = Arc::new(Mutex::new(progress));

        let ours = progress.clone();
        let load = Func::wrap(&mut *store, move || {
            let [a, b, c, d, e, f, g, h] = ours.lock().load().ok_or_else(too_little)?;
            Ok((a, b, c, d, e, f, g, h))
        });
        let ours = progress.clone();
        let point = Func::wrap(&mut *store, move || {
            ours.lock().point().map(u32::cast_signed).ok_or_else(too_little)
        });
        let (ours, module_of_next) = (progress.clone(), freezable.clone());
        let next = Func::wrap(&mut *store, move || {
            let next = ours.lock().next(&module_of_next);
            // The table has fewer than 2³² elements.
            next.unwrap_or(last as u32).cast_signed()
        });
        let Exports { load: to_load, point: to_point, next: to_next, .. } = exports;
        for (export, function) in [(to_load, load), (to_point, point), (to_next, next)] {
            let Some(export) = export else { continue };
            let global = instance.get_module_export(&mut *store, export);
            if let Some(global) = global.and_then(Extern::into_global) {
                set(&global, &mut *store, Val::FuncRef(Some(function)));
            }
        }
        for number in 0..freezable.frames.references.len() as u32 {
            let global = instance.get_global(&mut *store, &reference_export(LOAD, number));
            let Some(global) = global else { continue };
            let Some(ty) = function_type(&global, store) else { continue };
            let Some(result) = ty.results().next() else { continue };
            let ours = progress.clone();
            let load = Func::new(&mut *store, ty, move |mut caller, _, results| {
                let reference = ours.lock().load_reference().ok_or_else(too_little)?;
                results[0] = value(&mut caller, reference, &result)?;
                Ok(())
            });
            set(&global, &mut *store, Val::FuncRef(Some(load)));
        }
        Self { progress, twins, last, waits: Vec::new() }
    }

    /// Begins the way back into a call, and gives the function to call. Nothing of the guest has run then.
    ///
    /// # Errors
    ///
    /// Those of wasmtime, if the call waits in a function that the innermost frame cannot have called.
    pub(crate) fn begin(
        &mut self,
        back: WayBack<S>,
        continues: &FuncType,
        store: &mut Store<S>,
    ) -> wasmtime::Result<Option<Func>> {
        let waits = self.waits_in(&back.call.pending, continues, store);
        if let Some(twins) = &self.twins {
            twins.set(&mut *store, self.last, Ref::Func(Some(waits)))?;
        }
        let mut progress = self.progress.lock();
        progress.left = back.call.frames.starts.len();
        let freezable = back.call.freezable.clone();
        progress.back = Some(back);
        match progress.next(&freezable) {
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
    fn waits_in(&mut self, pending: &Pending, continues: &FuncType, store: &mut Store<S>) -> Func {
        let Pending { module, name, .. } = pending;
        let known = self.waits.iter().find(|(of, called, _)| (of, called) == (module, name));
        if let Some((.., function)) = known {
            return *function;
        }
        let types: Arc<[ValType]> = continues.results().collect();
        let (progress, ty) = (self.progress.clone(), continues.clone());
        let function = Func::new_async(&mut *store, ty, move |mut caller, _, results| {
            let types = types.clone();
            // The guest is back, and has all of its values.
            let back = progress.lock().back.take();
            Box::new(async move {
                let WayBack { call, wait: next, fuel, control, .. } =
                    back.ok_or_else(too_little)?;
                if let Some(fuel) = fuel {
                    caller.set_fuel(fuel)?;
                    control.set_fuel(fuel);
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
        });
        self.waits.push((module.clone(), name.clone(), function));
        function
    }
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
