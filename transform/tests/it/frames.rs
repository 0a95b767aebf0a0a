//! The host's side of calls that are saved and go on, for the other tests.

use std::collections::VecDeque;
use wasm_jobs_transform::{FrameLayout, LOAD, NEXT, POINT, SAVE, SAVING, TWINS};
use wasmtime::{
    AsContextMut, ExnRef, ExternRef, Func, FuncType, Instance, OwnedRooted, Ref, Store, Val,
    ValType, WasmBacktrace,
};

/// A reference that lives as long as the store.
#[derive(Clone)]
enum Reference {
    Null,
    Func(Func),
    Extern(OwnedRooted<ExternRef>),
    Exception(OwnedRooted<ExnRef>),
}

impl Reference {
    fn new(store: &mut impl AsContextMut, value: &Val) -> Self {
        match value {
            Val::FuncRef(Some(function)) => Self::Func(*function),
            Val::ExternRef(Some(reference)) => {
                Self::Extern(reference.to_owned_rooted(store.as_context_mut()).unwrap())
            }
            Val::ExnRef(Some(reference)) => {
                Self::Exception(reference.to_owned_rooted(store.as_context_mut()).unwrap())
            }
            _ => Self::Null,
        }
    }

    fn value(&self, store: &mut impl AsContextMut, ty: &ValType) -> Val {
        match self {
            Self::Null => ty.default_value().expect("the type has null"),
            Self::Func(function) => Val::FuncRef(Some(*function)),
            Self::Extern(reference) => {
                Val::ExternRef(Some(reference.to_rooted(store.as_context_mut())))
            }
            Self::Exception(reference) => {
                Val::ExnRef(Some(reference.to_rooted(store.as_context_mut())))
            }
        }
    }
}

/// A value that lives as long as the store.
#[derive(Clone)]
enum Kept {
    Number(Val),
    Reference(Reference),
}

impl Kept {
    fn new(store: &mut impl AsContextMut, value: &Val) -> Self {
        match value {
            Val::I32(_) | Val::I64(_) | Val::F32(_) | Val::F64(_) | Val::V128(_) => {
                Self::Number(*value)
            }
            reference => Self::Reference(Reference::new(store, reference)),
        }
    }

    fn value(&self, store: &mut impl AsContextMut, ty: &ValType) -> Val {
        match self {
            Self::Number(value) => *value,
            Self::Reference(reference) => reference.value(store, ty),
        }
    }
}

/// A function that was suspended, with its values.
#[derive(Clone, Default)]
struct Frame {
    words: Vec<i64>,
    references: VecDeque<Reference>,
}

impl Frame {
    fn point(&self) -> usize {
        self.words[0] as usize
    }
}

/// A call that is being saved, or going on.
#[derive(Clone, Default)]
pub(crate) struct Call {
    /// What the host function gives in which it waits, and the types of that.
    pending: Vec<(ValType, Kept)>,
    pub(crate) is_saved: bool,
    /// The fuel that was left when it was saved.
    fuel: u64,
    /// When it is saved, the innermost comes first; when it goes on, it comes last.
    frames: Vec<Frame>,
    /// The points that a backtrace shows, before anything was saved.
    expected: Vec<Option<u32>>,
    /// The one whose function goes on.
    current: Frame,
    /// How many of its words were loaded.
    loaded: usize,
}

impl Call {
    /// How many functions were saved.
    pub(crate) fn depth(&self) -> usize {
        self.frames.len()
    }
}

/// What the data of a store has.
pub(crate) trait HasCall: Send + 'static {
    fn saved(&mut self) -> &mut Call;
    fn frames(&self) -> std::sync::Arc<FrameLayout>;
}

