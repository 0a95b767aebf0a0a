//! [`FreezableModule`]: what is known of a module whose calls can be frozen.

use crate::error::Error;
use crate::guest::checkpoint::plan::{Hash, Plan};
use crate::guest::freeze::frames::Pending;
use crate::guest::freeze::initial::Initial;
use parking_lot::Mutex;
use std::any::Any;
use std::sync::{Arc, OnceLock};
use wasm_jobs_transform::{
    FrameLayout, LOAD, Layout, NEXT, Options, POINT, Referent, SAVE, SAVING, SlotValue, TWINS,
    ValueType, code_export, transform_with,
};
use wasmtime::{AsContextMut, Engine, Func, Linker, Module, ModuleExport};

/// A module whose calls can be frozen, in one of its two forms: with twins, or without them.
pub(crate) struct FreezableModule {
    /// What its functions give when a call is saved.
    pub(crate) frames: FrameLayout,
    /// The hash of that, which is the same for both forms.
    pub(crate) hash: Hash,
    /// How much each point gives, by the point's number.
    pub(crate) points: Vec<Counts>,
    /// What its memories contain at first.
    pub(crate) initial: Arc<Initial>,
    /// Whether it is the form with twins.
    pub(crate) has_twins: bool,
    source: Arc<Source>,
    twins: OnceLock<(Module, Arc<Self>)>,
    /// Held while the twins are compiled.
    compiling: Mutex<()>,
}

/// How much a function gives at a point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    /// The words, with those that fill up the last call of the host.
    pub(crate) words: usize,
    pub(crate) references: usize,
    /// Whether it may give a reference to an exception, and one to an object of the host's.
    pub(crate) has_exception: bool,
    pub(crate) has_object: bool,
}

/// How many words a call of the host carries.
pub(crate) const WORDS: usize = 8;

/// The module in which a linker has the functions of the host's that a transformed module calls. No guest has an import of it, because its name begins as those of the transformation do.
pub(crate) const OURS: &str = "__wasm_jobs_functions";

/// What the module with twins is made of.
struct Source {
    wasm: Box<[u8]>,
    options: Options,
}

impl FreezableModule {
    /// `wasm` is the module before it was transformed with these options.
    pub(crate) fn new(
        wasm: &[u8],
        options: &Options,
        layout: &Layout,
        frames: FrameLayout,
    ) -> Arc<Self> {
        let source = Source { wasm: wasm.into(), options: options.clone().twins(true) };
        Self::of(Arc::new(source), frames, Arc::new(Initial::of(layout)), false)
    }

    fn of(
        source: Arc<Source>,
        frames: FrameLayout,
        initial: Arc<Initial>,
        has_twins: bool,
    ) -> Arc<Self> {
        let counts = frames.points.iter().map(|point| {
            let has = |referent| {
                let mut slots = point.slots.iter();
                slots.any(|slot| slot.what != SlotValue::Nothing && refers_to(slot.ty, referent))
            };
            Counts {
                words: point.words().next_multiple_of(WORDS),
                references: point.slots.iter().filter_map(|slot| slot.reference()).count(),
                has_exception: has(Referent::Exception),
                has_object: has(Referent::Extern),
            }
        });
        let (hash, points) = (frames.hash(), counts.collect());
        Arc::new(Self {
            frames,
            hash,
            points,
            initial,
            has_twins,
            source,
            twins: OnceLock::new(),
            compiling: Mutex::new(()),
        })
    }

    /// The module before it was transformed.
    pub(crate) fn wasm(&self) -> &[u8] {
        &self.source.wasm
    }

    /// Whether a module was transformed in the way that this describes.
    pub(crate) fn describes(&self, module: &Module) -> bool {
        module.get_export_index(&code_export(&self.frames.code_hash())).is_some()
    }

