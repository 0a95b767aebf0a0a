//! [`ParMap`]: one export, many inputs, several instances. Each instance is a job that takes `inputs`, a batch at a time, until none
//! are left; `par_map_job` waits for all of them.

use crate::call::future::Future;
use crate::call::turn::Quantum;
use crate::call::yield_now::yield_now;
use crate::error::Error;
use crate::error::panic::Panic;
use crate::guest::fiber;
use crate::guest::func::Func;
use crate::guest::inputs::Inputs;
use crate::guest::instance::Instance;
use crate::guest::par_map_job::{ParMapJob, Part};
use crate::pool::JobPool;
use crate::trace::Traced;
use crate::unwind::catch;
use std::fmt;
use std::future::{Future as _, poll_fn};
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use wasmtime::{WasmParams, WasmResults};

/// Calls on several instances of a module at once, for a slice of [`Instance`]s.
pub trait Instances<S: Send + 'static> {
    /// Prepares one call of an export for each input, on a pool. Each instance has one call at a time.
    ///
    /// ```
    /// use wasm_jobs::{EngineOptions, Instance, Instances, RayonGlobal, engine, wasmtime};
    /// # let engine = engine(&EngineOptions::default())?;
    /// # let wasm = wat::parse_str(r#"(module (func (export "square") (param i32) (result i32)
    /// #     local.get 0 local.get 0 i32.mul))"#)?;
    /// # let module = wasmtime::Module::new(&engine, wasm)?;
    /// # let pre = wasmtime::Linker::<()>::new(&engine).instantiate_pre(&module)?;
    ///
    /// let instances = (0..4).map(|_| Instance::new(&pre, ())).collect::<Result<Vec<_>, _>>()?;
    /// let squares = instances.par_map::<i32, i32, _>(&RayonGlobal, 0..1000, "square").collect()?;
    /// for (n, square) in (0..).zip(squares) {
    ///     assert_eq!(square?, n * n);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn par_map<'a, P, R, J>(
        &'a self,
        pool: &'a J,
        inputs: impl IntoIterator<Item = P>,
        export: &'a str,
    ) -> ParMap<'a, P, R, S, J>
    where
        P: WasmParams + Sync + 'static,
        R: WasmResults + Sync + 'static,
        J: JobPool;
}

impl<S: Send + 'static> Instances<S> for [Instance<S>] {
    fn par_map<'a, P, R, J>(
        &'a self,
        pool: &'a J,
        inputs: impl IntoIterator<Item = P>,
        export: &'a str,
    ) -> ParMap<'a, P, R, S, J>
    where
        P: WasmParams + Sync + 'static,
        R: WasmResults + Sync + 'static,
        J: JobPool,
    {
        let inputs = inputs.into_iter().collect();
        ParMap { instances: self, pool, inputs, export, min_batch: 1, results: PhantomData }
    }
}

/// Many calls of an export, prepared and not yet submitted, from [`Instances::par_map`].
#[must_use = "it does nothing until it is submitted or collected"]
pub struct ParMap<'a, P, R, S: 'static, J> {
    instances: &'a [Instance<S>],
    pool: &'a J,
    inputs: Vec<P>,
    export: &'a str,
    min_batch: usize,
    results: PhantomData<fn() -> R>,
}