/// Gives an instance the functions of the host's.
pub(crate) fn connect<T: HasCall>(store: &mut Store<T>, instance: Instance) {
    let set = |store: &mut Store<T>, name: &str, function: Func| {
        let global = instance.get_global(&mut *store, name);
        if let Some(global) = global {
            global.set(&mut *store, Val::FuncRef(Some(function))).unwrap();
        }
    };
    type Words = (i64, i64, i64, i64, i64, i64, i64, i64);
    let save = Func::wrap(
        &mut *store,
        |mut caller: wasmtime::Caller<'_, T>,
         a: i64,
         b: i64,
         c: i64,
         d: i64,
         e: i64,
         f: i64,
         g: i64,
         h: i64| {
            let described = caller.data().frames();
            let call = caller.data_mut().saved();
            let is_new = call
                .frames
                .last()
                .is_none_or(|frame| frame.words.len() >= described.points[frame.point()].words());
            if is_new {
                call.frames.push(Frame::default());
            }
            call.frames.last_mut().unwrap().words.extend([a, b, c, d, e, f, g, h]);
        },
    );
    set(store, SAVE, save);
    let load = Func::wrap(&mut *store, |mut caller: wasmtime::Caller<'_, T>| -> Words {
        let call = caller.data_mut().saved();
        let at = call.loaded;
        call.loaded += 8;
        let w = |n| call.current.words[at + n];
        (w(0), w(1), w(2), w(3), w(4), w(5), w(6), w(7))
    });
    set(store, LOAD, load);
    let next = Func::wrap(&mut *store, |mut caller: wasmtime::Caller<'_, T>| -> i32 {
        let described = caller.data().frames();
        let next = caller.data_mut().saved().frames.last().map(Frame::point);
        next.map_or(-1, |point| described.points[point].function as i32)
    });
    let size = instance.get_table(&mut *store, TWINS).map(|table| table.size(&*store));
    let last = size.unwrap_or(1) as i32 - 1;
    let next = {
        let ty = FuncType::new(store.engine(), [], [ValType::I32]);
        Func::new(&mut *store, ty, move |mut caller, _, results| {
            next.call(&mut caller, &[], results)?;
            if let Val::I32(-1) = results[0] {
                results[0] = Val::I32(last);
            }
            Ok(())
        })
    };
    set(store, NEXT, next);
    let point = Func::wrap(&mut *store, |mut caller: wasmtime::Caller<'_, T>| -> i32 {
        let call = caller.data_mut().saved();
        call.current = call.frames.pop().unwrap();
        call.loaded = 0;
        call.current.point() as i32
    });
    set(store, POINT, point);
    let references = store.data().frames().references.len();
    for number in 0..references {
        for (of, saves) in [(SAVE, true), (LOAD, false)] {
            let name = format!("{of}_reference_{number}");
            let Some(global) = instance.get_global(&mut *store, &name) else { continue };
            let ty = global.ty(&*store);
            let ty = ty.content().unwrap_ref().heap_type().unwrap_concrete_func().clone();
            let result = ty.results().next();
            let function = Func::new(&mut *store, ty, move |mut caller, params, results| {
                if saves {
                    let reference = Reference::new(&mut caller, &params[0]);
                    let frame = caller.data_mut().saved().frames.last_mut().unwrap();
                    frame.references.push_back(reference);
                } else {
                    let current = &mut caller.data_mut().saved().current;
                    let reference = current.references.pop_front().unwrap();
                    results[0] = reference.value(&mut caller, &result.clone().unwrap());
                }
                Ok(())
            });
            set(store, &name, function);
        }
    }
}

/// From a host function: the call is to be saved, which waits for these results.
pub(crate) fn save<T: HasCall>(
    caller: &mut wasmtime::Caller<'_, T>,
    saving: wasmtime::Global,
    results: impl IntoIterator<Item = (ValType, Val)>,
) {
    let described = caller.data().frames();
    let backtrace = WasmBacktrace::force_capture(&*caller);
    let frames = backtrace.frames().iter();
    let expected = frames.map(|frame| described.point_at(frame.module_offset().unwrap())).collect();
    let results = results.into_iter();
    let pending = results.map(|(ty, value)| (ty, Kept::new(caller, &value))).collect();
    let fuel = caller.get_fuel().unwrap_or(0);
    let call = caller.data_mut().saved();
    call.is_saved = true;
    call.fuel = fuel;
    call.pending = pending;
    call.expected = expected;
    call.frames.clear();
    saving.set(caller, Val::I32(1)).unwrap();
}

/// Lets a saved call go on.
pub(crate) fn go_on<T: HasCall>(
    store: &mut Store<T>,
    instance: Instance,
) -> wasmtime::Result<Vec<Val>> {
    instance.get_global(&mut *store, SAVING).unwrap().set(&mut *store, Val::I32(0)).unwrap();
    let described = store.data().frames();
    let call = store.data_mut().saved();
    call.is_saved = false;
    let saved: Vec<_> = call.frames.iter().map(|frame| Some(frame.point() as u32)).collect();
    // Without a number in the engine's configuration, a backtrace has 20 functions.
    let seen = if call.expected.len() < 20 { saved.len() } else { 20 };
    assert_eq!(
        saved[..seen],
        call.expected,
        "the functions on the stack are those that were saved"
    );
    let outermost = call.frames.last().map(|frame| described.points[frame.point()].function);
    let (pending, fuel) = (call.pending.clone(), call.fuel);
    let Some(outermost) = outermost else {
        // The export is a function of the host's.
        return Ok(pending.iter().map(|(ty, kept)| kept.value(store, ty)).collect());
    };
    let table = instance.get_table(&mut *store, TWINS).unwrap();
    let types = pending.iter().map(|(ty, _)| ty.clone());
    let ty = FuncType::new(store.engine(), [], types);
    let waits = Func::new(&mut *store, ty, move |mut caller, _, results| {
        if caller.engine().get_consume_fuel() {
            caller.set_fuel(fuel)?;
        }
        for (result, (ty, kept)) in results.iter_mut().zip(&pending) {
            *result = kept.value(&mut caller, ty);
        }
        Ok(())
    });
    let last = table.size(&*store) - 1;
    table.set(&mut *store, last, Ref::Func(Some(waits))).unwrap();
    let twin = table.get(&mut *store, u64::from(outermost)).unwrap();
    let twin = *twin.unwrap_func().expect("the function has a twin");
    let mut results = vec![Val::I32(0); twin.ty(&*store).results().len()];
    twin.call(&mut *store, &[], &mut results)?;
    Ok(results)
}
