//! [`WasmJobsPlugin`]: the engine, the linker and the systems.

use crate::collect::{collect, diagnose};
use crate::host::{self, ScriptHost, WorldQueue};
use crate::load::load;
use crate::module::{WasmModule, WasmModuleLoader};
use crate::tick::{ScriptBudget, begin_frame, tick};
use crate::time::{ScriptTime, wake};
use bevy_app::{App, First, FixedUpdate, Plugin, Update};
use bevy_asset::AssetApp;
use bevy_diagnostic::{Diagnostic, DiagnosticPath, RegisterDiagnostic};
use bevy_ecs::intern::Interned;
use bevy_ecs::resource::Resource;
use bevy_ecs::schedule::{IntoScheduleConfigs, ScheduleLabel, SystemSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use wasm_jobs::wasmtime::{self, Linker};
use wasm_jobs::{EngineOptions, engine};

/// The sets of the plugin's systems, which run one after the other in `Update`, or in `FixedUpdate`:
/// [`WasmJobsPlugin::in_fixed_update`] decides.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WasmJobsSystems {
    /// Scripts whose module is loaded get their guest, and reloaded modules take effect.
    Load,
    /// The guests' clock moves.
    Wake,
    /// Guests run, within the budget. Between their steps, host functions access the world.
    Tick,
    /// Results become entity events.
    Collect,
}

/// The linker with all host functions, for modules that are made by [`WasmModule::new`].
#[derive(Resource, Clone)]
pub struct ScriptLinker(Arc<Linker<ScriptHost>>);

impl std::ops::Deref for ScriptLinker {
    type Target = Linker<ScriptHost>;

    fn deref(&self) -> &Linker<ScriptHost> {
        &self.0
    }
}

impl fmt::Debug for ScriptLinker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptLinker").finish_non_exhaustive()
    }
}

type SetUp = Box<dyn Fn(&mut Linker<ScriptHost>) -> wasmtime::Result<()> + Send + Sync>;

/// Runs the [`Script`](crate::Script)s of entities.
///
/// It needs Bevy's `TaskPoolPlugin`, `TimePlugin` and `AssetPlugin`, which are among the `DefaultPlugins`, and has to be added after them.
///
/// ```
/// use bevy_app::{App, TaskPoolPlugin};
/// use bevy_asset::AssetPlugin;
/// use bevy_time::TimePlugin;
/// use bevy_wasm_jobs::WasmJobsPlugin;
/// use std::time::Duration;
///
/// App::new()
///     .add_plugins((TaskPoolPlugin::default(), TimePlugin, AssetPlugin::default()))
///     .add_plugins(WasmJobsPlugin::default().budget(Duration::from_millis(2)));
/// ```
pub struct WasmJobsPlugin {
    engine: EngineOptions,
    set_up: Vec<SetUp>,
    budget: Duration,
    fixed: bool,
}

impl WasmJobsPlugin {
    /// The diagnostic of how many calls are in progress.
    pub const RUNNING: DiagnosticPath = DiagnosticPath::const_new("wasm_jobs/running");
    /// The diagnostic of how many calls used up their last slice, and would go on at once.
    pub const HUNGRY: DiagnosticPath = DiagnosticPath::const_new("wasm_jobs/hungry");
    /// The diagnostic of how many calls run with an old version of their module.
    pub const OLD_MODULE: DiagnosticPath = DiagnosticPath::const_new("wasm_jobs/old_module");
    /// The diagnostic of how long the scripts ran in the frame, in milliseconds.
    pub const TIME: DiagnosticPath = DiagnosticPath::const_new("wasm_jobs/time");
    /// The diagnostic of by how much the frame exceeded the budget, in milliseconds.
    pub const OVERSHOOT: DiagnosticPath = DiagnosticPath::const_new("wasm_jobs/overshoot");

    /// A plugin whose engine has these options.
    ///
    /// Keep epoch interruption on, as it is by default. Without it, a script that never waits holds its frame for ever.
    #[must_use]
    pub fn new(engine: EngineOptions) -> Self {
        Self { engine, set_up: Vec::new(), budget: Duration::from_millis(2), fixed: false }
    }

    /// Defines host functions. This can be called several times. The scripts have the functions of the module `bevy` in any case: see
    /// the [front page](crate#what-a-guest-can-import).
    #[must_use]
    pub fn with_linker(
        mut self,
        set_up: impl Fn(&mut Linker<ScriptHost>) -> wasmtime::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.set_up.push(Box::new(set_up));
        self
    }

    /// Sets the [budget](ScriptBudget) of a frame for all scripts together: two milliseconds by default.
    #[must_use]
    pub fn budget(mut self, per_frame: Duration) -> Self {
        self.budget = per_frame;
        self
    }

    /// Runs the systems in `FixedUpdate` instead of `Update`. The guests' time is then `Time<Fixed>` instead of `Time<Virtual>`, and
    /// their `next_frame` the next fixed step. All fixed steps of a frame share its budget.
    #[must_use]
    pub fn in_fixed_update(mut self) -> Self {
        self.fixed = true;
        self
    }

    fn schedule(&self) -> Interned<dyn ScheduleLabel> {
        if self.fixed { FixedUpdate.intern() } else { Update.intern() }
    }

    fn linker(&self) -> Result<Linker<ScriptHost>, Box<dyn std::error::Error>> {
        let mut linker = Linker::new(&engine(&self.engine)?);
        host::add_to_linker(&mut linker)?;
        for set_up in &self.set_up {
            set_up(&mut linker)?;
        }
        Ok(linker)
    }
}

impl Default for WasmJobsPlugin {
    fn default() -> Self {
        Self::new(EngineOptions::default())
    }
}

impl fmt::Debug for WasmJobsPlugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasmJobsPlugin")
            .field("engine", &self.engine)
            .field("budget", &self.budget)
            .field("fixed", &self.fixed)
            .finish_non_exhaustive()
    }
}

impl Plugin for WasmJobsPlugin {
    /// # Panics
    ///
    /// Panics if this machine does not support the options of the engine, or if a function of
    /// [`with_linker`](WasmJobsPlugin::with_linker) fails.
    fn build(&self, app: &mut App) {
        let linker = match self.linker() {
            Ok(linker) => Arc::new(linker),
            Err(error) => panic!("the engine of the scripts cannot be set up: {error}"),
        };
        app.init_asset::<WasmModule>()
            .register_asset_loader(WasmModuleLoader { linker: Arc::clone(&linker) })
            .insert_resource(ScriptLinker(linker))
            .insert_resource(ScriptBudget::new(self.budget))
            .init_resource::<WorldQueue>()
            .init_resource::<ScriptTime>()
            .add_systems(First, begin_frame);

        let schedule = self.schedule();
        app.configure_sets(
            schedule,
            (
                WasmJobsSystems::Load,
                WasmJobsSystems::Wake,
                WasmJobsSystems::Tick,
                WasmJobsSystems::Collect,
            )
                .chain(),
        )
        .add_systems(
            schedule,
            (
                load.in_set(WasmJobsSystems::Load),
                wake.in_set(WasmJobsSystems::Wake),
                tick.in_set(WasmJobsSystems::Tick),
                (collect, diagnose).chain().in_set(WasmJobsSystems::Collect),
            ),
        );

        for (path, suffix) in [
            (Self::RUNNING, " calls"),
            (Self::HUNGRY, " calls"),
            (Self::OLD_MODULE, " calls"),
            (Self::TIME, " ms"),
            (Self::OVERSHOOT, " ms"),
        ] {
            app.register_diagnostic(Diagnostic::new(path).with_suffix(suffix));
        }
    }
}
