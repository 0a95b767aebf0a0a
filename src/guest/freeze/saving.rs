//! How a guest that waits in a host function is made to save itself: [`save_here`] checks that it can, gives its instance the functions that take its values, and sets
//! the global that has its functions give them and return.

use crate::error::cannot_freeze::CannotFreeze;
use crate::guest::freeze::frames::{Pending, Reference};
use crate::guest::freeze::freezable_module::{OURS, SavingPlan};
use crate::guest::freeze::references;
use crate::guest::freeze::request::{self, Target};
use wasm_jobs_transform::{SAVE, SAVING, reference_export};
use wasmtime::{
    AsContextMut, Caller, Extern, Func, FuncType, Global, Instance, Linker, Module, Store, Val,
    WasmBacktrace,
};

/// How many functions wasmtime shows if the engine's configuration has no number.
const FRAMES_WITHOUT_A_NUMBER: usize = 20;

/// Has the guest save itself, once the host function returns that it waits in. If it cannot, this refuses the request, and the call goes on as it was.
#[cold]
pub(crate) fn save_here<S: 'static>(
    caller: &mut Caller<'_, S>,
    target: &Target,
    pending: impl FnOnce() -> Pending,
) -> bool {
    match begin(caller, target, pending) {
        Ok(()) => true,
        Err(why) => {
            request::refuse(why);
            false
        }
    }
}

fn begin<S: 'static>(
    caller: &mut Caller<'_, S>,
    target: &Target,
    pending: impl FnOnce() -> Pending,
) -> Result<(), CannotFreeze> {
    let tells = target.of.freezable.frames.shows_host_calls;
    if !tells && target.control.calls_inside_each_other() != 1 {
        return Err(CannotFreeze::Nested);
    }
    let expected = points(caller, target)?;
    references::check(caller, target)?;
    // If the export is the host function itself, there is no function to save, and no instance that calls it.
    let is_called_by_guest = !expected.is_empty();
    let saving = target.of.exports.saving.as_ref().filter(|_| is_called_by_guest);
    let saving = saving.and_then(|saving| caller.get_module_export(saving));
    let saving = saving.and_then(Extern::into_global);
    if is_called_by_guest && saving.is_none() {
        return Err(CannotFreeze::NotPrepared);
    }
    let pending = pending();
    if !target.of.is_resumable(&pending) {
        // By an alias of the linker's, the guest has imported it under another name.
        let import = format!("{}.{}", pending.module, pending.name).into();
        return Err(CannotFreeze::HostFunction { imports: Box::new([import]) });
    }
    if is_called_by_guest {
        connect(caller, &target.of);
    }
    let fuel = caller.get_fuel().ok();
    if fuel.is_some() {
        // What the functions use to save themselves is not the guest's.
        let _ = caller.set_fuel(u64::MAX);
    }
    request::begin_saving(target.purpose, pending, fuel, expected);
    if let Some(saving) = saving {
        set(&saving, caller, Val::I32(1));
    }
    Ok(())
}

/// The points of the functions on the stack, the innermost first, if all of them can save themselves.
fn points<S: 'static>(
    caller: &mut Caller<'_, S>,
    target: &Target,
) -> Result<Vec<u32>, CannotFreeze> {
    let backtrace = WasmBacktrace::force_capture(&*caller);
    let frames = backtrace.frames();
    let most = match caller.engine().get_wasm_backtrace_max_frames() {
        0 => FRAMES_WITHOUT_A_NUMBER,
        most => most,
    };
    if frames.len() >= most {
        return Err(CannotFreeze::TooDeep { frames: most });
    }
    let SavingPlan { module, freezable, .. } = &*target.of;
    let points = frames.iter().map(|frame| {
        let of_module = Module::same(frame.module(), module);
        let point = frame.module_offset().filter(|_| of_module);
        let point = point.and_then(|offset| freezable.frames.point_at(offset));
        let name = || match frame.func_name() {
            Some(name) => name.into(),
            None => frame.func_index().to_string().into(),
        };
        let Some(point) = point else { return Err(CannotFreeze::Function { name: name() }) };
        let counts = &freezable.points[point as usize];
        let why = if counts.has_exception {
            "it may refer to an exception"
        } else if counts.has_object && target.encodes.is_none() {
            "it may refer to an object of the host's: see `Instance::set_ref_codec`"
        } else {
            return Ok(point);
        };
        let place = format!("a value of function {}", name()).into();
        Err(CannotFreeze::Reference { place, why: why.into() })
    });
    let points: Vec<u32> = points.collect::<Result<_, _>>()?;
    let described = &freezable.frames.points;
    let is_called = |pair: &[u32]| {
        let (inner, outer) = (&described[pair[0] as usize], &described[pair[1] as usize]);
        outer.callee().is_none_or(|callee| callee == inner.function)
    };
    // Where a function has called another one than that above it, the host is between them.
    match freezable.frames.shows_host_calls && !points.windows(2).all(is_called) {
        true => Err(CannotFreeze::Nested),
        false => Ok(points),
    }
}

/// Gives the instance the functions that take its values, unless it has them.
fn connect<S: 'static>(caller: &mut Caller<'_, S>, of: &SavingPlan) {
    let save = of.exports.save.as_ref().and_then(|save| caller.get_module_export(save));
    match save.and_then(Extern::into_global) {
        Some(save) if save.get(&mut *caller).func_ref().flatten().is_none() => {
            let function = of.function(&mut *caller, OURS, SAVE);
            set(&save, &mut *caller, Val::FuncRef(function));
        }
        _ => return,
    }
    for number in 0..of.freezable.frames.references.len() as u32 {
        let global = caller.get_export(&reference_export(SAVE, number));
        let Some(global) = global.and_then(Extern::into_global) else { continue };
        let Some(ty) = function_type(&global, caller) else { continue };
        let function = Func::new(&mut *caller, ty, |mut caller, params, _| {
            request::save_reference(reference(&mut caller, &params[0])?);
            Ok(())
        });
        set(&global, &mut *caller, Val::FuncRef(Some(function)));
    }
}

/// Defines the function that takes the words of functions.
pub(crate) fn define<S: 'static>(linker: &mut Linker<S>) -> wasmtime::Result<()> {
    let save = |a: i64, b: i64, c: i64, d: i64, e: i64, f: i64, g: i64, h: i64| {
        request::save([a, b, c, d, e, f, g, h]);
    };
    linker.func_wrap(OURS, SAVE, save)?;
    Ok(())
}

/// The type of the functions that a global refers to.
pub(crate) fn function_type(global: &Global, store: &mut impl AsContextMut) -> Option<FuncType> {
    let ty = global.ty(&*store);
    Some(ty.content().as_ref()?.heap_type().as_concrete_func()?.clone())
}

fn reference(store: &mut impl AsContextMut, value: &Val) -> wasmtime::Result<Reference> {
    Ok(match value {
        Val::FuncRef(Some(function)) => Reference::Function(*function),
        Val::ExternRef(Some(object)) => {
            Reference::Object(object.to_owned_rooted(store.as_context_mut())?)
        }
        // An exception was refused before, if there can be one.
        _ => Reference::Null,
    })
}

/// Sets a global of the transformation's.
pub(crate) fn set(global: &Global, store: impl AsContextMut, value: Val) {
    if global.set(store, value).is_err() {
        unreachable!("the transformation has given the global this type");
    }
}

/// The guest has returned, and may be called again.
pub(crate) fn end_saving<S: 'static>(instance: Instance, store: &mut Store<S>) {
    if let Some(saving) = instance.get_global(&mut *store, SAVING) {
        set(&saving, store, Val::I32(0));
    }
}
