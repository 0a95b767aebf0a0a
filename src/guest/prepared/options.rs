//! [`PrepareOptions`]: what a module is prepared for.

#[cfg(feature = "freeze")]
use crate::guest::freeze::freezer::WaitsIn;
use std::fmt;
#[cfg(feature = "freeze")]
use std::sync::Arc;
use wasm_jobs_transform::Options;

/// What [`prepare_with`](crate::prepare_with) prepares a module for, beside checkpoints and, on an engine with
/// [flags](crate::EngineOptions::stop_flags), stops.
#[derive(Clone)]
#[cfg_attr(not(feature = "freeze"), derive(Default))]
pub struct PrepareOptions {
    #[cfg(feature = "freeze")]
    pub(crate) freezable: bool,
    #[cfg(feature = "freeze")]
    pub(crate) waits_in: Arc<WaitsIn>,
}

#[cfg(feature = "freeze")]
impl Default for PrepareOptions {
    fn default() -> Self {
        Self { freezable: false, waits_in: Arc::new(can_be_frozen_in) }
    }
}

/// Whether calls may be frozen in an import, if nobody has said so. WASI's functions but two never wait for long.
#[cfg(feature = "freeze")]
fn can_be_frozen_in(module: &str, name: &str) -> bool {
    module != "wasi_snapshot_preview1" || matches!(name, "poll_oneoff" | "sched_yield")
}

impl PrepareOptions {
    /// Sets whether calls can be [frozen](crate::Future::freeze).
    ///
    /// The guest then tests after each call that may wait whether it is to save itself (`freezable_run` of the benchmark), and its machine code is larger. When a
    /// frozen call is first thawed, a second module is compiled, which is several times as large (`twins_code`).
    #[cfg(feature = "freeze")]
    #[must_use]
    pub fn freezable(mut self, enable: bool) -> Self {
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
        self.waits_in = Arc::new(waits_in);
        self
    }

    /// The options of the transformation.
    pub(crate) fn transformation(&self, stops: bool) -> Options {
        let options = Options::default().stops(stops);
        #[cfg(feature = "freeze")]
        if self.freezable {
            let waits_in = self.waits_in.clone();
            return options.saves_calls(true).waits_in(move |module, name| waits_in(module, name));
        }
        options
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
