//! [`PreparedPre`]: a prepared module that is linked.

use crate::error::Error;
#[cfg(feature = "freeze")]
use crate::guest::checkpoint::image::{Image, plan_of};
#[cfg(feature = "freeze")]
use crate::guest::freeze::freezable_module::{Exports, FreezableModule, SavingPlan};
#[cfg(feature = "freeze")]
use crate::guest::freeze::resumable::{Resumable, find_all};
#[cfg(feature = "freeze")]
use crate::guest::freeze::{reentry, rewind, saving};
use crate::guest::limit::control::Control;
use crate::guest::limit::flags::StopFlags;
use crate::guest::limit::stops::Stops;
use crate::guest::module_name::module_name;
use crate::guest::prepared::module::Prepared;
use crate::guest::prepared::stop::{GuestFlag, Told, define_stop};
use std::fmt;
use std::sync::{Arc, OnceLock};
use wasm_jobs_transform::{FLAGS_MEMORY, FLAGS_MODULE};
use wasmtime::{Engine, Instance, InstancePre, Linker, Module, Store, UnknownImportError};

/// A [`Prepared`] module that is linked: what instances are made of. It is made once for many instances, and is cheap to clone.
///
/// It takes the place of wasmtime's [`InstancePre`] in the functions that make instances, such as [`Instance::new`](crate::Instance::new).
pub struct PreparedPre<S: 'static> {
    inner: Arc<Inner<S>>,
}

struct Inner<S: 'static> {
    module: Prepared,
    linked: OnceLock<InstancePre<S>>,
    /// `Some` if the guests look at flags.
    flags: Option<Flags<S>>,
    /// `Some` if calls of the guests can become data.
    #[cfg(feature = "freeze")]
    freezing: Option<Freezing<S>>,
}

/// What calls need that can become data.
#[cfg(feature = "freeze")]
struct Freezing<S: 'static> {
    freezable: Arc<FreezableModule>,
    /// A copy of the user's.
    linker: Linker<S>,
    saving_plan: OnceLock<Arc<SavingPlan>>,
    resumable: OnceLock<Box<[Resumable<S>]>>,
    /// What new guests contain. Kept here, because it is read from a guest anew if no other guest uses it, and all calls may be frozen.
    image: OnceLock<Option<Arc<Image>>>,
    /// The module in which frozen calls go on.
    twins: OnceLock<PreparedPre<S>>,
}

/// What a guest that looks at a flag needs.
struct Flags<S: 'static> {
    /// A copy of the user's, with the [stop function](define_stop).
    linker: Linker<S>,
    flags: Arc<StopFlags>,
    told: Told,
}

impl Prepared {
    /// Links the module. Instances are made of the result, which is made once for many of them.
    ///
    /// If the guests look at flags, they import one memory more than the module did. This defines it, in a copy of the linker; so no other module
    /// gets it. What the linker itself defines in a module `__wasm_jobs` is not used.
    ///
    /// # Errors
    ///
    /// - [`Error::MissingImport`] if the linker defines nothing for an import of the module;
    /// - [`Error::OtherEngine`] if the linker has another engine;
    /// - [`Error::Wasmtime`] if what it defines for an import is of another type. If the guests look at flags, the functions that make an
    ///   instance give this error.
    pub fn instantiate_pre<S: Send + 'static>(
        &self,
        linker: &Linker<S>,
    ) -> Result<PreparedPre<S>, Error> {
        PreparedPre::new(self, linker)
    }
}

