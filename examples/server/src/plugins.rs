//! [`Plugins`]: the guests of the server, by their names. Each has a pool of instances, and each request is one call of one of them.
//! `failure` says what the client gets if the call fails.

use crate::failure::Failure;
use axum::body::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;
use wasm_jobs::wasi::{self, MemoryInputPipe, MemoryOutputPipe, WasiCtx, WasiCtxBuilder};
use wasm_jobs::wasmtime::error::Context;
use wasm_jobs::wasmtime::{self, Engine, Linker, Module, StoreContextMut};
use wasm_jobs::{
    Error, Instance, InstanceOptions, InstancePool, JobPool, OnReturn, PoolStats, RayonGlobal,
    SendFuture, Slice, Step,
};

/// How long a request waits for an instance while all are out.
const PATIENCE: Duration = Duration::from_secs(1);
/// The longest answer of a program, in bytes.
const ANSWER: usize = 1 << 20;

/// The state of a guest: for a program, the context of the request, once there is one.
type Guest = Option<WasiCtx>;

/// The plugins of a server.
#[derive(Debug)]
pub struct Plugins {
    linker: Linker<Guest>,
    limits: InstanceOptions,
    by_name: BTreeMap<String, Plugin>,
}

/// A program, which has arguments, or a module, which has none.
#[derive(Debug)]
struct Plugin {
    instances: InstancePool<Guest>,
    args: Option<Vec<String>>,
}

impl Plugins {
    /// What a request may use: 32 MiB, 50 ms of running, and 2 s in all. A guest that computes makes way for others every millisecond.
    #[must_use]
    pub fn limits() -> InstanceOptions {
        InstanceOptions::default()
            .memory(32 << 20)
            .slice(Slice::Time(Duration::from_millis(1)))
            .running_timeout(Duration::from_millis(50))
            .elapsed_timeout(Duration::from_secs(2))
    }

    /// No plugins yet. Those that are added have these limits.
    ///
    /// # Errors
    ///
    /// [`Error::Wasmtime`] if the engine cannot run WASI.
    pub fn new(engine: &Engine, limits: InstanceOptions) -> Result<Self, Error> {
        let mut linker = Linker::new(engine);
        wasi::add_to_linker(&mut linker, |guest: &mut Guest| match guest {
            Some(ctx) => ctx,
            None => unreachable!("a call has a context"),
        })?;
        Ok(Self { linker, limits, by_name: BTreeMap::new() })
    }

    /// Adds a plugin, of at most `size` instances: a WASI program with these arguments, or a module. Either comes as wasm or as text.
    ///
    /// # Errors
    ///
    /// Those of making an instance, and [`Error::ExportNotFound`] or [`Error::Signature`] if the plugin cannot serve requests.
    pub fn add(
        &mut self,
        name: &str,
        size: usize,
        wasm: &[u8],
        args: &[&str],
    ) -> Result<(), Error> {
        let wasm = wat::parse_bytes(wasm).map_err(Error::other)?;
        let module = Module::new(self.linker.engine(), wasm).map_err(Error::Wasmtime)?;
        let pre = self.linker.instantiate_pre(&module).map_err(Error::Wasmtime)?;
        let limits = self.limits.clone();
        let is_program = module.get_export("_start").is_some();
        // A program's request brings the context.
        let state =
            move || if is_program { Ok(None) } else { WasiCtxBuilder::new().build().map(Some) };
        let make = move || Instance::with_state(&pre, limits.clone(), state()?);
        let on_return = if is_program { OnReturn::Reset } else { OnReturn::ResetIfPoisoned };
        let instances = InstancePool::with_on_return(size, make, move |_| on_return)?;
        if is_program {
            instances.require::<(), ()>("_start")?;
        } else {
            instances.require::<i32, i32>("alloc")?;
            instances.require::<(i32, i32), i64>("handle")?;
            instances.try_get()?.memory("memory")?;
        }
        let args = is_program.then(|| args.iter().map(ToString::to_string).collect());
        self.by_name.insert(name.into(), Plugin { instances, args });
        Ok(())
    }

    /// Answers a request: the input is its body. Dropping this cancels the call.
    ///
    /// # Errors
    ///
    /// A [`Failure`] if there is no such plugin, no instance is free, or the call fails.
    pub async fn run(&self, name: &str, body: Bytes) -> Result<Bytes, Failure> {
        let plugin = self.by_name.get(name).ok_or_else(|| Failure::NoPlugin(name.into()))?;
        let instance = plugin.instances.get_within(PATIENCE).await?;
        let Some(args) = &plugin.args else {
            let call = instance.start(|store, exports| Box::pin(handle(store, exports, body)))?;
            return Ok(finish(call).await?);
        };
        let answer = MemoryOutputPipe::new(ANSWER);
        let ctx = WasiCtxBuilder::new().arg(name).args(args);
        let ctx = ctx.stdin(MemoryInputPipe::new(body)).stdout(answer.clone()).build()?;
        *instance.store()?.data_mut() = Some(ctx);
        finish(instance.call::<(), ()>("_start", ())?).await?;
        Ok(answer.contents())
    }

    /// The counts of each plugin's instances.
    pub fn stats(&self) -> impl Iterator<Item = (&str, PoolStats)> {
        self.by_name.iter().map(|(name, plugin)| (&**name, plugin.instances.stats()))
    }
}

/// Takes the first step of a call here. One step is enough for most; rayon's workers do the rest of the others, so that no guest holds up the
/// threads that serve connections.
async fn finish<T: Send + 'static>(mut call: SendFuture<T>) -> Result<T, Error> {
    if call.resume()? != Step::Done {
        RayonGlobal.submit(call.to_job()?);
    }
    call.await
}

/// Asks a module for room for the input, and for the answer: its address in the upper half, and its length in the lower.
async fn handle(
    mut store: StoreContextMut<'_, Guest>,
    exports: &wasmtime::Instance,
    body: Bytes,
) -> wasmtime::Result<Bytes> {
    let alloc = exports.get_typed_func::<i32, i32>(&mut store, "alloc")?;
    let handle = exports.get_typed_func::<(i32, i32), i64>(&mut store, "handle")?;
    let memory =
        exports.get_memory(&mut store, "memory").context("the module exports no memory")?;
    let length = i32::try_from(body.len())?;
    let at = alloc.call_async(&mut store, length).await?;
    memory.write(&mut store, at as u32 as usize, &body)?;
    let answer = handle.call_async(&mut store, (at, length)).await? as u64;
    let (at, length) = ((answer >> 32) as usize, answer as u32 as usize);
    let answer =
        memory.data(&store).get(at..at + length).context("the answer is not in the memory")?;
    Ok(Bytes::copy_from_slice(answer))
}
