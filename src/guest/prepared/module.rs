//! [`Prepared`]: a module that was prepared.

use crate::error::Error;
#[cfg(feature = "freeze")]
use crate::guest::freeze::freezable_module::FreezableModule;
use crate::guest::limit::flags::StopFlags;
use crate::guest::limit::stops::Stops;
use crate::guest::limit::ticker::Ticker;
use crate::guest::module_name::module_name;
use crate::guest::prepared::is_prepared::is_prepared;
use crate::guest::prepared::stop::looks_at_flag;
use std::fmt;
use std::sync::Arc;
use wasmtime::Module;

/// A module that was [prepared](crate::prepare). It is cheap to clone.
///
/// It is linked by [`instantiate_pre`](Self::instantiate_pre). [`module`](Self::module) is what wasmtime has compiled, for its exports and for
/// [`serialize`](Module::serialize). That is no `Deref`: a prepared module that is linked by wasmtime's own linker has no flags.
#[derive(Clone)]
pub struct Prepared {
    module: Module,
    /// `Some` if its guests look at flags, which are those of its engine.
    flags: Option<Arc<StopFlags>>,
    /// `Some` if calls of its guests can become data.
    #[cfg(feature = "freeze")]
    freezable: Option<Arc<FreezableModule>>,
}

impl Prepared {
    /// Takes a module that was prepared earlier, and perhaps elsewhere: [deserialised](Module::deserialize), or compiled from the bytes that
    /// [`transform`](crate::transform::transform) gives.
    ///
    /// What such a module says of itself is trusted, as wasmtime trusts what it deserialises.
    ///
    /// Calls of its guests cannot be frozen. For that, there is `from_module_with`, with the feature `freeze`.
    ///
    /// ```
    /// # use wasm_jobs::{EngineOptions, Prepared, engine, prepare, wasmtime};
    /// # let engine = engine(&EngineOptions::default())?;
    /// # let wasm = wat::parse_str("(module)")?;
    /// // In a build script; for guests with flags by `transform_with` and `Options::stops`.
    /// let transformed = wasm_jobs::transform::transform(&wasm)?.wasm;
    ///
    /// let module = wasmtime::Module::new(&engine, transformed)?;
    /// let prepared = Prepared::from_module(module)?;
    /// # assert_eq!(prepared.stops(), prepare(&engine, &wasm)?.stops());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotPrepared`] if the module was not prepared, and [`Error::Unsupported`] if its guests look at flags and the engine cannot have
    /// them.
    pub fn from_module(module: Module) -> Result<Self, Error> {
        if !is_prepared(&module) {
            return Err(Error::NotPrepared { module: module_name(&module) });
        }
        let flags = match looks_at_flag(&module) {
            false => None,
            true => Some(Ticker::of(module.engine()).flags(module.engine())?),
        };
        Ok(Self::new(module, flags))
    }

    /// A module that was just compiled, with the flags of its engine if its guests look at them.
    pub(crate) fn new(module: Module, flags: Option<Arc<StopFlags>>) -> Self {
        Self {
            module,
            flags,
            #[cfg(feature = "freeze")]
            freezable: None,
        }
    }

    /// Whether calls of its guests can be frozen. They can if it was made by [`prepare_with`](crate::prepare_with), or by `Prepared::from_module_with`, and
    /// `PrepareOptions::freezable`.
    #[must_use]
    pub fn is_freezable(&self) -> bool {
        #[cfg(feature = "freeze")]
        return self.freezable.is_some();
        #[cfg(not(feature = "freeze"))]
        false
    }

    /// The same module, with what is known of its calls.
    #[cfg(feature = "freeze")]
    pub(crate) fn with_freezable(self, freezable: Arc<FreezableModule>) -> Self {
        Self { freezable: Some(freezable), ..self }
    }

    #[cfg(feature = "freeze")]
    pub(crate) fn freezable(&self) -> Option<&Arc<FreezableModule>> {
        self.freezable.as_ref()
    }

    /// The module in which frozen calls of this one go on. It is compiled when this is first called.
    #[cfg(feature = "freeze")]
    pub(crate) fn twins(&self) -> Result<Self, Error> {
        let not_freezable = || Error::NotFreezable { module: module_name(&self.module) };
        let freezable = self.freezable.as_ref().ok_or_else(not_freezable)?;
        if freezable.has_twins {
            return Ok(self.clone());
        }
        let (module, freezable) = freezable.twins(self.module.engine())?.clone();
        Ok(Self { module, flags: self.flags.clone(), freezable: Some(freezable) })
    }

    /// What wasmtime has compiled.
    ///
    /// ```
    /// # use wasm_jobs::{EngineOptions, engine, prepare, wasmtime};
    /// # let engine = engine(&EngineOptions::default())?;
    /// let prepared = prepare(&engine, wat::parse_str(r#"(module $game (func (export "tick")))"#)?)?;
    /// assert_eq!(prepared.module().name(), Some("game"));
    /// assert!(prepared.module().get_export("tick").is_some());
    /// let linker = wasmtime::Linker::<()>::new(prepared.module().engine());
    /// let pre = prepared.instantiate_pre(&linker)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// What stops a guest of this module.
    #[must_use]
    pub fn stops(&self) -> Stops {
        match self.flags {
            Some(_) => Stops::AtFlags,
            None => Stops::without_flag(self.module.engine()),
        }
    }

    pub(crate) fn flags(&self) -> Option<&Arc<StopFlags>> {
        self.flags.as_ref()
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("module", &self.module.name())
            .field("stops", &self.stops())
            .finish_non_exhaustive()
    }
}
