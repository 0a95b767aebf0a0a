//! [`prepare`]: compiles a module whose guests can be saved.

use crate::error::Error;
use wasmtime::{Engine, Module};

/// Compiles a module whose guests can be saved as a [`Checkpoint`](crate::Checkpoint).
///
/// The module is [transformed](wasm_jobs_transform) first: it exports its globals, memories and tables under names that begin with `__wasm_jobs_`, and its
/// start function becomes an export that this library calls. The code stays the same, but for the instructions that drop a segment. So the guest runs as
/// fast as before (`prepared_run` of the benchmark).
///
/// What this gives is an ordinary module of wasmtime's. It can be [serialised](Module::serialize), and it is linked as any other. Instantiate it by
/// this library and with its feature `checkpoint`: wasmtime alone does not run its start function.
///
/// # Errors
///
/// [`Error::Prepare`] if the module is not valid, was prepared before, or uses what a checkpoint does not hold, such as a shared memory or the objects of the garbage
/// collection proposal; and [`Error::Wasmtime`] if it cannot be compiled.
pub fn prepare(engine: &Engine, wasm: impl AsRef<[u8]>) -> Result<Module, Error> {
    let prepared = wasm_jobs_transform::transform(wasm.as_ref()).map_err(Error::Prepare)?;
    Ok(Module::new(engine, prepared.wasm)?)
}
