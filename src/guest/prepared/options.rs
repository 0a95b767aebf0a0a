//! [`PrepareOptions`]: what a module is prepared for.

use crate::guest::limit::ticker::Ticker;
use std::fmt;
use wasm_jobs_transform::Options;
use wasmtime::Engine;

/// What [`prepare_with`](crate::prepare_with) prepares a module for, beside checkpoints and, on an engine with
/// [flags](crate::EngineOptions::stop_flags), stops.
#[derive(Clone)]
pub struct PrepareOptions {
    transformation: Options,
    #[cfg(feature = "freeze")]
    pub(crate) freezable: bool,
}

impl Default for PrepareOptions {
    fn default() -> Self {
        Self {
            transformation: Options::default().waits_in(can_be_frozen_in),
            #[cfg(feature = "freeze")]
            freezable: false,
        }
    }
}

/// Whether calls may be frozen in an import, if nobody has said so. WASI's functions but two never wait for long.
fn can_be_frozen_in(module: &str, name: &str) -> bool {
    module != "wasi_snapshot_preview1" || matches!(name, "poll_oneoff" | "sched_yield")
}

impl PrepareOptions {
    /// Sets whether calls can be [frozen](crate::Future::freeze).
    ///
    /// The guest then tests after each call that may wait whether it is to save itself (`freezable_run` of the benchmark), and its machine code is larger. When a
    /// frozen call is first thawed, a second module is compiled, which is larger still (`twins_code`).
    ///
    /// On an engine that counts fuel, the guest uses more of it than the same guest as it is, so that a call that is frozen uses as much as one that is not.
    ///
    /// Backtraces of traps have names and no source lines, because DWARF is left out of the compiled module. [`FrozenFrame::location`](crate::FrozenFrame::location) has
    /// them.
    #[cfg(feature = "freeze")]
    #[must_use]
    pub fn freezable(mut self, enable: bool) -> Self {
        self.transformation = self.transformation.saves_calls(enable);
        self.freezable = enable;
        self
    }

    /// Sets in which imported functions calls can be frozen, by their modules and names. The fewer they are, the less it costs.
    ///
    /// By default it is all of them, but of WASI preview 1 only `poll_oneoff` and `sched_yield`.
    #[cfg(feature = "freeze")]
    #[must_use]
    pub fn waits_in(
        mut self,
        waits_in: impl Fn(&str, &str) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.transformation = self.transformation.waits_in(waits_in);
        self
    }

    /// The options of the [transformation](wasm_jobs_transform::transform_with) that [`prepare_with`](crate::prepare_with) makes, for a build script that compiles for another
    /// machine. They depend on whether the engine has [flags](crate::EngineOptions::stop_flags) and counts [fuel](crate::EngineOptions::fuel). The program's engine has to have
    /// the same of both.
    ///
    /// With [`Options::twins`], it gives the second module, in which frozen calls go on:
    ///
    /// ```
    /// use wasm_jobs::transform::transform_with;
    /// use wasm_jobs::wasmtime::Engine;
    /// use wasm_jobs::{EngineOptions, PrepareOptions};
    ///
    /// # let wasm = wat::parse_str("(module)")?;
    /// // In a build script. The same options as the program's.
    /// let mut config = EngineOptions::default().config();
    /// if let (Ok(target), Ok(host)) = (std::env::var("TARGET"), std::env::var("HOST"))
    ///     && target != host
    /// {
    ///     config.target(&target)?; // for another machine
    /// }
    /// let engine = Engine::new(&config)?;
    /// # #[cfg(feature = "freeze")]
    /// let options = PrepareOptions::default().freezable(true).transformation(&engine);
    /// # #[cfg(not(feature = "freeze"))]
    /// # let options = PrepareOptions::default().transformation(&engine);
    /// let first = engine.precompile_module(&transform_with(&wasm, &options)?.wasm)?;
    /// let second = engine.precompile_module(&transform_with(&wasm, &options.twins(true))?.wasm)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// The program that deserialises them takes the modules by [`Prepared::from_module`](crate::Prepared::from_module), or, if calls are to be frozen, by
    /// `Prepared::from_module_with` and `set_twins_module`.
    #[must_use]
    pub fn transformation(&self, engine: &Engine) -> Options {
        self.transformation_of(Ticker::of(engine).wants_flags(engine), engine.get_consume_fuel())
    }

    /// The same, for an engine that has flags and counts fuel, or does not.
    pub(crate) fn transformation_of(&self, stops: bool, counts_fuel: bool) -> Options {
        self.transformation.clone().stops(stops).counts_fuel(counts_fuel)
    }
}

impl fmt::Debug for PrepareOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("PrepareOptions");
        #[cfg(feature = "freeze")]
        debug.field("freezable", &self.freezable);
        debug.finish_non_exhaustive()
    }
}
