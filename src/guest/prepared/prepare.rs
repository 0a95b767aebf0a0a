//! [`prepare`]: compiles a module whose guests can be saved, and stopped at next to no cost.

use crate::error::Error;
use crate::guest::limit::ticker::Ticker;
use crate::guest::prepared::module::Prepared;
use wasm_jobs_transform::{Options, transform_with};
use wasmtime::{Engine, Module};

/// Compiles a module whose guests can be saved as a [`Checkpoint`](crate::Checkpoint). Use it in the place of [`Module::new`]. `wasm` is the module
/// in the binary format.
///
/// The module is [transformed](wasm_jobs_transform) first: it exports its globals, memories and tables under names that begin with `__wasm_jobs_`,
/// and its start function becomes an export that this library calls. The code stays the same, except where it drops a segment or reads one that
/// can be dropped. So the guest runs as fast as before (`prepared_run` of the benchmark).
///
/// The result is an ordinary module of wasmtime's. It can be [serialised](Module::serialize), and it is linked as any other. Instantiate it by this
/// library, with the feature `checkpoint`: wasmtime alone does not run its start function.
///
/// A build script that compiles for another machine gives [`transform`](wasm_jobs_transform::transform)'s bytes to
/// [`Engine::precompile_module`].
///
/// # Errors
///
/// - [`Error::Prepare`] if the bytes are no valid module, or one that was prepared before; or if the module uses what a checkpoint cannot hold, such
///   as a shared memory or the objects of the garbage collection proposal;
/// - [`Error::Wasmtime`] if the module cannot be compiled.
pub fn prepare(engine: &Engine, wasm: impl AsRef<[u8]>) -> Result<Prepared, Error> {
    let flags = Ticker::of(engine).flags(engine);
    let options = Options::default().stops(flags.is_some());
    let prepared = transform_with(wasm.as_ref(), &options).map_err(Error::Prepare)?;
    Ok(Prepared::new(Module::new(engine, prepared.wasm)?, flags))
}
