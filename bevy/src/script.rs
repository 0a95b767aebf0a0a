//! [`Script`]: the component that a user adds. It names a module and an entry. The state of its call is in `call`, the next file.

use crate::call::ScriptCall;
use crate::module::WasmModule;
use bevy_asset::Handle;
use bevy_ecs::component::Component;
use bevy_ecs::lifecycle::HookContext;
use bevy_ecs::world::DeferredWorld;
use wasm_jobs::InstanceOptions;

/// A script of an entity: an export of a module, which runs from its beginning to its end over many frames.
///
/// The call begins once the module is loaded. Removing the component, or despawning the entity, ends the call. Inserting the component
/// again begins it anew.
///
/// ```
/// # use bevy_asset::AssetServer;
/// # use bevy_ecs::prelude::*;
/// use bevy_wasm_jobs::Script;
///
/// fn spawn(mut commands: Commands, assets: Res<AssetServer>) {
///     commands.spawn(Script::new(assets.load("creature.wasm"), "main"));
/// }
/// ```
#[derive(Component, Clone, Debug)]
#[require(ScriptCall)]
#[component(on_insert = begin_anew, on_remove = end)]
pub struct Script {
    /// The module.
    pub module: Handle<WasmModule>,
    /// The name of the export that is called. It has no parameters and no results: a guest learns what it needs by host functions.
    pub entry: String,
    /// Where the script runs, and what it may use.
    pub options: ScriptOptions,
}

impl Script {
    /// A script with the default options.
    #[must_use]
    pub fn new(module: Handle<WasmModule>, entry: impl Into<String>) -> Self {
        Self { module, entry: entry.into(), options: ScriptOptions::default() }
    }

    /// Sets the options.
    #[must_use]
    pub fn with_options(mut self, options: ScriptOptions) -> Self {
        self.options = options;
        self
    }
}

/// Where a script runs, how often, and what it may use.
#[derive(Clone, Debug, Default)]
pub struct ScriptOptions {
    pub(crate) runs: RunsIn,
    pub(crate) repeat: bool,
    pub(crate) reload: ReloadPolicy,
    pub(crate) instance: InstanceOptions,
}

impl ScriptOptions {
    /// Where the script runs: by default in the frame.
    #[must_use]
    pub fn runs_in(mut self, runs: RunsIn) -> Self {
        self.runs = runs;
        self
    }

    /// Whether the entry is called again, in the next frame, each time that it has returned. The guest keeps its memory and globals from
    /// call to call. By default, it is called once.
    #[must_use]
    pub fn repeat(mut self, repeat: bool) -> Self {
        self.repeat = repeat;
        self
    }

    /// What happens when the module is reloaded.
    #[must_use]
    pub fn on_reload(mut self, policy: ReloadPolicy) -> Self {
        self.reload = policy;
        self
    }

    /// What the guest may use: memory, fuel, time.
    ///
    /// A slice of time is ignored for scripts that run in the frame, because the budget decides how long they run. A slice of fuel is
    /// kept.
    #[must_use]
    pub fn instance(mut self, options: InstanceOptions) -> Self {
        self.instance = options;
        self
    }
}

/// Where a script runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunsIn {
    /// On the thread of the system that steps all scripts, within the budget of the frame.
    #[default]
    Frame,
    /// On Bevy's `AsyncComputeTaskPool`, beside the frames. For scripts that think for long.
    AsyncCompute,
}

/// What happens to a script when its module has a new version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReloadPolicy {
    /// The call is cancelled, and the script begins anew.
    #[default]
    Restart,
    /// The call in progress goes on with the old module to its end. The next call, of a script that [repeats](ScriptOptions::repeat), is
    /// one of the new module. The diagnostic [`OLD_MODULE`](crate::WasmJobsPlugin::OLD_MODULE) counts the calls that still run with
    /// an old module.
    NextCall,
    /// The call is cancelled, and the script begins anew, with the bytes of the old guest's memory.
    ///
    /// Both modules export their memory as `memory`, and have to place their data at the same addresses. All bytes are kept: what the
    /// new module's data segments wrote is overwritten, so changed constants do not come through. Globals, tables and the
    /// call's stack are not kept. The old call may have been stopped half-way through a change of its memory.
    KeepMemory,
}

fn begin_anew(mut world: DeferredWorld<'_>, context: HookContext) {
    if let Some(mut call) = world.get_mut::<ScriptCall>(context.entity) {
        *call = ScriptCall::default();
    }
}

fn end(mut world: DeferredWorld<'_>, context: HookContext) {
    world.commands().entity(context.entity).try_remove::<ScriptCall>();
}
