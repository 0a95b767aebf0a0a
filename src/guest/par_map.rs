//! [`ParMap`]: one export, many inputs, several instances. Each instance is a job that takes inputs, a batch at a time, until there
//! are none left.

use crate::guest::{Func, Instance, fiber};
use crate::pool::JobPool;
use crate::trace::Traced;
use crate::{Error, Future, JobHandle, yield_now};
use parking_lot::Mutex;
use std::fmt;
use std::iter::Enumerate;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::vec::IntoIter;
use wasmtime::{WasmParams, WasmResults};

/// What can be done with several instances of a module.
pub trait Instances<S: Send + 'static> {
    /// Calls an export with each of these inputs, on a pool, with as many calls at once as there are instances.
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

/// Many calls of an export that are to be made, from [`Instances::par_map`].
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
    /// How many inputs an instance takes at a time, at least; fewer only at the end. One, unless it is set.
    ///
    /// An instance takes a share of what is left, which gets smaller towards the end, so that all come to their end together. A
    /// larger number costs that balance, and saves a lock for each batch.
    pub fn min_batch(mut self, inputs: usize) -> Self {
        self.min_batch = inputs;
        self
    }

    /// Hands the calls over to the pool.
    ///
    /// An instance whose call has failed is [reset](Instance::reset) for the next one. If that cannot be, for want of a function that
    /// makes its state, it takes no more inputs, and the others go on without it.
    ///
    /// # Errors
    ///
    /// Those of [`Instance::func`], for any of the instances: nothing is called then.
    pub fn submit(self) -> Result<ParMapped<R>, Error> {
        let count = self.inputs.len();
        let funcs = self.instances.iter().map(|instance| instance.func::<P, R>(self.export));
        let funcs = funcs.collect::<Result<Vec<_>, _>>()?;
        let inputs = Arc::new(Inputs {
            rest: Mutex::new(Rest {
                fresh: self.inputs.into_iter().enumerate(),
                returned: Vec::new(),
            }),
            min_batch: self.min_batch.max(1),
            takers: self.instances.len(),
        });
        let work = |(instance, func): (&Instance<S>, Func<P, R, S>)| {
            let ticker = instance.control().ticker_key();
            let traced = Traced::export(func.name(), instance.control().number());
            Future::made_of(
                take_inputs(inputs.clone(), instance.same(), func),
                Some(ticker),
                traced,
            )
        };
        let mut parts: Vec<_> = self.instances.iter().zip(funcs).map(work).collect();
        let runners = parts.iter_mut().map(Future::to_job).collect::<Result<Vec<_>, _>>()?;
        Ok(ParMapped { job: self.pool.submit_all(runners), parts, count })
    }

    /// Submits the calls, and waits for all of them.
    ///
    /// # Errors
    ///
    /// Those of [`submit`](Self::submit). Failures of calls are among the results.
    pub fn collect(self) -> Result<Vec<Result<R, Error>>, Error> {
        Ok(self.submit()?.wait())
    }
}

struct Inputs<P> {
    rest: Mutex<Rest<P>>,
    min_batch: usize,
    takers: usize,
}

struct Rest<P> {
    fresh: Enumerate<IntoIter<P>>,
    /// From takers that could not go on.
    returned: Vec<(usize, P)>,
}

impl<P> Inputs<P> {
    /// A part of a fair share of what is left, so that all takers come to their end at about the same time.
    fn batch(&self) -> Option<IntoIter<(usize, P)>> {
        const PARTS: usize = 4;
        let mut rest = self.rest.lock();
        if !rest.returned.is_empty() {
            return Some(std::mem::take(&mut rest.returned).into_iter());
        }
        let share = rest.fresh.len() / (PARTS * self.takers);
        let batch: Vec<_> = rest.fresh.by_ref().take(share.max(self.min_batch)).collect();
        (!batch.is_empty()).then(|| batch.into_iter())
    }
}

/// An instance's part: what came of the inputs that it took, each with its place.
type Part<R> = Vec<(usize, Result<R, Error>)>;

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
    let mut part = Vec::new();
    while let Some(mut batch) = inputs.batch() {
        while let Some((place, input)) = batch.next() {
            let result = match func.claim() {
                Ok(claimed) => fiber::call(claimed, input).await,
                Err(error) => Err(error),
            };
            let goes_on = result.is_ok() || is_fit_again(&instance);
            part.push((place, result));
            if !goes_on {
                inputs.rest.lock().returned.extend(batch);
                return Ok(part);
            }
            // What else the pool has to do gets its turn.
            yield_now().await;
        }
    }
    Ok(part)
}

fn is_fit_again<S: Send + 'static>(instance: &Instance<S>) -> bool {
    match instance.is_poisoned() {
        Ok(true) => instance.reset().is_ok(),
        Ok(false) | Err(_) => true,
    }
}

/// Many calls that are in progress on a pool, from [`ParMap::submit`].
///
/// It is a std future too. Dropping it cancels the calls.
#[must_use = "dropping it cancels the calls"]
pub struct ParMapped<R: Send + 'static> {
    job: JobHandle,
    parts: Vec<Future<Part<R>>>,
    count: usize,
}

impl<R: Send + 'static> ParMapped<R> {
    /// The job that all of them are.
    #[must_use]
    pub fn handle(&self) -> &JobHandle {
        &self.job
    }

    /// Waits for all calls, and gives what came of them, in the order of the inputs.
    ///
    /// An input that no instance was left for is [`Error::Poisoned`]. If the handle is cancelled, all inputs of the instances that
    /// have not finished are [`Error::Cancelled`].
    #[must_use]
    pub fn wait(mut self) -> Vec<Result<R, Error>> {
        self.job.wait();
        self.take()
    }

    fn take(&mut self) -> Vec<Result<R, Error>> {
        let mut results: Vec<_> = (0..self.count).map(|_| None).collect();
        let mut is_cancelled = false;
        for part in &mut self.parts {
            // A pool that has dropped its jobs has given them back.
            match part.wait() {
                Ok(part) => {
                    for (place, result) in part {
                        results[place] = Some(result);
                    }
                }
                Err(_) => is_cancelled = true,
            }
        }
        let missing = || if is_cancelled { Error::Cancelled } else { Error::Poisoned };
        results.into_iter().map(|result| result.unwrap_or_else(|| Err(missing()))).collect()
    }
}

impl<R: Send + 'static> std::future::Future for ParMapped<R> {
    type Output = Vec<Result<R, Error>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match Pin::new(&mut self.job).poll(context) {
            Poll::Ready(()) => Poll::Ready(self.take()),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<P, R, S: 'static, J> fmt::Debug for ParMap<'_, P, R, S, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParMap").field("export", &self.export).finish_non_exhaustive()
    }
}

impl<R: Send + 'static> fmt::Debug for ParMapped<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParMapped").field("job", &self.job).finish_non_exhaustive()
    }
}