impl<S: Send + 'static> PreparedPre<S> {
    fn new(module: &Prepared, linker: &Linker<S>) -> Result<Self, Error> {
        let compiled = module.module();
        if !Engine::same(compiled.engine(), linker.engine()) {
            return Err(Error::OtherEngine { module: module_name(compiled) });
        }
        let linked = OnceLock::new();
        let flags = match (module.flags(), Told::of(compiled)) {
            (Some(flags), Some(told)) => {
                let mut linker = linker.clone();
                // The user's linker may define the flags: `define_unknown_imports_as_default_values` does.
                linker.allow_shadowing(true);
                define_stop(&mut linker, flags)?;
                refuse_missing_imports(&linker, compiled)?;
                Some(Flags { linker, flags: flags.clone(), told })
            }
            _ => {
                linked.get_or_init({
                    let pre = linker.instantiate_pre(compiled)?;
                    || pre
                });
                None
            }
        };
        #[cfg(feature = "freeze")]
        let freezing = module.freezable().map(|freezable| Freezing {
            freezable: freezable.clone(),
            linker: linker.clone(),
            saving_plan: OnceLock::new(),
            resumable: OnceLock::new(),
            image: OnceLock::new(),
            twins: OnceLock::new(),
        });
        let module = module.clone();
        Ok(Self {
            inner: Arc::new(Inner {
                module,
                linked,
                flags,
                #[cfg(feature = "freeze")]
                freezing,
            }),
        })
    }

    /// What a guest needs to know, if its calls can become data.
    #[cfg(feature = "freeze")]
    pub(crate) fn saving_plan(&self, store: &mut Store<S>) -> Option<Arc<SavingPlan>> {
        let Freezing { freezable, saving_plan, image, .. } = self.inner.freezing.as_ref()?;
        if let Some(saving_plan) = saving_plan.get() {
            return Some(saving_plan.clone());
        }
        let module = self.module();
        image.get_or_init(|| Image::find(module));
        let resumable = self.all_resumable(store)?;
        let is_resumable = |module: &str, name: &str| {
            resumable.iter().any(|import| (&*import.module, &*import.name) == (module, name))
        };
        let not_resumable = module.imports().filter(|import| {
            import.ty().func().is_some() && !is_resumable(import.module(), import.name())
        });
        let not_resumable = not_resumable
            .map(|import| format!("{}.{}", import.module(), import.name()).into())
            .collect();
        // Another version of the library cannot have prepared it: what is known of its calls is of this one.
        let plan = plan_of(module).ok()?;
        let mut functions = Linker::<S>::new(module.engine());
        let defined = saving::define(&mut functions);
        let defined = defined.and_then(|()| match freezable.has_twins {
            true => rewind::define(&mut functions)
                .and_then(|()| reentry::define_waits(&mut functions, resumable)),
            false => Ok(()),
        });
        if defined.is_err() {
            unreachable!("the linker is new");
        }
        let (exports, functions) = (Exports::of(module), Box::new(functions));
        let resumable = resumable.iter().map(|import| (import.module.clone(), import.name.clone()));
        let resumable = resumable.collect();
        let (module, freezable) = (module.clone(), freezable.clone());
        let new =
            SavingPlan { module, plan, freezable, exports, functions, resumable, not_resumable };
        let new = Arc::new(new);
        Some(saving_plan.get_or_init(|| new).clone())
    }

    /// The linked module in which frozen calls go on. It is compiled when this is first called.
    ///
    /// # Errors
    ///
    /// [`Error::NotFreezable`] if calls cannot become data.
    #[cfg(feature = "freeze")]
    pub(crate) fn twins(&self) -> Result<&Self, Error> {
        let Some(Freezing { freezable, linker, twins, .. }) = &self.inner.freezing else {
            return Err(Error::NotFreezable { module: module_name(self.module()) });
        };
        if freezable.has_twins {
            return Ok(self);
        }
        if let Some(twins) = twins.get() {
            return Ok(twins);
        }
        let linked = self.prepared().twins()?.instantiate_pre(linker)?;
        Ok(twins.get_or_init(|| linked))
    }

    /// Compiles the second module, in which frozen calls go on, now, and not when a call is first thawed. It is larger than the first one (`twins_code` of the
    /// benchmark). [`Prepared::twins_module`] gives it, to be written to a file.
    ///
    /// # Errors
    ///
    /// - [`Error::NotFreezable`] if the module was not compiled with [`PrepareOptions::freezable`](crate::PrepareOptions::freezable);
    /// - [`Error::Prepare`] and [`Error::Wasmtime`] if the second module cannot be compiled.
    #[cfg(feature = "freeze")]
    pub fn compile_twins(&self) -> Result<(), Error> {
        self.twins().map(|_| ())
    }

    /// The import of this name, if it is resumable.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidFrozen`] if it is not.
    #[cfg(feature = "freeze")]
    pub(crate) fn resumable(
        &self,
        store: &mut Store<S>,
        module: &str,
        name: &str,
    ) -> Result<&Resumable<S>, Error> {
        let mut resumable = self.all_resumable(store).unwrap_or_default().iter();
        let found = resumable.find(|import| (&*import.module, &*import.name) == (module, name));
        found.ok_or_else(|| Error::InvalidFrozen {
            why: format!("no import {module}.{name} is resumable").into(),
        })
    }

    #[cfg(feature = "freeze")]
    fn all_resumable(&self, store: &mut Store<S>) -> Option<&[Resumable<S>]> {
        let Freezing { linker, resumable, .. } = self.inner.freezing.as_ref()?;
        if let Some(resumable) = resumable.get() {
            return Some(resumable);
        }
        // Without a lock, because this calls functions of the linker.
        let found = find_all(linker, store, self.module());
        Some(resumable.get_or_init(|| found))
    }
}

