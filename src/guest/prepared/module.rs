//! [`Prepared`]: a module that was prepared.

use crate::error::Error;
use crate::guest::limit::flags::StopFlags;
use crate::guest::limit::stops::Stops;
use crate::guest::limit::ticker::Ticker;
use crate::guest::module_name::module_name;
use crate::guest::prepared::stop::looks_at_flag;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use wasm_jobs_transform::HASH_LOW;
use wasmtime::Module;

/// Whether a module was prepared.
pub(crate) fn is_prepared(module: &Module) -> bool {
    module.get_export_index(HASH_LOW).is_some()
}

/// A module that was [prepared](crate::prepare). It is cheap to clone.
///
/// It is linked by [`instantiate_pre`](Self::instantiate_pre), and derefs to the [`Module`] for all else, such as its exports or
/// [`serialize`](Module::serialize). wasmtime's own linker does not link it if its guests look at flags.
#[derive(Clone)]
pub struct Prepared {
    module: Module,
    /// `Some` if its guests look at flags, which are those of its engine.
    flags: Option<Arc<StopFlags>>,
}

impl Prepared {
    /// Takes a module that was prepared earlier, and perhaps elsewhere: [deserialised](Module::deserialize), or compiled from the bytes that
    /// [`transform`](crate::transform::transform) gives.
    ///
    /// What such a module says of itself is trusted, as wasmtime trusts what it deserialises.
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
    /// [`Error::NotPrepared`] if the module was not prepared, and [`Error::Unsupported`] if its guests look at flags and the engine has no shared
    /// memories.
    pub fn from_module(module: Module) -> Result<Self, Error> {
        if !is_prepared(&module) {
            return Err(Error::NotPrepared { module: module_name(&module) });
        }
        let flags = match looks_at_flag(&module) {
            false => None,
            true => Some(Ticker::of(module.engine()).flags(module.engine()).ok_or_else(no_flags)?),
        };
        Ok(Self { module, flags })
    }

    /// A module that was just compiled, with the flags of its engine if its guests look at them.
    pub(crate) fn new(module: Module, flags: Option<Arc<StopFlags>>) -> Self {
        Self { module, flags }
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

fn no_flags() -> Error {
    let why = "the engine has no shared memories: see `EngineOptions::stop_flags`".into();
    Error::Unsupported { what: "a module whose guests look at flags", why }
}

impl Deref for Prepared {
    type Target = Module;

    fn deref(&self) -> &Module {
        &self.module
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