    /// Gives it the module with twins, so that it is not compiled, and tells whether it is that. Without effect if it is there already.
    pub(crate) fn set_twins(&self, module: Module) -> Result<bool, Error> {
        if let Some((_, twins)) = self.twins.get() {
            return Ok(twins.describes(&module));
        }
        let (_, twins) = self.transform_twins()?;
        let is_ours = twins.describes(&module);
        if is_ours {
            let _alone = self.compiling.lock();
            self.twins.get_or_init(|| (module, twins));
        }
        Ok(is_ours)
    }

    /// The module with twins, in which frozen calls go on. It is compiled when this is first called. Not for a module that has them.
    pub(crate) fn twins(&self, engine: &Engine) -> Result<&(Module, Arc<Self>), Error> {
        if let Some(twins) = self.twins.get() {
            return Ok(twins);
        }
        let _alone = self.compiling.lock();
        if let Some(twins) = self.twins.get() {
            return Ok(twins);
        }
        let (wasm, freezable) = self.transform_twins()?;
        let module = Module::new(engine, wasm)?;
        Ok(self.twins.get_or_init(|| (module, freezable)))
    }

    fn transform_twins(&self) -> Result<(Vec<u8>, Arc<Self>), Error> {
        let Source { wasm, options } = &*self.source;
        let transformed = transform_with(wasm, options).map_err(Error::Prepare)?;
        let (source, initial) = (self.source.clone(), self.initial.clone());
        Ok((transformed.wasm, Self::of(source, transformed.frames, initial, true)))
    }
}

fn refers_to(ty: ValueType, referent: Referent) -> bool {
    matches!(ty, ValueType::Reference(ty) if ty.to == referent)
}

impl std::fmt::Debug for FreezableModule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FreezableModule")
            .field("points", &self.points.len())
            .finish_non_exhaustive()
    }
}

/// What a guest whose calls can be frozen needs to know for that.
#[derive(Debug)]
pub(crate) struct SavingPlan {
    /// The module that it is of, in one of its forms.
    pub(crate) module: Module,
    pub(crate) plan: Arc<Plan>,
    pub(crate) freezable: Arc<FreezableModule>,
    pub(crate) exports: Exports,
    /// The functions of the host's that its functions call, in a linker of the type of the store. Making a function for a store anew takes longer than taking it from a linker.
    pub(crate) functions: Box<dyn Any + Send + Sync>,
    /// The modules and the names of the imports that are resumable.
    pub(crate) resumable: Box<[(Box<str>, Box<str>)]>,
    /// The imported functions that are not resumable.
    pub(crate) not_resumable: Box<[Box<str>]>,
}

impl SavingPlan {
    /// A function of the host's, in a store.
    pub(crate) fn function<S: 'static>(
        &self,
        store: impl AsContextMut<Data = S>,
        module: &str,
        name: &str,
    ) -> Option<Func> {
        self.functions.downcast_ref::<Linker<S>>()?.get(store, module, name).ok()?.into_func()
    }

    /// Whether this is a resumable import of the module. An alias of the linker's gives a function another name, under which it is not.
    pub(crate) fn is_resumable(&self, pending: &Pending) -> bool {
        let Pending { module, name, .. } = pending;
        self.resumable.iter().any(|(of, called)| (of, called) == (module, name))
    }
}

/// Where the exports are of a module whose calls can be frozen. Looking them up by their names takes longer than using them.
pub(crate) struct Exports {
    pub(crate) saving: Option<ModuleExport>,
    pub(crate) save: Option<ModuleExport>,
    /// With twins.
    pub(crate) twins: Option<ModuleExport>,
    pub(crate) load: Option<ModuleExport>,
    pub(crate) point: Option<ModuleExport>,
    pub(crate) next: Option<ModuleExport>,
}

impl std::fmt::Debug for Exports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exports").finish_non_exhaustive()
    }
}

impl Exports {
    pub(crate) fn of(module: &Module) -> Self {
        let [saving, save, twins, load, point, next] =
            [SAVING, SAVE, TWINS, LOAD, POINT, NEXT].map(|name| module.get_export_index(name));
        Self { saving, save, twins, load, point, next }
    }
}
