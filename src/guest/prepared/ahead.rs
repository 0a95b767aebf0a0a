//! Modules that were compiled ahead of time, and whose calls can be frozen all the same. wasmtime's bytes of a module do not have what is known of its calls, so that is found
//! anew, from the bytes of the wasm.

use crate::error::Error;
use crate::guest::checkpoint::image::plan_of;
use crate::guest::freeze::freezable_module::FreezableModule;
use crate::guest::module_name::module_name;
use crate::guest::prepared::module::Prepared;
use crate::guest::prepared::options::PrepareOptions;
use wasm_jobs_transform::transform_with;
use wasmtime::{Engine, Module};

impl Prepared {
    /// Takes a module that was prepared earlier with these options, as [`from_module`](Self::from_module) does, and its calls can be [frozen](crate::Future::freeze) if the
    /// options say so. `wasm` is the module before it was prepared. Nothing is compiled: it is transformed once more, which takes a small part of the time.
    ///
    /// When a call is first thawed, a second module is compiled. To have that ahead of time as well, see [`twins_module`](Self::twins_module) and
    /// [`set_twins_module`](Self::set_twins_module):
    ///
    /// ```
    /// use wasm_jobs::wasmtime::Module;
    /// use wasm_jobs::{EngineOptions, PrepareOptions, Prepared, engine, prepare_with};
    ///
    /// let engine = engine(&EngineOptions::default())?;
    /// let options = PrepareOptions::default().freezable(true);
    /// # let wasm = wat::parse_str("(module)")?;
    /// // At the first start of the program, for two files.
    /// let prepared = prepare_with(&engine, &wasm, &options)?;
    /// let first = prepared.module().serialize()?;
    /// let second = prepared.twins_module()?.serialize()?;
    ///
    /// // At each start after that.
    /// // SAFETY: the bytes come from `serialize`, and nobody but this program writes to the files.
    /// let (first, second) = unsafe { (Module::deserialize(&engine, first)?, Module::deserialize(&engine, second)?) };
    /// let prepared = Prepared::from_module_with(first, &wasm, &options)?;
    /// prepared.set_twins_module(second)?;
    /// assert!(prepared.is_freezable());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A build script that compiles for another machine has the bytes of both modules by [`PrepareOptions::transformation`].
    ///
    /// What such a module says of itself is trusted, as wasmtime trusts what it deserialises.
    ///
    /// # Errors
    ///
    /// - Those of [`from_module`](Self::from_module);
    /// - [`Error::OtherModule`] if the module was not made of these bytes; or, with `freezable`, if it was prepared with other options, or is the second module in the place of the
    ///   first;
    /// - [`Error::Prepare`] if the bytes are no module that can be prepared.
    pub fn from_module_with(
        module: Module,
        wasm: impl AsRef<[u8]>,
        options: &PrepareOptions,
    ) -> Result<Self, Error> {
        let prepared = Self::from_module(module)?;
        let counts_fuel = prepared.module().engine().get_consume_fuel();
        let transformation = options.transformation_of(prepared.flags().is_some(), counts_fuel);
        let transformed = transform_with(wasm.as_ref(), &transformation).map_err(Error::Prepare)?;
        let module = prepared.module();
        let is_of_wasm = plan_of(module)?.hash == transformed.layout.hash;
        let other = || Error::OtherModule { module: module_name(module) };
        if !options.freezable {
            return if is_of_wasm { Ok(prepared) } else { Err(other()) };
        }
        let freezable = FreezableModule::new(
            wasm.as_ref(),
            &transformation,
            &transformed.layout,
            transformed.frames,
        );
        if !is_of_wasm || !freezable.describes(module) {
            return Err(other());
        }
        Ok(prepared.with_freezable(freezable))
    }

    /// The second module, in which frozen calls go on. The first call of this compiles it.
    ///
    /// It is for [`serialize`](Module::serialize), and for [`set_twins_module`](Self::set_twins_module) of the same module. See
    /// [`from_module_with`](Self::from_module_with) for an example. To compile it early and keep it in memory alone, use
    /// [`PreparedPre::compile_twins`](crate::PreparedPre::compile_twins).
    ///
    /// # Errors
    ///
    /// - [`Error::NotFreezable`] if calls of this module cannot be [frozen](Self::is_freezable);
    /// - [`Error::Prepare`] and [`Error::Wasmtime`] if the second module cannot be compiled.
    pub fn twins_module(&self) -> Result<Module, Error> {
        Ok(self.twins()?.module().clone())
    }

    /// Sets the second module, in which frozen calls go on, so that it is not compiled when a call is first thawed. All clones of this `Prepared` have it then. If it was compiled
    /// already, this changes nothing.
    ///
    /// # Errors
    ///
    /// - [`Error::NotFreezable`] if calls of this module cannot be [frozen](Self::is_freezable);
    /// - [`Error::OtherModule`] if `twins` is not the [second module](Self::twins_module) of this one, prepared with the same options: for example if it is the first one;
    /// - [`Error::OtherEngine`] if it is of another engine.
    pub fn set_twins_module(&self, twins: Module) -> Result<(), Error> {
        let module = self.module();
        let Some(freezable) = self.freezable() else {
            return Err(Error::NotFreezable { module: module_name(module) });
        };
        if !Engine::same(module.engine(), twins.engine()) {
            return Err(Error::OtherEngine { module: module_name(&twins) });
        }
        if !freezable.set_twins(twins.clone())? {
            return Err(Error::OtherModule { module: module_name(&twins) });
        }
        Ok(())
    }
}