impl<P, R, S, J> ParMap<'_, P, R, S, J>
where
    P: WasmParams + Sync + 'static,
    R: WasmResults + Sync + 'static,
    S: Send + 'static,
    J: JobPool,
{
    /// Sets how many inputs an instance takes at a time at least: one by default. It takes fewer only at the end.
    ///
    /// An instance takes a share of the inputs that are left, which gets smaller towards the end, so that all instances end at about
    /// the same time. A larger minimum takes a lock less often, and balances worse.
    pub fn min_batch(mut self, inputs: usize) -> Self {
        self.min_batch = inputs;
        self
    }

    /// Submits the calls to the pool.
    ///
    /// An instance whose call has failed is [reset](Instance::reset) before its next call. The worker that runs its job does this, and
    /// runs the start function to its end. An instance takes no more inputs if it cannot be reset, because it was made with one
    /// state, or if another call or a guard has it. The other instances go on without it.
    ///
    /// # Errors
    ///
    /// Those of [`Instance::func`], for any of the instances, and [`Error::NoInstances`] if there are inputs and no instances.
    /// Nothing is called then.
    pub fn submit(self) -> Result<ParMapJob<R>, Error> {
        let count = self.inputs.len();
        if self.instances.is_empty() && count > 0 {
            return Err(Error::NoInstances);
        }
        let funcs = self.instances.iter().map(|instance| instance.func::<P, R>(self.export));
        let funcs = funcs.collect::<Result<Vec<_>, _>>()?;
        let inputs = Arc::new(Inputs::new(self.inputs, self.min_batch, self.instances.len()));
        let work = |(instance, func): (&Instance<S>, Func<P, R, S>)| {
            // Until the work has claimed the guest, the instance may get another one.
            let interrupter = instance.control().stopper().interrupter_of_any_guest();
            let traced = Traced::export(func.name(), instance.control().number());
            let work = take_inputs(inputs.clone(), instance.share(), func);
            Future::from_parts(work, Some(interrupter), traced)
        };
        let mut calls: Vec<_> = self.instances.iter().zip(funcs).map(work).collect();
        let runners = calls.iter_mut().map(Future::to_job).collect::<Result<Vec<_>, _>>()?;
        let job = self.pool.submit_all(runners);
        Ok(ParMapJob::new(job, calls, count))
    }

    /// Submits the calls, waits for all of them, and gives their results in the order of the inputs.
    ///
    /// # Errors
    ///
    /// Those of [`submit`](Self::submit). Failures of calls are among the results.
    pub fn collect(self) -> Result<Vec<Result<R, Error>>, Error> {
        Ok(self.submit()?.wait())
    }
}

/// The work of one instance: calls the export with inputs until none are left.
async fn take_inputs<P, R, S>(
    inputs: Arc<Inputs<P>>,
    instance: Instance<S>,
    func: Func<P, R, S>,
) -> Result<Part<R>, Error>
where
    P: WasmParams + Sync + 'static,
    R: WasmResults + Sync + 'static,
    S: Send + 'static,
{
    let mut results = Vec::new();
    let mut quantum = Quantum::default();
    while let Some(mut batch) = poll_fn(|context| inputs.poll_batch(context)).await {
        while !batch.left.is_empty() {
            let guest = match func.claim() {
                Err(Error::Poisoned) => renew(&instance).and_then(|()| func.claim()),
                claimed => claimed,
            };
            let guest = match guest {
                Ok(guest) => guest,
                // Dropping the batch leaves its inputs to the other instances.
                Err(refusal) => return Ok(Part { results, refusal: Some(refusal) }),
            };
            let Some((place, input)) = batch.left.pop_front() else { break };
            let mut call = pin!(fiber::call(guest, input));
            // A panic of the host is the result of its call, and of no other.
            let result = poll_fn(|context| {
                let polled = catch(|| call.as_mut().poll(context));
                polled.unwrap_or_else(|payload| {
                    Poll::Ready(Err(Box::new(Error::Panic(Panic::new(payload)))))
                })
            });
            let result = result.await.map_err(|error| *error);
            let has_failed = result.is_err();
            results.push((place, result));
            // The pool's other jobs get their turn, though not after each call, which may be shorter than a yield. After a failure they always
            // do: the call may have failed because this job was cancelled, which then ends here.
            if has_failed || !quantum.lasts() {
                quantum = Quantum::default();
                yield_now().await;
            }
        }
    }
    Ok(Part { results, refusal: None })
}

/// Makes a new guest for the next call.
fn renew<S: Send + 'static>(instance: &Instance<S>) -> Result<(), Error> {
    match catch(|| instance.reset()) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Error::Poisoned),
    }
}

impl<P, R, S: 'static, J> fmt::Debug for ParMap<'_, P, R, S, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParMap").field("export", &self.export).finish_non_exhaustive()
    }
}
