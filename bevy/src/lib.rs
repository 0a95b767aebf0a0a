//! Scripts in WebAssembly for Bevy, on [`wasm_jobs`].
//!
//! A [`Script`] is a component: an export of a module, which runs from its beginning to its end over many frames. It is stopped where it
//! waits, for the next frame, for a time or for the world, and at the end of its share of the frame. A script that loops for ever delays
//! neither the frame nor the other scripts. Removing the entity ends its call.
//!
//! ```
//! use bevy_app::{App, Startup, TaskPoolPlugin};
//! use bevy_asset::{AssetPlugin, AssetServer};
//! use bevy_ecs::prelude::*;
//! use bevy_time::TimePlugin;
//! use bevy_wasm_jobs::{Script, ScriptTrapped, WasmJobsPlugin};
//!
//! fn spawn(mut commands: Commands, assets: Res<AssetServer>) {
//!     commands
//!         .spawn(Script::new(assets.load("creature.wat"), "wander"))
//!         .observe(|trapped: On<ScriptTrapped>| println!("{}", trapped.trap));
//! }
//!
//! App::new()
//!     .add_plugins((TaskPoolPlugin::default(), TimePlugin, AssetPlugin::default()))
//!     .add_plugins(WasmJobsPlugin::default())
//!     .add_systems(Startup, spawn);
//! ```
//!
//! # What a guest can import
//!
//! Every script has these functions, in the module `bevy`. [`WasmJobsPlugin::with_linker`] adds those of the game.
//!
//! | function | type | |
//! |---|---|---|
//! | `next_frame` | `() -> f32` | waits for the next frame, and gives the game time since the last one, in seconds |
//! | `sleep` | `(f64)` | waits for so many seconds of game time |
//! | `now` | `() -> f64` | the game time, in seconds |
//!
//! Game time is `Time<Virtual>`, or with [`WasmJobsPlugin::in_fixed_update`], `Time<Fixed>`. It stands still while the game is paused.
//!
//! # The world
//!
//! A host function that needs the world hands over a closure: [`ScriptHost::with_entity`] and [`ScriptHost::with_world`]. The guest is
//! suspended, and the closure runs at a sync point, with `&mut World` and nothing else borrowed. Its result is what the guest gets.
//!
//! # The frame
//!
//! The plugin's systems are in four sets, one after the other: [`WasmJobsSystems`]. All scripts together have one [`ScriptBudget`] in each
//! frame. A script that [runs in the pool](RunsIn::AsyncCompute) does not count: it runs on Bevy's `AsyncComputeTaskPool`. (Long work on
//! the `ComputeTaskPool` delays frames, because systems run there.)
//!
//! # Reloading
//!
//! When a module's asset is modified, its scripts change over to the new version by their [`ReloadPolicy`].
//!
//! # Features
//!
//! - `trace` (default): steps of scripts are spans with the target `wasm_jobs`, which Bevy's traces show.
//!
//! # Versions
//!
//! | `bevy_wasm_jobs` | Bevy | `wasm-jobs` | wasmtime | Rust |
//! |---|---|---|---|---|
//! | 0.1 | 0.20 | 0.1 | 48 | 1.95 |

// The private tour. `module` is the asset, and `script` the component that names one. `call` is the state of a script, which the systems of
// `load`, `tick` and `collect` move on; `time` is the system between the first two. `host` is what host functions see. `plugin` puts
// all of it together.

mod call;
mod collect;
mod error;
mod events;
mod host;
mod load;
mod module;
mod plugin;
mod pool;
mod script;
mod tick;
mod time;

pub use call::ScriptCall;
pub use error::{ScriptError, WasmModuleError};
pub use events::{ScriptFailed, ScriptFinished, ScriptReloaded, ScriptTrapped};
pub use host::{EntityGone, ScriptHost};
pub use module::WasmModule;
pub use plugin::{ScriptLinker, WasmJobsPlugin, WasmJobsSystems};
pub use pool::AsyncComputeJobs;
pub use script::{ReloadPolicy, RunsIn, Script, ScriptOptions};
pub use tick::ScriptBudget;
pub use wasm_jobs;

/// The book's page on Bevy: each of its blocks is a test.
#[cfg(doctest)]
#[doc = include_str!("../../docs/bevy.md")]
struct Book;
