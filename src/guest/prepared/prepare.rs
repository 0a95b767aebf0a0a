//! [`prepare`]: compiles a module whose guests can be saved, and stopped at next to no cost.

use crate::error::Error;
#[cfg(feature = "freeze")]
use crate::guest::freeze::freezable_module::FreezableModule;
use crate::guest::limit::ticker::Ticker;
use crate::guest::prepared::module::Prepared;
use crate::guest::prepared::options::PrepareOptions;
use wasm_jobs_transform::transform_with;
use wasmtime::{Engine, Module};

/// Compiles a module whose guests can be saved as a `Checkpoint`, with the feature `checkpoint`; and, on an engine with
/// [flags](crate::EngineOptions::stop_flags), stopped at next to no cost. Use it in the place of [`Module::new`]. `wasm` is the module in the
/// binary format.
///
/// The module is [transformed](wasm_jobs_transform) first: it exports its globals, memories and tables under names that begin with `__wasm_jobs_`,
/// and its start function becomes an export that this library calls. On an engine without flags the code stays the same, except where it drops a
/// segment or reads one that can be dropped. So the guest runs as fast as before (`prepared_run` of the benchmark).
///
/// On an engine with flags, the guest also looks at its flag: in each loop, and where calls can form a circle. [`Prepared::stops`] tells. If the
/// engine counts fuel, looking takes some, and the code that runs when the flag is set takes [some more](crate::Slice::Fuel).
///
/// Which engines have flags: one of [`engine`](crate::engine()), if [`stop_flags`](crate::EngineOptions::stop_flags) says so; and one that you
/// made by [`Engine::new`], if its `Config` has [shared memories](wasmtime::Config::shared_memory). If you have shared memories for another reason and want no flags, compile
/// the bytes of [`transform`](wasm_jobs_transform::transform) by `Module::new`, and take the module by [`Prepared::from_module`].
///
/// The [module](Prepared::module) can be [serialised](Module::serialize), and is taken back by [`Prepared::from_module`], or, if calls are to be frozen, by
/// `Prepared::from_module_with`. Instantiate it by this library: wasmtime
/// alone does not run its start function.
///
/// A build script that compiles for another machine gives [`transform_with`]'s bytes to [`Engine::precompile_module`]: see [`PrepareOptions::transformation`].
///
/// ```
/// use std::time::Duration;
/// use wasm_jobs::{EngineOptions, Instance, InstanceOptions, Slice, Step, engine, prepare, wasmtime};
///
/// let engine = engine(&EngineOptions::default().stop_flags(true).epoch_interruption(false))?;
/// let wasm = wat::parse_str(r#"(module (func (export "forever") (loop $again (br $again))))"#)?;
/// let pre = prepare(&engine, wasm)?.instantiate_pre(&wasmtime::Linker::new(&engine))?;
///
/// let options = InstanceOptions::default().slice(Slice::Time(Duration::from_millis(1)));
/// let instance = Instance::with_options(&pre, options, || ())?;
/// assert_eq!(instance.call::<(), ()>("forever", ())?.resume()?, Step::Yielded);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// - [`Error::Prepare`] if the bytes are no valid module, or one that was prepared before; or if the module uses what a checkpoint cannot hold, such
///   as a shared memory or the objects of the garbage collection proposal;
/// - [`Error::Unsupported`] if the engine is to have flags, and its `Config` lacks something that they need;
/// - [`Error::Wasmtime`] if the module cannot be compiled.
pub fn prepare(engine: &Engine, wasm: impl AsRef<[u8]>) -> Result<Prepared, Error> {
    prepare_with(engine, wasm, &PrepareOptions::default())
}

/// Compiles a module as [`prepare`] does, with options.
///
/// # Errors
///
/// As [`prepare`].
pub fn prepare_with(
    engine: &Engine,
    wasm: impl AsRef<[u8]>,
    options: &PrepareOptions,
) -> Result<Prepared, Error> {
    let ticker = Ticker::of(engine);
    let flags = ticker.wants_flags(engine).then(|| ticker.flags(engine)).transpose()?;
    let transformation = options.transformation(engine);
    let transformed = transform_with(wasm.as_ref(), &transformation).map_err(Error::Prepare)?;
    let prepared = Prepared::new(Module::new(engine, transformed.wasm)?, flags);
    #[cfg(feature = "freeze")]
    if options.freezable {
        let freezable = FreezableModule::new(
            wasm.as_ref(),
            &transformation,
            &transformed.layout,
            transformed.frames,
        );
        return Ok(prepared.with_freezable(freezable));
    }
    Ok(prepared)
}