impl<S: 'static> PreparedPre<S> {
    /// What wasmtime has compiled.
    #[must_use]
    pub fn module(&self) -> &Module {
        self.prepared().module()
    }

    /// The module that was linked.
    #[must_use]
    pub fn prepared(&self) -> &Prepared {
        &self.inner.module
    }

    pub(crate) fn stops(&self) -> Stops {
        self.inner.module.stops()
    }

    /// What wasmtime makes an instance of. It is made for the first instance, because a linker takes a memory only with a store.
    pub(crate) fn linked(&self, store: &Store<S>) -> Result<&InstancePre<S>, Error> {
        if let Some(linked) = self.inner.linked.get() {
            return Ok(linked);
        }
        let Some(Flags { linker, flags, .. }) = &self.inner.flags else {
            unreachable!("without flags, it was linked when it was made");
        };
        let mut linker = linker.clone();
        linker.define(store, FLAGS_MODULE, FLAGS_MEMORY, flags.memory().clone())?;
        let linked = linker.instantiate_pre(self.inner.module.module())?;
        Ok(self.inner.linked.get_or_init(|| linked))
    }

    /// Gives a new guest, none of whose code has run, the flag of its instance, if it looks at one.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyInstances`] if there is no flag left.
    pub(crate) fn connect(
        &self,
        instance: Instance,
        store: &mut Store<S>,
        control: &Arc<Control>,
    ) -> Result<Option<GuestFlag>, Error> {
        let Some(Flags { linker, flags, told }) = &self.inner.flags else { return Ok(None) };
        let address = control.flag(flags)?;
        told.tell(address, linker, instance, store).map(Some)
    }
}

/// Checks that the linker has something for each import but the flags, which come last.
fn refuse_missing_imports<S: 'static>(linker: &Linker<S>, module: &Module) -> Result<(), Error> {
    let Err(error) = linker.instantiate_pre(module) else { return Ok(()) };
    let is_of_flags = |missing: &UnknownImportError| {
        missing.module() == FLAGS_MODULE && missing.name() == FLAGS_MEMORY
    };
    match error.downcast_ref().is_some_and(is_of_flags) {
        true => Ok(()),
        false => Err(error.into()),
    }
}

impl<S: 'static> Clone for PreparedPre<S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<S: 'static> fmt::Debug for PreparedPre<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedPre").field("module", &self.inner.module).finish_non_exhaustive()
    }
}
